"""The market in a few numbers, for visitors."""

from dataclasses import dataclass

from hosting import market
from hosting.market import Listing

CHEAPEST_MAX = 6


@dataclass(frozen=True, slots=True)
class Showcase:
    """Prices are nanodollars per token, of hosters only: what the operator gives away says nothing of the market.

    None when no hoster sells anything. cheapest: by input plus output.
    """

    models: int
    servers: int
    price_in_min: int | None
    price_out_min: int | None
    cheapest: tuple[Listing, ...]


def now() -> Showcase:
    auto, *models = market.listings()
    hosted = [offer for offer in auto.offers if offer.hoster]
    return Showcase(
        models=len(models),
        servers=auto.servers,
        price_in_min=min((offer.price_per_input_token for offer in hosted), default=None),
        price_out_min=min((offer.price_per_output_token for offer in hosted), default=None),
        cheapest=tuple(sorted(models, key=_price)[:CHEAPEST_MAX]),
    )


def _price(listing: Listing) -> tuple[int, str]:
    return (listing.price_per_input_token or 0) + (listing.price_per_output_token or 0), listing.id
