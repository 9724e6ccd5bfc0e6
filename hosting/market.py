"""Reads for /v1/models: what can be bought now, each model once, without anything a customer must not see."""

import datetime as dt
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db import connection

from hosting.models import Hoster

NEURALGATE = "neuralgate"
AUTO = "auto"
AUTO_CREATED = 1_767_225_600  # 2026-01-01: `auto` is no model and was never made
OFF_THE_MARKET = [Hoster.Status.SUSPENDED, Hoster.Status.DEACTIVATED]

FOR_SALE = """
-- small tables, read whole unless a name is given (hosting_hostedmodel_by_name); the cheapest server first
SELECT m.model_id, m.created_at, s.kind, coalesce(h.name, ''),
       m.price_per_input_token, m.price_per_output_token, m.next_price_per_input_token,
       m.next_price_per_output_token, m.price_changes_at, m.context_window,
       s.health, coalesce(h.trust, 1), coalesce(h.status, 'active'), s.id
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
class Offer:
    """A model on one server. Prices are nanodollars per token, scores 0 to 1. No address, no token.

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
    context_window: int
    health: float
    trust: float
    status: str
    server_id: int

    @property
    def owner(self) -> str:
        """The hoster's name; local and cloud servers are the platform's."""
        return self.hoster or NEURALGATE


@dataclass(frozen=True, slots=True)
class Listing:
    """A model and the offers of it, the cheapest first."""

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
    def context_window(self) -> int:
        return max((offer.context_window for offer in self.offers), default=0)

    @property
    def health(self) -> float:
        return max((offer.health for offer in self.offers), default=0.0)

    @property
    def trust(self) -> float:
        return max((offer.trust for offer in self.offers), default=0.0)

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
    )


def _auto(offers: list[Offer]) -> Listing:
    return Listing(id=AUTO, offers=tuple(offers), created=AUTO_CREATED, owned_by=NEURALGATE, cheapest=None)


def _offers(model_id: str | None) -> list[Offer]:
    with connection.cursor() as cursor:
        cursor.execute(FOR_SALE, {"model": model_id, "off": OFF_THE_MARKET})
        return [Offer(*row) for row in cursor.fetchall()]


def _range(prices: list[int]) -> dict[str, Any]:
    return {"min": min(prices, default=None), "max": max(prices, default=None)}
