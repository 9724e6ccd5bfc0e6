"""Which servers to ask, and in which order: filter with reasons, weigh, draw.

Pure: the same offers, call, readings and seed give the same order. Weights follow price, health, trust and the
time a server is expected to take; a probationer keeps half of what it would get.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hosting.offers import LiveOffer
from routing.wire import Call

TRUSTED = 0.8
HEALTH_MIN = 0.3
RATIO_MAX = 8.0
FLOOR = 0.05
EXCLUDED = frozenset({"suspended", "deactivated"})
EXPONENTS = {  # of latency and price, by tier
    "balanced": (1.0, 1.0),
    "fastest": (3.0, 0.5),
    "cheapest": (1.0, 1.0),
}
GOLDEN = 0x9E3779B97F4A7C15
MASK = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Reading:
    """What this process saw of a server: requests under way, whether its circuit is open, expected milliseconds."""

    in_flight: int = 0
    circuit_open: bool = False
    expected_ms: float | None = None


IDLE = Reading()
Readings = Callable[[int], Reading]  # by server id; asked only for the servers that are looked at


def fit(
    offers: Iterable[LiveOffer],
    call: Call,
    reading: Readings,
    *,
    prompt_tokens: int,
    share: int,
) -> tuple[list[LiveOffer], dict[int, str]]:
    """The offers that may serve this call, and for each other one (by server) why not.

    share: how many gateway processes there are; each may use its part of a server's slots.
    """
    usable, reasons = [], {}
    for offer in offers:
        reason = unfit(offer, call, reading(offer.server_id), prompt_tokens=prompt_tokens, share=share)
        if reason is None:
            usable.append(offer)
        else:
            reasons[offer.server_id] = reason
    return usable, reasons


def unfit(offer: LiveOffer, call: Call, reading: Reading, *, prompt_tokens: int, share: int) -> str | None:
    """The first rule that keeps this server from this call; None when it may serve."""
    wish = call.preferences
    if offer.status in EXCLUDED:
        return offer.status
    if offer.draining:
        return "draining"
    if prompt_tokens >= offer.context_window:
        return "context"
    if wish.privacy_mode and offer.kind == "cloud":
        return "privacy"
    if offer.owner in wish.deny_hosters:
        return "denied"
    if wish.allow_hosters and offer.owner not in wish.allow_hosters:
        return "not_allowed"
    if wish.trusted_only and offer.trust <= TRUSTED:
        return "not_trusted"
    if wish.max_price_in is not None and offer.price_in > wish.max_price_in:
        return "max_price"
    if wish.max_price_out is not None and offer.price_out > wish.max_price_out:
        return "max_price"
    if reading.circuit_open:
        return "circuit_open"
    if offer.health < HEALTH_MIN:
        return "health_below_0.3"
    if reading.in_flight >= math.ceil(offer.slots / share):
        return "saturated"
    return None


def order(
    offers: list[LiveOffer],
    call: Call,
    reading: Readings,
    *,
    prompt_tokens: int,
    seed: int,
    most: int,
    kinds: tuple[str, ...] = ("hoster", "local", "cloud"),
) -> list[LiveOffer]:
    """At most `most` offers in the order to try them: kind by kind, within a kind drawn by weight.

    A kind's servers come before the next kind's, whatever they weigh. seed: of the request, for replays.
    """
    if len(offers) == 1:
        return _thinned(offers, seed)
    ordered: list[LiveOffer] = []
    for kind in kinds:
        group = [offer for offer in offers if offer.kind == kind]
        if len(group) > 1:
            if call.preferences.tier == "cheapest":
                group.sort(key=lambda offer: (cost(offer, call, prompt_tokens), coin(seed, offer.server_id)))
            else:
                weights = weigh(group, call, reading, prompt_tokens=prompt_tokens)
                group = [
                    offer
                    for _, _, offer in sorted(
                        (-math.log(coin(seed, offer.server_id)) / weight, offer.server_id, offer)
                        for offer, weight in zip(group, weights, strict=True)
                    )
                ]
        ordered += _thinned(group, seed)
        if len(ordered) >= most:
            break
    return ordered[:most]


def weigh(offers: list[LiveOffer], call: Call, reading: Readings, *, prompt_tokens: int) -> list[float]:
    """A positive weight for each offer; twice the weight, twice the draws."""
    latency_exponent, price_exponent = EXPONENTS[call.preferences.tier]
    costs = [cost(offer, call, prompt_tokens) for offer in offers]
    times = [reading(offer.server_id).expected_ms for offer in offers]
    usual_cost = _median([float(value) for value in costs])
    usual_time = _median([value for value in times if value is not None] or [1.0])
    weights = []
    for offer, price, time in zip(offers, costs, times, strict=True):
        busy = 1 + reading(offer.server_id).in_flight / offer.slots
        weights.append(
            max(offer.trust, FLOOR) ** 2
            * max(offer.health, FLOOR) ** 2
            * _ratio(usual_time, (usual_time if time is None else time) * busy) ** latency_exponent
            * _ratio(usual_cost, price) ** price_exponent
        )
    return weights


def cost(offer: LiveOffer, call: Call, prompt_tokens: int) -> int:
    """Nanodollars this call is expected to cost there."""
    return (
        prompt_tokens * offer.price_in + min(call.output_asked or 500, 500) * call.choices * offer.price_out
    )


def coin(seed: int, server_id: int) -> float:
    """A number in (0, 1) that depends only on the request and the server (splitmix64's finaliser)."""
    x = (seed + server_id * GOLDEN) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return ((x ^ (x >> 31)) + 1) / (MASK + 2)


def _thinned(group: list[LiveOffer], seed: int) -> list[LiveOffer]:
    """A probationer that would be first keeps its place with probability ½; else only the active ones remain."""
    if group and group[0].status == "probation" and coin(seed ^ GOLDEN, group[0].server_id) < 0.5:
        return [offer for offer in group if offer.status != "probation"]
    return group


def _ratio(usual: float, value: float) -> float:
    if value <= 0:
        return RATIO_MAX if usual > 0 else 1.0
    return min(max(usual / value, 1 / RATIO_MAX), RATIO_MAX)


def _median(values: list[float]) -> float:
    ranked = sorted(values)
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
