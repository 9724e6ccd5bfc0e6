"""A market on a virtual clock: what a way of choosing servers is worth to the customers.

`run` sends the same traffic through the real chooser, or through a rival that chooses in a simpler way, and counts
what the customers get. Two gateway processes choose, each with the sight of its own; they hear of each other once a
second, as in production. `python -m tests.routing.simulation` prints the table, `--tune` tries other weights.
"""

import argparse
import dataclasses
import heapq
import itertools
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from statistics import mean, median
from typing import Protocol

if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")
    django.setup()

from hosting import consistency, health
from hosting.offers import LiveOffer
from routing import choice, chooser, load, weights
from routing.calls import Call
from routing.fitness import has_room
from routing.load import CircuitChange, Load, Shared
from tests.routing.offers import call, offer

PROCESSES = 2
ATTEMPTS_MAX = 3
MODELS = 4
REFRESH_S = 1.0  # between two copies of what all processes saw
LOOK_S = 45.0  # between two health checks of a server
TEST_S = 15.0  # between two consistency tests; in production 600 s, so a run is as long as hours of judgement
TRUST_WEIGHT = 0.1  # of a test
FIRST_BYTE_S = 60.0
PACE_S = 1.0  # between two looks at how fast a stream goes
CROWDED = 0.5  # by how much of its time a full server takes longer than an empty one

# What a request is worth: 1 for a right answer in time, less what it costs and how long it takes.
PRICE_RATE = 0.25  # for each time the usual price of this request on this market
LATENCY_RATE = 0.02  # for each second
PATIENCE_S, PATIENCE_TOKEN_S = (
    4.0,
    0.06,
)  # "in time" is within that, and that much for each token of the answer

CALLS = {  # by the most tokens that are asked for; two lengths of question
    tokens: [
        call(max_tokens=tokens, messages=[{"role": "user", "content": "x" * size}]) for size in (200, 2_000)
    ]
    for tokens in (64, 400)
}


