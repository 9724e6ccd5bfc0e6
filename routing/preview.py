"""Who would get a request for a model now, and how likely: the router's own weights, on what the database knows.

A gateway knows a little more (who is busy this second); no request of anybody is looked at.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from hosting import catalogue
from hosting.offers import LiveOffer
from routing.choice import Field
from routing.fitness import CONSISTENCY_MIN, EXCLUDED, HEALTH_MIN, Reading
from routing.weights import Need

NEED = Need(prompt_tokens=250, output_tokens=250)
ROWS_MAX = 4

TIMES = """
-- small table, read whole: the day's medians
SELECT m.id, m.ttft_ms_p50, m.tokens_per_s FROM hosting_hostedmodel m WHERE m.enabled
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """share: of the requests, from 0 to 1. cost_nanos: of 250 tokens in and 250 out. ttft_ms: None: not measured."""

    owner: str
    price_in: int
    price_out: int
    cost_nanos: int
    ttft_ms: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Preview:
    """candidates: the likeliest first, at most ROWS_MAX; servers: how many there are in all."""

    model: str
    candidates: tuple[Candidate, ...]
    servers: int


def busiest() -> Preview | None:
    """Of the model that most servers offer; None when no hoster offers anything."""
    with connection.cursor() as cursor:
        cursor.execute(catalogue.LIVE_OFFERS, {"prior": catalogue.BYTES_PER_TOKEN_PRIOR})
        offers = [_without_token(row) for row in cursor.fetchall()]
        cursor.execute(TIMES)
        times = {offer: (first, speed) for offer, first, speed in cursor.fetchall()}
    by_model: dict[str, list[LiveOffer]] = {}
    for offer in filter(_may_serve, offers):
        by_model.setdefault(offer.model, []).append(offer)
    if not by_model:
        return None
    model = max(by_model, key=lambda name: (len(by_model[name]), name))
    return _of(model, by_model[model], times)


def _of(model: str, offers: list[LiveOffer], times: dict[int, tuple[int | None, float | None]]) -> Preview:
    offer_of = {offer.server_id: offer.offer_id for offer in offers}

    def reading(server_id: int) -> Reading:
        first, speed = times.get(offer_of[server_id], (None, None))
        return Reading(ttft_ms=first, token_ms=1_000 / speed if speed else None)

    field = Field(offers, NEED, reading)
    shares = [
        share / (2 if offer.status == "probation" else 1)
        for offer, share in zip(field.offers, field.shares, strict=True)
    ]
    total = sum(shares) or 1.0
    found = [
        Candidate(
            offer.owner,
            offer.price_in,
            offer.price_out,
            NEED.cost(offer),
            times[offer.offer_id][0],
            share / total,
        )
        for offer, share in zip(field.offers, shares, strict=True)
    ]
    found.sort(key=lambda one: -one.share)
    return Preview(model, tuple(found[:ROWS_MAX]), len(offers))


def _may_serve(offer: LiveOffer) -> bool:
    return (
        offer.kind == "hoster"
        and offer.status not in EXCLUDED
        and not (offer.draining or offer.waiting)
        and offer.health >= HEALTH_MIN
        and offer.consistency >= CONSISTENCY_MIN
    )


def _without_token(row: tuple[Any, ...]) -> LiveOffer:
    values: list[Any] = [*row[:9], "", "", *row[11:]]
    return LiveOffer(*values)
