"""Reads for /v1/models: what can be bought now, each model once, without anything a customer must not see."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db import connection

from hosting.models import Hoster

NEURALGATE = "neuralgate"
AUTO = "auto"
AUTO_CREATED = 1_767_225_600  # 2026-01-01: `auto` is no model and was never made
OFF_THE_MARKET = [Hoster.Status.SUSPENDED, Hoster.Status.DEACTIVATED]

STATUSES = (Hoster.Status.ACTIVE.value, Hoster.Status.WARNED.value, Hoster.Status.PROBATION.value)
LESS_IS_BETTER = ("ttft_ms_p50", "ttft_ms_p95", "latency_ms_p50", "latency_ms_p95")
MORE_IS_BETTER = ("context_window", "tokens_per_s", "uptime", "health", "trust", "consistency")

FOR_SALE = """
-- small tables, read whole unless a name is given (hosting_hostedmodel_by_name); the cheapest server first
SELECT m.context_window, m.ttft_ms_p50, m.ttft_ms_p95, m.latency_ms_p50, m.latency_ms_p95, m.tokens_per_s, s.uptime,
       s.health, coalesce(h.trust, 1), CASE WHEN m.consistency_at IS NOT NULL THEN m.consistency END,
       coalesce(h.status, 'active'), m.model_id, m.created_at, s.kind, coalesce(h.name, ''),
       m.price_per_input_token, m.price_per_output_token, m.next_price_per_input_token,
       m.next_price_per_output_token, m.price_changes_at, s.id, m.chats
  FROM hosting_hostedmodel m
  JOIN hosting_server s ON s.id = m.server_id
  LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
 WHERE m.enabled AND s.verified_at IS NOT NULL AND NOT s.draining AND s.waiting_since IS NULL
   AND m.deactivated_at IS NULL
   AND (h.id IS NULL OR h.status <> ALL (%(off)s))
   AND (%(model)s::text IS NULL OR m.model_id = %(model)s)
 ORDER BY m.model_id, m.price_per_input_token + m.price_per_output_token, m.id
"""


@dataclass(frozen=True, slots=True)
class Measures:
    """Tokens, milliseconds, tokens per second; scores and the uptime from 0 to 1.

    Speed and uptime are of the last day, None when nothing was measured; consistency is None before the first test.
    """

    context_window: int
    ttft_ms_p50: int | None
    ttft_ms_p95: int | None
    latency_ms_p50: int | None
    latency_ms_p95: int | None
    tokens_per_s: float | None
    uptime: float | None
    health: float
    trust: float
    consistency: float | None
    status: str


@dataclass(frozen=True, slots=True)
class Offer(Measures):
    """A model on one server, a row of FOR_SALE. Prices are nanodollars per token. No address, no token.

    next_price…: what it costs from price_changes_at on; None when no change waits.
    """

    model_id: str
    created_at: dt.datetime
    kind: str
    hoster: str
    price_per_input_token: int
    price_per_output_token: int
    next_price_per_input_token: int | None
    next_price_per_output_token: int | None
    price_changes_at: dt.datetime | None
    server_id: int
    chats: bool

    @property
    def owner(self) -> str:
        """The hoster's name; local and cloud servers are the platform's."""
        return self.hoster or NEURALGATE


@dataclass(frozen=True, slots=True)
class Listing(Measures):
    """A model and the offers of it, the cheapest first; each measure is of whichever server is best at it."""

    id: str
    offers: tuple[Offer, ...]
    created: int
    owned_by: str
    cheapest: Offer | None

    @property
    def price_per_input_token(self) -> int | None:
        return self.cheapest.price_per_input_token if self.cheapest else None

    @property
    def price_per_output_token(self) -> int | None:
        return self.cheapest.price_per_output_token if self.cheapest else None

    @property
    def pricing(self) -> dict[str, dict[str, int | None]]:
        """The dearest and the cheapest price of either kind."""
        return {
            "input": _range([offer.price_per_input_token for offer in self.offers]),
            "output": _range([offer.price_per_output_token for offer in self.offers]),
        }

    @property
    def chats(self) -> bool:
        """Whether some server of it answers chat; else it is for embeddings."""
        return any(offer.chats for offer in self.offers)

    @property
    def servers(self) -> int:
        return len({offer.server_id for offer in self.offers})


def listings() -> list[Listing]:
    """Everything for sale by name, after `auto`, which stands for all of it and has no price of its own."""
    offers = _offers(None)
    models = [
        _listing(name, tuple(group)) for name, group in groupby(offers, key=lambda offer: offer.model_id)
    ]
    return [_auto(offers), *(model for model in models if model.id != AUTO)]


def listing(model_id: str) -> Listing | None:
    """One model, or None when nobody sells it now."""
    if model_id == AUTO:
        return _auto(_offers(None))
    offers = _offers(model_id)
    return _listing(model_id, tuple(offers)) if offers else None


def _listing(model_id: str, offers: tuple[Offer, ...]) -> Listing:
    cheapest = offers[0]
    return Listing(
        id=model_id,
        offers=offers,
        created=min(int(offer.created_at.timestamp()) for offer in offers),
        owned_by=f"hoster:{cheapest.hoster}" if cheapest.hoster else NEURALGATE,
        cheapest=cheapest,
        **_best(offers),
    )


def _auto(offers: list[Offer]) -> Listing:
    return Listing(
        id=AUTO,
        offers=tuple(offers),
        created=AUTO_CREATED,
        owned_by=NEURALGATE,
        cheapest=None,
        **_best(offers),
    )


def _best(offers: Sequence[Offer]) -> dict[str, Any]:
    """The fields of Measures: of whichever offer is best at each."""
    best: dict[str, Any] = {"context_window": 0, "health": 0.0, "trust": 0.0}
    for pick, names in ((min, LESS_IS_BETTER), (max, MORE_IS_BETTER)):
        for name in names:
            values = [value for offer in offers if (value := getattr(offer, name)) is not None]
            best[name] = pick(values) if values else best.get(name)
    best["status"] = min((offer.status for offer in offers), key=STATUSES.index, default=STATUSES[0])
    return best


def _offers(model_id: str | None) -> list[Offer]:
    with connection.cursor() as cursor:
        cursor.execute(FOR_SALE, {"model": model_id, "off": OFF_THE_MARKET})
        return [Offer(*row) for row in cursor.fetchall()]


def _range(prices: list[int]) -> dict[str, Any]:
    return {"min": min(prices, default=None), "max": max(prices, default=None)}
