"""What this process sees of each server right now: requests under way, failures in a row, usual time."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from routing.choice import IDLE, Reading

FAILURES_TO_OPEN = 3
OPEN_S = 30.0
OPEN_S_MAX = 300.0
NOT_OFFERED_S = 60.0
LATENCY_DECAY = 0.2


@dataclass(slots=True)
class ServerLoad:
    in_flight: int = 0
    failures: int = 0
    openings: int = 0
    open_until: float = 0.0
    expected_ms: float | None = None


class Load:
    """Readings by server id. The clock gives seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._servers: dict[int, ServerLoad] = {}
        self._lacking: dict[tuple[int, str], float] = {}  # until when
        self.share = 1  # gateway processes that share the servers' slots

    def has_room(self, server_id: int, slots: int) -> bool:
        """Whether this process' part of the server's slots is not used up."""
        return self._of(server_id).in_flight < math.ceil(slots / self.share)

    def begin(self, server_id: int) -> None:
        self._of(server_id).in_flight += 1

    def end(self, server_id: int) -> None:
        self._of(server_id).in_flight -= 1

    def served(self, server_id: int, ttft_ms: float) -> None:
        load = self._of(server_id)
        load.failures = load.openings = 0
        load.open_until = 0.0
        if load.expected_ms is None or ttft_ms > load.expected_ms:
            load.expected_ms = ttft_ms  # peak: up at once, down slowly
        else:
            load.expected_ms += LATENCY_DECAY * (ttft_ms - load.expected_ms)

    def failed(self, server_id: int, *, at_once: bool = False) -> None:
        """at_once: open the circuit without waiting for more (the server refuses our token)."""
        load = self._of(server_id)
        load.failures += 1
        if load.failures >= FAILURES_TO_OPEN or at_once:
            load.open_until = self._clock() + min(OPEN_S * 2**load.openings, OPEN_S_MAX)
            load.openings += 1
            load.failures = FAILURES_TO_OPEN - 1  # after the pause one probe decides

    def not_offered(self, offer_id: int, endpoint: str) -> None:
        """The server says that it does not have this route for this model: it is not asked again for a while.

        That is no failure: anybody can send embeddings to a model that has none.
        """
        self._lacking[offer_id, endpoint] = self._clock() + NOT_OFFERED_S

    def offers(self, offer_id: int, endpoint: str) -> bool:
        """Whether the server may be asked for this route of this model."""
        until = self._lacking.get((offer_id, endpoint))
        return until is None or until <= self._clock()

    def paused(self, server_id: int, seconds: float) -> None:
        """The server asked for a pause (429): no failure, no requests until then."""
        load = self._of(server_id)
        load.open_until = max(load.open_until, self._clock() + min(max(seconds, 0.0), 60.0))

    def reading(self, server_id: int) -> Reading:
        """What is known of a server now."""
        load = self._servers.get(server_id)
        if load is None:
            return IDLE
        return Reading(load.in_flight, self._clock() < load.open_until, load.expected_ms)

    def _of(self, server_id: int) -> ServerLoad:
        return self._servers.setdefault(server_id, ServerLoad())
