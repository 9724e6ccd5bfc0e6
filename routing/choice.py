"""Draw the servers to ask, in order, by weight.

Pure: the same field, readings and seed give the same order, so any decision can be replayed. docs/routing.md says
all of it in words.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hosting.offers import LiveOffer
from routing.fitness import TRUSTED, Reading, Readings
from routing.weights import PREFILL_TOKENS, Beta, Need, expected_value, median, weigh

HEALTH_LOW = 0.5
NEW_SHARE = 0.10  # of the draws, for all servers of new hosters together
UNTRUSTED_SHARE = 0.05  # for all servers that were judged and are not trusted
SHARES = {"trusted": 0.0, "new": NEW_SHARE, "untrusted": UNTRUSTED_SHARE}  # trusted: the rest
BUSY_FACTOR = 2.0  # a server this much busier than the mean is compared with a second one
BUSY_MARGIN = 0.05
AFFINITY = 4.0  # times the weight, for the server that has the beginning of this prompt in its cache
GOLDEN = 0x9E3779B97F4A7C15
MASK = 0xFFFFFFFFFFFFFFFF


class Field:
    """Offers of one kind with their weights, ready to be drawn from many times.

    Trusted servers share what new and untrusted ones leave (NEW_SHARE, UNTRUSTED_SHARE), which is everything when
    nobody is trusted; weak ones (health below 0.5) are only asked when nobody else is left.
    """

    __slots__ = ("_cumulative", "busy", "factors", "offers", "ranked", "shares", "total", "weak")

    def __init__(
        self,
        offers: Sequence[LiveOffer],
        need: Need,
        reading: Readings,
        *,
        tier: str = "balanced",
        beta: Beta = expected_value,
    ) -> None:
        ordered = sorted(offers, key=lambda offer: offer.server_id)
        self.weak = [offer for offer in ordered if offer.health < HEALTH_LOW]
        if self.weak and len(self.weak) < len(ordered):
            ordered = [offer for offer in ordered if offer.health >= HEALTH_LOW]
        else:
            self.weak = []
        self.offers = ordered
        self.factors = weigh(ordered, need, reading, tier=tier, beta=beta)
        self.ranked = tier == "cheapest"
        self.busy = sum(reading(offer.server_id).in_flight / offer.slots for offer in ordered) / max(
            len(ordered), 1
        )
        self._cumulative: list[float] = []
        self.total = 0.0
        self.shares = self._shares()
        for share in self.shares:
            self.total += share
            self._cumulative.append(self.total)

    def _shares(self) -> list[float]:
        """What each offer is drawn with, up to a common factor: its weight, scaled to its class's share."""
        weights = [factors.weight for factors in self.factors]
        classes = [_class(offer) for offer in self.offers]
        sums = dict.fromkeys(SHARES, 0.0)
        for name, weight in zip(classes, weights, strict=True):
            sums[name] += weight
        if not sums["trusted"]:
            return weights
        explored = sum(share for name, share in SHARES.items() if share and sums[name])
        scale = {
            name: (share or 1 - explored) / sums[name] if sums[name] else 0.0
            for name, share in SHARES.items()
        }
        return [weight * scale[name] for name, weight in zip(classes, weights, strict=True)]

    def at(self, point: float) -> int:
        """Where a number from 0 to 1 falls, when each offer has its share of them."""
        return min(bisect_right(self._cumulative, point * self.total), len(self._cumulative) - 1)


def _class(offer: LiveOffer) -> str:
    if offer.trust > TRUSTED:
        return "trusted"
    return "new" if offer.new else "untrusted"


