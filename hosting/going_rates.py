"""What other hosters ask for the same model now: the lowest, the median and the highest price, for who sets one."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_low

from hosting import market
from hosting.market import Offer


@dataclass(frozen=True, slots=True)
class Range:
    """Nanodollars per token; the median is a price that somebody asks."""

    lowest: int
    median: int
    highest: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one model. offers: how many servers of others were looked at."""

    offers: int
    input: Range
    output: Range


def beside(hoster: str, model_ids: Iterable[str]) -> dict[str, Rates]:
    """The rates of these models without this hoster's own; a model that nobody else sells is not in it."""
    wanted, offers = set(model_ids), market.listings()[0].offers
    others: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.model_id in wanted and offer.hoster and offer.hoster != hoster:
            others.setdefault(offer.model_id, []).append(offer)
    return {name: _rates(found) for name, found in others.items()}


def _rates(offers: list[Offer]) -> Rates:
    return Rates(
        len(offers),
        _range([offer.price_per_input_token for offer in offers]),
        _range([offer.price_per_output_token for offer in offers]),
    )


def _range(prices: list[int]) -> Range:
    return Range(min(prices), median_low(prices), max(prices))
