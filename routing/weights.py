"""What a server weighs in the draw: twice the weight, twice the requests.

    weight = trust^3 · health^2 · consistency^3 · (usual time / time)^d · (usual cost / cost)^e · return

Pure. Multiplicative, because a fast and cheap server that answers wrongly must not win (arXiv 2605.14241). The
exponents were chosen with the simulation in tests/routing/simulation.py: docs/decisions/0012.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hosting.offers import LiveOffer
from routing.calls import Call
from routing.fitness import Reading, Readings

TRUST_EXPONENT = 3.0
HEALTH_EXPONENT = 2.0
CONSISTENCY_EXPONENT = 3.0
EXPONENTS = {  # of time and price, by tier
    "balanced": (2.0, 1.25),
    "fastest": (3.0, 0.5),
    "cheapest": (1.0, 1.0),
}
RATIO_MAX = 8.0
FLOOR = 0.05
HEALTH_PRIOR = 8.0  # how many outcomes of the last minute the health score is worth
OUTPUT_USUAL_MAX = 500  # tokens: what an answer is expected to have at most, whatever max_tokens says
PREFILL_TOKENS = (
    20  # reading the prompt takes about as long as writing this many tokens, until it was measured
)

Beta = Callable[[float, float], float]


def expected_value(alpha: float, beta: float) -> float:
    """The mean of a Beta distribution: what a draw from it is on average."""
    return alpha / (alpha + beta)


@dataclass(frozen=True, slots=True)
class Need:
    """What a call is expected to take: tokens in and out, over all its answers."""

    prompt_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, call: Call, prompt_tokens: int) -> "Need":
        asked = OUTPUT_USUAL_MAX if call.output_asked is None else call.output_asked
        return cls(prompt_tokens, min(asked, OUTPUT_USUAL_MAX) * call.choices)

    def cost(self, offer: LiveOffer) -> int:
        """Nanodollars."""
        return self.prompt_tokens * offer.price_in + self.output_tokens * offer.price_out

    def time_ms(self, reading: Reading, slots: int, usual_token_ms: float) -> float:
        """Predicted milliseconds there; usual_token_ms where nothing is known of the server."""
        token_ms = usual_token_ms if reading.token_ms is None else reading.token_ms
        ttft_ms = PREFILL_TOKENS * token_ms if reading.ttft_ms is None else reading.ttft_ms
        return (ttft_ms + self.output_tokens * token_ms) * (1 + reading.in_flight / slots)


@dataclass(frozen=True, slots=True)
class Factors:
    """Why an offer weighs what it weighs; weight is its share of the draws, up to a common factor."""

    trust: float
    health: float
    consistency: float
    time_ms: float
    cost_nanos: int
    weight: float


def weigh(
    offers: Sequence[LiveOffer], need: Need, reading: Readings, *, tier: str, beta: Beta = expected_value
) -> list[Factors]:
    """The factors of each offer; twice the weight, twice the draws.

    beta: draws the health factor from Beta(1 + ok, 1 + failed) over the last minute's outcomes, for which the health
    score stands in where there were few: servers that are not known get tried (Thompson sampling).
    """
    time_exponent, price_exponent = EXPONENTS[tier]
    readings = [reading(offer.server_id) for offer in offers]
    costs = [need.cost(offer) for offer in offers]
    usual_token_ms = median([known.token_ms for known in readings if known.token_ms is not None] or [1.0])
    times = [
        need.time_ms(known, offer.slots, usual_token_ms)
        for offer, known in zip(offers, readings, strict=True)
    ]
    usual_cost, usual_time = median(costs), median(times)
    found = []
    for offer, known, cost, time_ms in zip(offers, readings, costs, times, strict=True):
        health = beta(
            1 + known.ok + HEALTH_PRIOR * offer.health, 1 + known.failed + HEALTH_PRIOR * (1 - offer.health)
        )
        weight = (
            max(offer.trust, FLOOR) ** TRUST_EXPONENT
            * max(health, FLOOR) ** HEALTH_EXPONENT
            * max(offer.consistency, FLOOR) ** CONSISTENCY_EXPONENT
            * _ratio(usual_time, time_ms) ** time_exponent
            * _ratio(usual_cost, cost) ** price_exponent
            * known.ramp
        )
        found.append(Factors(offer.trust, health, offer.consistency, time_ms, cost, weight))
    return found


def _ratio(usual: float, value: float) -> float:
    if value <= 0:
        return RATIO_MAX if usual > 0 else 1.0
    return min(max(usual / value, 1 / RATIO_MAX), RATIO_MAX)


def median(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    ranked = sorted(values)
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