class Sight(Protocol):
    """What is known of the servers at this moment; `load.Load` in a running gateway."""

    def reading(self, server_id: int) -> Reading: ...

    def takes(self, server_id: int, slots: int) -> bool:
        """Whether a request may begin there now."""

    def can_try(self, server_id: int, slots: int) -> bool:
        """Whether one may that nobody else takes."""

    def in_flight(self, server_id: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Draw:
    """How many to draw, and by what. seed: of the request, so that the draw can be repeated.

    prefix: hash of the prompt's beginning, 0 for none.
    """

    seed: int
    most: int
    sight: Sight
    need: Need
    prefix: int = 0

    def takes(self, offer: LiveOffer) -> bool:
        return self.sight.takes(offer.server_id, offer.slots)


def draw(field: Field, by: Draw) -> list[LiveOffer]:
    """At most `by.most` offers in the order to try them; shorter when fewer can take a request now.

    A server on probation that is drawn keeps its place with probability ½; otherwise only active ones are drawn from
    then on. That is exactly half of its share; half of its weight would be more.
    """
    chosen: list[LiveOffer] = []
    if not field.offers:
        return chosen
    if field.ranked:
        return _ranked(field, by)
    most = min(by.most, len(field.offers) + len(field.weak))
    thinned = False
    if (favourite := _favourite(field, by)) is not None:
        chosen.append(favourite)
    for number in range(4 * most):
        if len(chosen) == most:
            return chosen
        offer = field.offers[field.at(coin(by.seed, number))]
        if offer in chosen or not by.takes(offer):
            continue
        if offer.status == "probation":
            if thinned or is_thinned(by.seed, offer):
                thinned = True
                continue
        elif not chosen:
            offer = _faster(field, offer, by, number)
        chosen.append(offer)
    rest = [offer for offer in field.offers if offer not in chosen and by.takes(offer)]
    weak = sorted(filter(by.takes, field.weak), key=lambda offer: (-offer.health, offer.server_id))
    ordered = [*_shuffled(field, rest, by.seed), *weak]
    return _filled(chosen, ordered, by, thinned) or _suspects(field, by, thinned)


def coin(seed: int, number: int) -> float:
    """A number in (0, 1) that depends only on the two (splitmix64's finaliser)."""
    x = (seed + number * GOLDEN) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return ((x ^ (x >> 31)) + 1) / (MASK + 2)


def is_thinned(seed: int, offer: LiveOffer) -> bool:
    """Whether a server on probation loses this request; the same for all draws of it."""
    return coin(seed ^ GOLDEN, offer.server_id) < 0.5


def _filled(
    chosen: list[LiveOffer], ordered: Iterable[LiveOffer], by: Draw, thinned: bool
) -> list[LiveOffer]:
    """`chosen` and what of `ordered` fits behind it, on the same terms for those on probation."""
    for offer in ordered:
        if len(chosen) == by.most:
            break
        if offer.status == "probation" and (thinned or is_thinned(by.seed, offer)):
            thinned = True
            continue
        chosen.append(offer)
    return chosen


def _shuffled(field: Field, offers: list[LiveOffer], seed: int) -> list[LiveOffer]:
    """In random order, by weight (Efraimidis and Spirakis, 2006)."""
    shares = dict(zip((offer.server_id for offer in field.offers), field.shares, strict=True))
    return sorted(
        offers, key=lambda offer: -math.log(coin(~seed & MASK, offer.server_id)) / shares[offer.server_id]
    )


def _suspects(field: Field, by: Draw, thinned: bool) -> list[LiveOffer]:
    """When nobody else is left: those that failed last and are being tried already, and probes that are due."""
    left = [offer for offer in field.offers if by.sight.can_try(offer.server_id, offer.slots)]
    return _filled([], left, by, thinned)


def _ranked(field: Field, by: Draw) -> list[LiveOffer]:
    """The cheapest first, ties by weight; of the class that the share of new and untrusted ones picks."""
    first = _class(field.offers[field.at(coin(by.seed, 0))])
    weights = {offer.server_id: factors for offer, factors in zip(field.offers, field.factors, strict=True)}
    ranked = sorted(
        filter(by.takes, field.offers),
        key=lambda offer: (
            _class(offer) != first,
            weights[offer.server_id].cost_nanos,
            -math.log(coin(by.seed, offer.server_id)) / weights[offer.server_id].weight,
        ),
    )
    return _filled([], ranked, by, False) or _suspects(field, by, False)


def _favourite(field: Field, by: Draw) -> LiveOffer | None:
    """The server that has seen this prompt's beginning, with the probability that AFFINITY times its weight gives.

    Which one it is, is the highest of a hash for each server (rendezvous hashing): when servers come or go, the
    others keep their conversations. Not while it is busier than the rest.
    """
    if not by.prefix or len(field.offers) < 2:
        return None
    at = max(range(len(field.offers)), key=lambda i: coin(by.prefix, field.offers[i].server_id))
    offer = field.offers[at]
    if offer.status == "probation" or not by.takes(offer) or _is_busy(field, offer, by):
        return None
    extra = (AFFINITY - 1) * field.shares[at]
    return offer if coin(by.seed ^ MASK, offer.server_id) < extra / (field.total + extra) else None


def _faster(field: Field, offer: LiveOffer, by: Draw, number: int) -> LiveOffer:
    """The faster of this one and a second draw, when this one is much busier than the mean (two choices)."""
    if not _is_busy(field, offer, by):
        return offer
    other = field.offers[field.at(coin(by.seed, ~number))]
    if other.status == "probation" or _class(other) != _class(offer) or not by.takes(other):
        return offer
    usual = median([factors.time_ms for factors in field.factors]) / (PREFILL_TOKENS + by.need.output_tokens)
    return min(
        (offer, other), key=lambda one: by.need.time_ms(by.sight.reading(one.server_id), one.slots, usual)
    )


def _is_busy(field: Field, offer: LiveOffer, by: Draw) -> bool:
    busy = by.sight.in_flight(offer.server_id) / offer.slots
    return busy > BUSY_FACTOR * field.busy + BUSY_MARGIN
