"""What Stripe says of payments, as data: the few fields we act on, whether asked for or told by an event.

Amounts are cents, as Stripe writes them. `topup` and `payout` are our ids, which we gave to Stripe as metadata; they
are None for what another program of the same Stripe account made.
"""

import uuid
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkout:
    """A session of Stripe's own payment page. status: open, complete or expired."""

    id: str
    topup: uuid.UUID | None
    url: str
    status: str
    paid: bool
    payment: str | None
    amount_cents: int
    currency: str

    @classmethod
    def of(cls, found: Object) -> "Checkout":
        return cls(
            id=found["id"],
            topup=_ours(found, "topup"),
            url=found.get("url") or "",
            status=found.get("status") or "",
            paid=found.get("payment_status") == "paid",
            payment=_id(found.get("payment_intent")),
            amount_cents=found.get("amount_total") or 0,
            currency=found.get("currency") or "",
        )


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment intent. keeps_card: the customer agreed that the card is charged again without being asked."""

    id: str
    topup: uuid.UUID | None
    status: str
    amount_cents: int
    currency: str
    payer: str
    card: str
    keeps_card: bool
    error: str

    @classmethod
    def of(cls, found: Object) -> "Payment":
        return cls(
            id=found["id"],
            topup=_ours(found, "topup"),
            status=found["status"],
            amount_cents=found.get("amount_received") or 0,
            currency=found.get("currency") or "",
            payer=_id(found.get("customer")) or "",
            card=_id(found.get("payment_method")) or "",
            keeps_card=found.get("setup_future_usage") == "off_session",
            error=(found.get("last_payment_error") or {}).get("message") or "",
        )


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A refund or a chargeback of a payment. stands: the money is gone; otherwise it came back to us."""

    id: str
    payment: str | None
    amount_cents: int
    stands: bool
    is_chargeback: bool

    @classmethod
    def of_refund(cls, found: Object) -> "TakenBack":
        stands = found.get("status") not in {"failed", "canceled"}
        return cls(found["id"], _id(found.get("payment_intent")), found["amount"], stands, False)

    @classmethod
    def of_dispute(cls, found: Object, *, stands: bool) -> "TakenBack":
        """An event says by its type whether the money was withdrawn or came back; the object alone, by its status."""
        return cls(found["id"], _id(found.get("payment_intent")), found["amount"], stands, True)


@dataclass(frozen=True, slots=True)
class Account:
    """A hoster's own account at Stripe. ready: it may receive transfers and be paid out."""

    id: str
    customer: int | None
    ready: bool

    @classmethod
    def of(cls, found: Object) -> "Account":
        may_receive = (found.get("capabilities") or {}).get("transfers") == "active"
        customer = (found.get("metadata") or {}).get("customer") or ""
        return cls(
            id=found["id"],
            customer=int(customer) if customer.isdecimal() else None,
            ready=may_receive and bool(found.get("payouts_enabled")),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """A transfer to a hoster's account. reversed: all of it came back."""

    id: str
    payout: uuid.UUID | None
    amount_cents: int
    reversed_cents: int

    @classmethod
    def of(cls, found: Object) -> "Sent":
        return cls(found["id"], _ours(found, "payout"), found["amount"], found.get("amount_reversed") or 0)

    @property
    def came_back(self) -> bool:
        return self.reversed_cents >= self.amount_cents


def _ours(found: Object, name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID((found.get("metadata") or {}).get(name) or "")
    except ValueError:
        return None


def _id(value: Any) -> str | None:
    """Stripe writes either an id or the whole object."""
    return value["id"] if isinstance(value, dict) else value