# --------------------------------------------------------------------------------------------------------- the market


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a server is slower by this factor; math.inf: it refuses connections."""

    begins: float
    ends: float
    slowdown: float


@dataclass(slots=True)
class Host:
    """A server as it is, and `offer`, as the market sees it."""

    offer: LiveOffer
    ttft_ms: float = 300.0
    token_ms: float = 25.0
    right: float = 0.97  # of its answers
    failing: float = 0.005  # of its requests
    spells: list[Spell] = field(default_factory=list)
    running: int = 0
    waiting: deque[Callable[[], None]] = field(default_factory=deque)
    died: int = 0  # how often
    results: list[bool] = field(default_factory=list)  # of consistency tests
    served: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # sums of this minute, as in Shared
    before: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # and of the last

    def slowdown(self, now: float) -> float:
        return max((spell.slowdown for spell in self.spells if spell.begins <= now < spell.ends), default=1.0)


def market(random: Random, servers: int, length_s: float) -> list[Host]:
    """Honest servers of all prices and speeds; some slow, flaky, lying, free, new, or ill for a while."""
    hosts = []
    for number in range(1, servers + 1):
        price = round(100 * random.lognormvariate(0, 0.4))
        host = Host(
            offer(
                number, model=f"m{number % MODELS}", price_in=price, price_out=3 * price,
                slots=random.choice((1, 2, 3, 4)), trust=random.uniform(0.85, 0.98),
                consistency=random.uniform(0.9, 1.0), context_window=100_000,
            ),
            ttft_ms=300 * random.lognormvariate(0, 0.3), token_ms=25 * random.lognormvariate(0, 0.4),
            right=random.uniform(0.94, 0.995), failing=random.uniform(0, 0.01),
        )  # fmt: skip
        hosts.append(host)
        _spoil(host, random, length_s)
        settled = [random.random() < host.right for _ in range(20 if not host.offer.new else 0)]
        host.results = settled if host.offer.consistency != 1.0 else [True] * 10
    return hosts


def _spoil(host: Host, random: Random, length_s: float) -> None:
    """Of a hundred servers, 58 are left as they are."""
    kind, begins = random.random(), random.uniform(0.1, 0.7) * length_s
    change: dict[str, object] = {}
    if kind < 0.07:  # slow and cheap
        host.token_ms *= 5
        host.ttft_ms *= 5
        change = {"price_in": host.offer.price_in // 2, "price_out": host.offer.price_out // 2}
    elif kind < 0.14:
        host.failing = random.uniform(0.2, 0.7)
    elif kind < 0.20:  # a poorer model, and it is known
        host.right = random.uniform(0.3, 0.7)
        change = {
            "trust": random.uniform(0.4, 0.75),
            "consistency": host.right,
            "price_out": host.offer.price_out // 2,
        }
    elif kind < 0.25:  # a poorer model, and nobody knows yet
        host.right = random.uniform(0.2, 0.6)
        change = {"consistency": 1.0, "price_out": host.offer.price_out * 2 // 3}
    elif kind < 0.30:  # bait
        host.right, host.failing = 0.2, 0.1
        change = {"price_in": 0, "price_out": 0, "trust": 0.5, "new": True, "consistency": 1.0}
    elif kind < 0.34:  # new and honest
        change = {"trust": 0.5, "new": True, "consistency": 1.0}
    elif kind < 0.37:
        host.failing = 0.1
        change = {"status": "probation", "trust": 0.7}
    elif kind < 0.42:
        host.spells.append(Spell(begins, begins + 0.3 * length_s, random.uniform(4, 8)))
    host.offer = dataclasses.replace(host.offer, **change)
    if kind > 0.96:
        host.spells.append(Spell(begins, begins + 0.2 * length_s, math.inf))


@dataclass
class Catalogue:
    """Stands in for the directory of a gateway process."""

    hosts: dict[int, Host]
    processes: int = PROCESSES
    epoch: int = 0

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        self._offers: dict[str, list[LiveOffer]] = {}
        for host in self.hosts.values():
            self._offers.setdefault(host.offer.model, []).append(host.offer)
        self.epoch += 1

    def chat_offers(self, model: str) -> Sequence[LiveOffer]:
        return self.offers(model)

    def offers(self, model: str) -> Sequence[LiveOffer]:
        return self._offers.get(model, ())

    def has(self, model: str, kind: str) -> bool:
        return kind == "hoster" and model in self._offers


# ------------------------------------------------------------------------------------------------- ways of choosing


class Chooses(Protocol):
    def __call__(self, process: int, call: Call, seed: int) -> list[LiveOffer]: ...


class Engine:
    """The real chooser of each process."""

    name = "engine"

    def __init__(self, world: "World") -> None:
        self.choosers = [
            chooser.Chooser(
                world.catalogue, one, auto_max_price=0, attempts_max=ATTEMPTS_MAX, clock=world.clock,
                beta=world.chance.betavariate,
            )
            for one in world.loads
        ]  # fmt: skip
        self.loads = world.loads

    def __call__(self, process: int, call: Call, seed: int) -> list[LiveOffer]:
        try:
            return self.choosers[process].choose(call, seed).offers
        except chooser.ApiError:
            return []

    def takes(self, process: int, offer: LiveOffer, *, last: bool) -> bool:
        one = self.loads[process]
        return one.takes(offer.server_id, offer.slots) or (last and one.can_try(offer.server_id, offer.slots))


class Rival:
    """A simpler way: everybody fit to serve and with a free slot, in another order. It has three attempts too."""

    name = ""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.turn = [0] * PROCESSES

    def __call__(self, process: int, call: Call, seed: int) -> list[LiveOffer]:
        usable = [
            one
            for one in self.world.catalogue.offers(call.model)
            if one.status not in ("suspended", "deactivated") and not one.draining
            if self.takes(process, one)
        ]
        return self.order(usable, process, seed)[:ATTEMPTS_MAX]

    def takes(self, process: int, offer: LiveOffer, *, last: bool = False) -> bool:
        return has_room(self.world.loads[process].reading(offer.server_id), offer.slots, PROCESSES)

    def order(self, usable: list[LiveOffer], process: int, seed: int) -> list[LiveOffer]:
        raise NotImplementedError


class RoundRobin(Rival):
    name = "round-robin"

    def order(self, usable: list[LiveOffer], process: int, seed: int) -> list[LiveOffer]:
        self.turn[process] += 1
        at = self.turn[process] % max(len(usable), 1)
        return usable[at:] + usable[:at]


class AtRandom(Rival):
    name = "random"

    def order(self, usable: list[LiveOffer], process: int, seed: int) -> list[LiveOffer]:
        return Random(seed).sample(usable, min(ATTEMPTS_MAX, len(usable)))


class CheapestFirst(Rival):
    name = "cheapest-first"

    def order(self, usable: list[LiveOffer], process: int, seed: int) -> list[LiveOffer]:
        return sorted(usable, key=lambda one: one.price_in + one.price_out)


class LeastLoaded(Rival):
    name = "least-loaded"

    def order(self, usable: list[LiveOffer], process: int, seed: int) -> list[LiveOffer]:
        random, busy = Random(seed), self.world.loads[process].in_flight
        return sorted(usable, key=lambda one: (busy(one.server_id) / one.slots, random.random()))


RIVALS = (RoundRobin, AtRandom, CheapestFirst, LeastLoaded)


# ---------------------------------------------------------------------------------------------------------- one run


@dataclass(slots=True)
class Request:
    at: float
    call: Call
    output_tokens: int
    seed: int
    process: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a server was asked: `at` what time, and how it ended."""

    at: float
    server: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What a customer got. cost: 1 is the usual price of this request."""

    served: bool
    good: bool
    cost: float
    latency_s: float

    @property
    def worth(self) -> float:
        return self.good - PRICE_RATE * self.cost - LATENCY_RATE * self.latency_s


@dataclass(frozen=True, slots=True)
class Figures:
    """good, failed: shares of all requests. cost: mean of those served. goal: mean worth of a request."""

    good: float
    cost: float
    p95_s: float
    failed: float
    goal: float

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Figures":
        served = [one for one in results if one.served]
        times = sorted(one.latency_s for one in served)
        return cls(
            good=mean(one.good for one in results),
            cost=mean(one.cost for one in served),
            p95_s=times[int(0.95 * len(times))],
            failed=1 - len(served) / len(results),
            goal=mean(one.worth for one in results),
        )

    @classmethod
    def over(cls, runs: Sequence["Figures"]) -> "Figures":
        return cls(*(mean(values) for values in zip(*map(dataclasses.astuple, runs), strict=True)))


class World:
    """Hosts, processes, and what happens when."""

    def __init__(self, hosts: Iterable[Host], seed: int, length_s: float) -> None:
        self.hosts = {host.offer.server_id: host for host in hosts}
        self.length_s = length_s
        self.now = 0.0
        self.chance = Random(seed)
        self.results: list[Result] = []
        self.attempts: list[Attempt] = []
        self.openings: list[tuple[float, int, float]] = []  # when, which server, for how long
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._circuits: dict[int, CircuitChange] = {}
        self.loads = [Load(self.clock, self._opened) for _ in range(PROCESSES)]
        self.catalogue = Catalogue(self.hosts)
        self.usual: dict[str, tuple[float, float]] = {}
        for model in {host.offer.model for host in self.hosts.values()}:
            offers = self.catalogue.offers(model)
            self.usual[model] = median(o.price_in for o in offers), median(o.price_out for o in offers)

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), act))

    def run(self, chooses: "Engine | Rival", requests: Iterable[Request]) -> None:
        """All requests to their end."""
        for request in requests:
            self.after(request.at, lambda request=request: Course(self, chooses, request).begin())
        for number, host in enumerate(self.hosts.values()):
            self._every(LOOK_S, LOOK_S * number / len(self.hosts), lambda host=host: self._look(host))
            self._every(TEST_S, TEST_S * number / len(self.hosts), lambda host=host: self._test(host))
            for spell in host.spells:
                if spell.slowdown == math.inf:
                    self.after(spell.begins, lambda host=host: self._die(host))
        self._every(REFRESH_S, REFRESH_S, self._refresh)
        self._every(60.0, 60.0, self._turn_minute)
        while self._events:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def _every(self, seconds: float, first: float, act: Callable[[], None]) -> None:
        for number in range(int((self.length_s - first) / seconds) + 1):
            self.after(first + number * seconds, act)

    # What other parts of the system do meanwhile.

    def _opened(self, server: int, open_s: float, openings: int) -> None:
        self._circuits[server] = CircuitChange(server, self.now + 1, self.now + open_s, openings)
        if open_s:
            self.openings.append((self.now, server, open_s))

    def _refresh(self) -> None:
        self.catalogue.refresh()
        changes = [one._replace(open_s=one.open_s - self.now) for one in self._circuits.values()]
        sums = {
            number: Shared(*map(sum, zip(host.served, host.before, strict=True)))
            for number, host in self.hosts.items()
            if host.served[0] or host.served[1] or host.before[0] or host.before[1]
        }
        for one in self.loads:
            one.adopt(changes, sums)

    def _turn_minute(self) -> None:
        for host in self.hosts.values():
            served, failed = host.served[:2]
            self._judge_health(host, health.WEIGHT_OF_A_REQUEST, served, failed)
            host.before, host.served = host.served, [0, 0, 0, 0]

    def _look(self, host: Host) -> None:
        dead = host.slowdown(self.now) == math.inf
        self._judge_health(host, health.WEIGHT_OF_A_CHECK, not dead, dead)

    def _judge_health(self, host: Host, weight: float, ok: int, failed: int) -> None:
        if ok + failed:
            keep = (1 - weight) ** (ok + failed)
            score = host.offer.health * keep + (1 - keep) * ok / (ok + failed)
            host.offer = dataclasses.replace(host.offer, health=score)

    def _test(self, host: Host) -> None:
        if host.slowdown(self.now) == math.inf or host.offer.status == "suspended":
            return
        right = self.chance.random() < host.right
        host.results.append(right)
        change: dict[str, object] = {"consistency": consistency.score(host.results)}
        change["trust"] = host.offer.trust + TRUST_WEIGHT * (right - host.offer.trust)
        if consistency.is_convicted(host.results, expected=None):
            change["status"] = "suspended"
        host.offer = dataclasses.replace(host.offer, **change)

    def _die(self, host: Host) -> None:
        host.died += 1
        host.running = 0
        waiting, host.waiting = host.waiting, deque()
        for start in waiting:
            start()  # and finds out

    def leave(self, host: Host) -> None:
        host.running -= 1
        if host.waiting:
            host.waiting.popleft()()


class Course:
    """One request on its way through up to three servers."""

    def __init__(self, world: World, chooses: "Engine | Rival", request: Request) -> None:
        self.world, self.chooses, self.request = world, chooses, request
        self.load = world.loads[request.process]
        self.offers: list[LiveOffer] = []
        self.position = 0

    def begin(self) -> None:
        self.offers = self.chooses(self.request.process, self.request.call, self.request.seed)
        self.next()

    def next(self) -> None:
        while self.position < len(self.offers):
            offer = self.offers[self.position]
            self.position += 1
            if self.chooses.takes(self.request.process, offer, last=self.position == len(self.offers)):
                self.ask(self.world.hosts[offer.server_id])
                return
        self.end(served=False)

    def ask(self, host: Host) -> None:
        world, began = self.world, self.world.now
        self.load.begin(host.offer.server_id)
        if host.slowdown(began) == math.inf:
            world.after(0.01, lambda: self.fail(host, began))
        elif world.chance.random() < host.failing:
            world.after(world.chance.uniform(0.1, 2.0), lambda: self.fail(host, began))
        elif host.running < host.offer.slots:
            self.write(host, began)
        else:
            host.waiting.append(lambda: self.write(host, began))

    def write(self, host: Host, began: float) -> None:
        """Its turn came."""
        world, died = self.world, host.died
        slowdown = host.slowdown(world.now)
        if slowdown == math.inf or world.now - began > FIRST_BYTE_S:
            if slowdown != math.inf:
                host.running += 1
                world.leave(host)
            self.fail(host, began)
            return
        pace = slowdown * (1 + CROWDED * host.running / host.offer.slots) / 1_000
        host.running += 1
        first_s, each_s = host.ttft_ms * pace, host.token_ms * pace
        whole_s = first_s + each_s * (self.request.output_tokens - 1)
        ttft_ms = 1_000 * (world.now - began + first_s)

        def finish() -> None:
            if host.died != died:  # in the middle of the answer: no other server is asked
                self.note(host, began, ok=False)
                self.end(served=False)
                return
            world.leave(host)
            self.note(host, began, ok=True, ttft_ms=ttft_ms)
            self.end(served=True, host=host)

        def progress() -> None:
            if host.died == died:
                self.load.progressed(host.offer.server_id, ttft_ms=ttft_ms, token_ms=1_000 * each_s)

        world.after(whole_s, finish)
        at = first_s + PACE_S
        while at < whole_s:
            world.after(at, progress)
            at += PACE_S

    def fail(self, host: Host, began: float) -> None:
        self.note(host, began, ok=False)
        self.next()

    def note(self, host: Host, began: float, *, ok: bool, ttft_ms: float = 0.0) -> None:
        world, tokens, server = self.world, self.request.output_tokens, host.offer.server_id
        latency_ms = 1_000 * (world.now - began)
        if ok:
            self.load.served(server, latency_ms=latency_ms, output_tokens=tokens, ttft_ms=ttft_ms)
            host.served[0] += 1
            host.served[2] += round(latency_ms)
            host.served[3] += tokens
        else:
            self.load.failed(server)
            host.served[1] += 1
        self.load.end(server)
        world.attempts.append(Attempt(began, server, ok))

    def end(self, *, served: bool, host: Host | None = None) -> None:
        request, world = self.request, self.world
        latency_s = world.now - request.at
        good, cost = False, 0.0
        if host is not None:
            tokens_in, tokens_out = request.call.prompt_bytes / 4, request.output_tokens
            usual_in, usual_out = world.usual[request.call.model]
            paid = tokens_in * host.offer.price_in + tokens_out * host.offer.price_out
            cost = paid / (tokens_in * usual_in + tokens_out * usual_out)
            in_time = latency_s <= PATIENCE_S + PATIENCE_TOKEN_S * request.output_tokens
            good = in_time and world.chance.random() < host.right
        world.results.append(Result(served, good, cost, latency_s))


def traffic(
    random: Random, length_s: float, per_s: float, *, burst: float = 2.5, models: int = MODELS
) -> Iterator[Request]:
    """Poisson arrivals, and `burst` times as many in ten seconds of each fifty."""
    now = 0.0
    calls = {
        (model, tokens): [dataclasses.replace(one, model=f"m{model}") for one in kinds]
        for model in range(models)
        for tokens, kinds in CALLS.items()
    }
    while (now := now + random.expovariate(per_s * (burst if now % 50 > 40 else 1))) < length_s:
        tokens = random.choice(tuple(CALLS))
        yield Request(
            now, random.choice(calls[random.randrange(models), tokens]), max(round(random.uniform(0.3, 1) * tokens), 1),
            random.getrandbits(64), random.randrange(PROCESSES),
        )  # fmt: skip


def run(
    way: type[Engine] | type[Rival],
    seed: int,
    *,
    servers: int = 200,
    length_s: float = 120,
    per_s: float = 30,
) -> Figures:
    random = Random(seed)
    world = World(market(random, servers, length_s), seed, length_s)
    world.run(way(world), list(traffic(random, length_s, per_s)))
    return Figures.of(world.results)


def run_equals(servers: int, spells: list[Spell], seed: int, *, length_s: float) -> World:
    """So many equal servers, the first of which has the spells; five requests a second for each."""
    hosts = [
        Host(offer(n, model="m0", slots=64, context_window=100_000), right=1.0, failing=0.0)
        for n in range(1, servers + 1)
    ]
    hosts[0].spells = spells
    world = World(hosts, seed, length_s)
    world.run(Engine(world), list(traffic(Random(seed), length_s, 5 * servers, burst=1, models=1)))
    return world


def compare(seeds: Sequence[int], **size: float) -> dict[str, list[Figures]]:
    return {way.name: [run(way, seed, **size) for seed in seeds] for way in (Engine, *RIVALS)}


HEADER = f"{'':<32}{'good':>8}{'price':>8}{'p95 s':>8}{'failed':>8}{'goal':>8}"


def row(name: str, figures: Figures) -> str:
    shares = f"{figures.good:>8.1%}{figures.cost:>8.2f}{figures.p95_s:>8.1f}{figures.failed:>8.1%}"
    return f"{name:<32}{shares}{figures.goal:>8.3f}"


def table(compared: dict[str, list[Figures]]) -> str:
    return "\n".join([HEADER, *(row(name, Figures.over(runs)) for name, runs in compared.items())])


# ----------------------------------------------------------------------------------------------------------- tuning


GRID: dict[str, tuple[tuple[object, str], Sequence[float]]] = {
    "trust": ((weights, "TRUST_EXPONENT"), (0, 1, 2, 3, 4, 6)),
    "health": ((weights, "HEALTH_EXPONENT"), (0, 1, 2, 3, 4, 6)),
    "consistency": ((weights, "CONSISTENCY_EXPONENT"), (0, 1, 2, 3, 4, 6)),
    "time": ((weights, "EXPONENTS"), (0.5, 0.75, 1, 1.25, 1.5, 2, 3)),
    "price": ((weights, "EXPONENTS"), (0, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)),
    "ratio": ((weights, "RATIO_MAX"), (4, 8, 16)),
    "prior": ((weights, "HEALTH_PRIOR"), (2, 4, 8, 16)),
    "new": ((choice.SHARES, "new"), (0.02, 0.05, 0.1, 0.2)),
    "untrusted": ((choice.SHARES, "untrusted"), (0.01, 0.02, 0.05, 0.1)),
    "tau": ((load, "TIMES_TAU_S"), (5, 10, 20)),
}


def current(name: str) -> float:
    (where, key), _ = GRID[name]
    if key == "EXPONENTS":
        return weights.EXPONENTS["balanced"][name == "price"]
    return where[key] if isinstance(where, dict) else getattr(where, key)


@contextmanager
def changed(**values: float) -> Iterator[None]:
    """The engine with other constants."""
    before = {name: current(name) for name in values}
    try:
        for name, value in values.items():
            _set(name, value)
        yield
    finally:
        for name, value in before.items():
            _set(name, value)


def _set(name: str, value: float) -> None:
    (where, key), _ = GRID[name]
    if key == "EXPONENTS":
        pair = list(weights.EXPONENTS["balanced"])
        pair[name == "price"] = value
        weights.EXPONENTS["balanced"] = (pair[0], pair[1])
    elif isinstance(where, dict):
        where[key] = value
    else:
        setattr(where, key, value)


def tune(seeds: Sequence[int], **size: float) -> None:
    """One constant after another, the others as they are."""
    print(HEADER)
    print(row("as it is", Figures.over([run(Engine, seed, **size) for seed in seeds])))
    for name, (_, values) in GRID.items():
        for value in values:
            with changed(**{name: value}):
                runs = [run(Engine, seed, **size) for seed in seeds]
            mark = " *" if value == current(name) else ""
            print(row(f"{name} {value:g}{mark}", Figures.over(runs)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", action="store_true", help="try other constants, one at a time")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--per-second", type=float, default=30)
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    size = {"servers": options.servers, "length_s": options.seconds, "per_s": options.per_second}
    if options.tune:
        tune(seeds, **size)
    else:
        print(table(compare(seeds, **size)))


if __name__ == "__main__":
    sys.exit(main())
