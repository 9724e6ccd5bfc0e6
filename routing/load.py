"""What this process sees of each server right now: requests under way, outcomes, times, and its circuit.

The circuit: three failures in a row open it for 30 s, twice as long each further time, up to 5 minutes; then one probe
decides; then the server returns gradually over a minute. After the first failure only two more requests go there until
one succeeds. Other processes hear of an opening, and of a closing, through `changed` and `adopt`.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from routing.fitness import IDLE, Reading, has_room
from routing.weights import PREFILL_TOKENS

FAILURES_TO_OPEN = 3
OPEN_S = 30.0
OPEN_S_MAX = 300.0
OPENINGS_MAX = 10  # counted; the pause does not grow for so long
FORGET_OPENINGS_S = (
    600.0  # closed for this long, a server begins with OPEN_S again: a flapping one is out ever longer
)
PANIC_PROBE_S = 5.0  # between two probes of an open circuit, while most of a model's servers are out
RETURN_S = 60.0  # from the first success after a pause to full weight
RETURN_FLOOR = 0.1
NOT_OFFERED_S = 60.0
PAUSE_S_MAX = 60.0
OUTCOMES_TAU_S = 60.0  # how fast outcomes are forgotten
TIMES_TAU_S = 10.0  # how fast a server becomes faster again in our eyes; slower at once
TIMES_FORGOTTEN_S = 30.0  # without a request, what was seen of a server's speed says nothing any more


class Shared(NamedTuple):
    """What all processes together saw of a server in the last two minutes."""

    served: int
    failed: int
    latency_ms_sum: int
    output_tokens: int


class CircuitChange(NamedTuple):
    """A circuit that another process opened or closed. open_s: seconds from now, 0 or less when it is closed."""

    server_id: int
    changed: float  # a moment of the database's clock, to tell news from what is known
    open_s: float
    openings: int


@dataclass(slots=True)
class ServerLoad:
    in_flight: int = 0
    failures: int = 0  # in a row
    tries: int = 0  # requests begun since the first of them
    openings: int = 0
    opened_at: float = -math.inf
    open_until: float = 0.0
    half_open: bool = False  # the pause is over or cut short; the next outcome decides
    probed_at: float = -math.inf
    closed_at: float = -math.inf
    paused_until: float = 0.0
    heard: float = 0.0  # the last change of its circuit that came from another process
    ok: float = 0.0
    failed: float = 0.0
    outcome_at: float = 0.0
    ttft_ms: float | None = None
    token_ms: float | None = None
    timed_at: float = -math.inf


class Load:
    """Readings by server id. The clock gives seconds and never goes back.

    changed: told (server, seconds open, openings) of every circuit that opens here, and with 0 s when it closes.
    """

    def __init__(
        self, clock: Callable[[], float], changed: Callable[[int, float, int], None] = lambda *_: None
    ) -> None:
        self._clock = clock
        self._changed = changed
        self._servers: dict[int, ServerLoad] = {}
        self._shared: dict[int, Shared] = {}
        self._lacking: dict[str, dict[int, float]] = {}  # by route and offer: until when
        self.share = 1  # gateway processes that share the servers' slots
        # Rises when a server comes or goes at once: what was weighed before is not true any more.
        self.epoch = 0

    # ------------------------------------------------------------------------------------------ one request's life

    def takes(self, server_id: int, slots: int) -> bool:
        """Whether a request may begin there now."""
        load = self._servers.get(server_id)
        if load is None:
            return True
        if load.in_flight >= math.ceil(slots / self.share):
            return False
        if not (load.open_until or load.failures or load.paused_until):
            return True  # as nearly always
        known = self.reading(server_id)
        return not (known.circuit_open or known.spent)

    def can_try(self, server_id: int, slots: int) -> bool:
        """Whether a request for which nobody else is left may begin there: where others are finding out already, and
        as the rare probe of an open circuit."""
        known = self.reading(server_id)
        return (not known.circuit_open or known.probe_due) and has_room(known, slots, self.share)

    def in_flight(self, server_id: int) -> int:
        load = self._servers.get(server_id)
        return 0 if load is None else load.in_flight

    def begin(self, server_id: int) -> None:
        load = self._of(server_id)
        load.in_flight += 1
        load.tries += 1
        if load.open_until and not load.half_open:
            load.half_open = True
            load.probed_at = self._clock()

    def end(self, server_id: int) -> None:
        load = self._of(server_id)
        load.in_flight -= 1
        if load.in_flight <= 0:  # where those neither served nor failed, the next ones find out
            load.half_open = False
            load.tries = 0

    def served(
        self, server_id: int, *, latency_ms: float, output_tokens: int, ttft_ms: float | None = None
    ) -> None:
        """ttft_ms: to the first token, None of an answer that came as a whole."""
        load, now = self._of(server_id), self._clock()
        if load.failures:
            load.failures = 0
            self.epoch += 1
        load.paused_until = 0.0
        if load.half_open:
            load.open_until, load.half_open, load.closed_at = 0.0, False, now
            self.epoch += 1
            self._changed(server_id, 0.0, load.openings)
        self._count(load, now, ok=1)
        if ttft_ms is None:
            token_ms = latency_ms / (PREFILL_TOKENS + output_tokens)
            ttft_ms = PREFILL_TOKENS * token_ms
        else:
            token_ms = (latency_ms - ttft_ms) / max(output_tokens - 1, 1)
        self._time(load, now, ttft_ms, token_ms)

    def progressed(self, server_id: int, *, ttft_ms: float, token_ms: float) -> None:
        """How fast a stream under way is so far: a server that became slow is seen long before it ends."""
        self._time(self._of(server_id), self._clock(), ttft_ms, token_ms)

    def _time(self, load: ServerLoad, now: float, ttft_ms: float, token_ms: float) -> None:
        keep = math.exp(-max(now - load.timed_at, 0.0) / TIMES_TAU_S)
        fresh = now - load.timed_at < TIMES_FORGOTTEN_S
        load.ttft_ms = _peak(load.ttft_ms if fresh else None, ttft_ms, keep)
        load.token_ms = _peak(load.token_ms if fresh else None, token_ms, keep)
        load.timed_at = now

    def failed(self, server_id: int, *, at_once: bool = False) -> None:
        """at_once: open the circuit without waiting for more (the server refuses our token)."""
        load, now = self._of(server_id), self._clock()
        load.failures += 1
        if load.failures == 1:
            load.tries = 0
            self.epoch += 1
        self._count(load, now, failed=1)
        if load.failures < FAILURES_TO_OPEN and not at_once and not load.half_open:
            return
        if load.open_until > now and not load.half_open:
            return  # sent before it opened
        if now - max(load.closed_at, load.open_until) > FORGET_OPENINGS_S:
            load.openings = 0
        open_s = min(OPEN_S * 2**load.openings, OPEN_S_MAX)
        load.openings = min(load.openings + 1, OPENINGS_MAX)
        load.opened_at, load.open_until, load.half_open = now, now + open_s, False
        self.epoch += 1
        self._changed(server_id, open_s, load.openings)

    def paused(self, server_id: int, seconds: float) -> None:
        """The server asked for a pause (429): no failure, no requests until then."""
        load = self._of(server_id)
        load.paused_until = max(load.paused_until, self._clock() + min(max(seconds, 0.0), PAUSE_S_MAX))
        self.epoch += 1

    def not_offered(self, offer_id: int, endpoint: str) -> None:
        """The server says that it does not have this route for this model: it is not asked again for a while.

        That is no failure: anybody can send embeddings to a model that has none.
        """
        self._lacking.setdefault(endpoint, {})[offer_id] = self._clock() + NOT_OFFERED_S
        self.epoch += 1

    def lacking(self, endpoint: str) -> Collection[int]:
        """The offers whose server lately said that it does not have this route."""
        if endpoint not in self._lacking:
            return ()
        now = self._clock()
        found = {offer: until for offer, until in self._lacking[endpoint].items() if until > now}
        if found:
            self._lacking[endpoint] = found
        else:
            del self._lacking[endpoint]
        return found

    # ------------------------------------------------------------------------------------------ from other processes

    def adopt(self, changes: list[CircuitChange], shared: dict[int, Shared]) -> None:
        """Take over what other processes saw."""
        self._shared = shared
        now = self._clock()
        for change in changes:
            load = self._of(change.server_id)
            if change.changed <= load.heard:
                continue
            load.heard = change.changed
            load.openings = change.openings
            if change.open_s > 0:
                load.opened_at, load.open_until, load.half_open = now, now + change.open_s, False
            elif load.open_until:
                load.open_until, load.half_open, load.failures, load.closed_at = 0.0, False, 0, now
            self.epoch += 1

    # -------------------------------------------------------------------------------------------------------- reading

    def reading(self, server_id: int) -> Reading:
        """What is known of a server now."""
        load, shared = self._servers.get(server_id), self._shared.get(server_id)
        if load is None:
            return IDLE if shared is None else _from_others(shared)
        now = self._clock()
        keep = math.exp(-max(now - load.outcome_at, 0.0) / OUTCOMES_TAU_S)
        ok, failed = load.ok * keep, load.failed * keep
        ttft_ms = token_ms = None
        if now - load.timed_at < TIMES_FORGOTTEN_S:
            ttft_ms, token_ms = load.ttft_ms, load.token_ms
        if shared is not None:  # the others' outcomes contain ours: not the sum, or ours would count twice
            ok, failed = max(ok, shared.served), max(failed, shared.failed)
            if token_ms is None:
                others = _from_others(shared)
                ttft_ms, token_ms = others.ttft_ms, others.token_ms
        is_open = load.open_until > now or load.paused_until > now
        pause_over = bool(load.open_until) and not is_open
        return Reading(
            in_flight=load.in_flight,
            circuit_open=is_open,
            probe_due=is_open
            and load.paused_until <= now
            and not load.half_open
            and now - max(load.opened_at, load.probed_at) >= PANIC_PROBE_S,
            spent=(pause_over and load.half_open)
            or (0 < load.failures < FAILURES_TO_OPEN and load.tries >= FAILURES_TO_OPEN - 1),
            ok=ok,
            failed=failed,
            ttft_ms=ttft_ms,
            token_ms=token_ms,
            ramp=_ramp(now - load.closed_at),
        )

    def _of(self, server_id: int) -> ServerLoad:
        return self._servers.setdefault(server_id, ServerLoad())

    def _count(self, load: ServerLoad, now: float, *, ok: int = 0, failed: int = 0) -> None:
        keep = math.exp(-max(now - load.outcome_at, 0.0) / OUTCOMES_TAU_S)
        load.ok, load.failed, load.outcome_at = load.ok * keep + ok, load.failed * keep + failed, now


def _from_others(shared: Shared) -> Reading:
    """What the others' sums say of a server that this process has not asked lately."""
    if not shared.served:
        return Reading(failed=shared.failed)
    token_ms = shared.latency_ms_sum / (PREFILL_TOKENS * shared.served + shared.output_tokens)
    return Reading(
        ok=shared.served, failed=shared.failed, ttft_ms=PREFILL_TOKENS * token_ms, token_ms=token_ms
    )


def _peak(known: float | None, seen: float, keep: float) -> float:
    """A time as it is expected next: slower at once, faster little by little."""
    if known is None or seen >= known:
        return seen
    return seen + keep * (known - seen)


def _ramp(since_s: float) -> float:
    return 1.0 if since_s >= RETURN_S else RETURN_FLOOR + (1 - RETURN_FLOOR) * max(since_s, 0.0) / RETURN_S
