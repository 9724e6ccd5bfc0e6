"""The only writer of money outside the two trips of a request. Amounts are nanodollars."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from accounts.models import Customer, Tier, User
from billing.models import LedgerAccount, Transfer

NAMESPACE = uuid.UUID(
    "6c7f3a51-5a0e-5f43-9a3e-2b9f6a1f0c11"
)  # ids of transfers derived from what they are for
REVERSALS_MAX = 500  # in one call: its locks are held for a few hundred milliseconds

BOOK_CREDIT = """
INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, actor_id, reason)
VALUES (%(id)s, %(kind)s, %(debit)s, %(credit)s, %(amount)s, 0, %(bought)s, %(actor)s, %(reason)s)
ON CONFLICT (id) DO NOTHING
"""
CREDIT = """
-- locks one account row by its primary key
UPDATE billing_ledgeraccount
   SET posted_nanos = posted_nanos + %(amount)s, bought_nanos = bought_nanos + %(bought)s
 WHERE id = %(credit)s
"""

EXPIRED = """
-- index billing_charge_held
SELECT id FROM billing_charge WHERE state = 'held' AND expires_at <= app_now() ORDER BY expires_at LIMIT %s
"""
REVERSE = """
SELECT status, gross_back, net_back
  FROM billing_reverse(%s::uuid[], %s::bigint[], %s::bigint[], %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Reversal:
    """A charge, and the tokens that its customer keeps paying for; with none, all of it comes back."""

    charge: uuid.UUID
    kept_input_tokens: int = 0
    kept_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reversed:
    """What one reversal did: gross came back to the customer, net of it from the hoster, the rest from the fee.

    status: reversed, already, nothing, released, not_posted, missing; `billing_reverse` says what they mean.
    Both amounts are what this very call moved: 0 for every status but reversed.
    """

    charge: uuid.UUID
    status: str
    gross_back_nanos: int
    net_back_nanos: int


def open_customer(*, user: User, tier: str = "free", welcome: bool = True) -> Customer:
    """The user's customer with its ledger account and, once, the welcome credit. Safe to call twice."""
    with transaction.atomic():
        customer, _ = Customer.objects.get_or_create(user=user, defaults={"tier": Tier.objects.get(pk=tier)})
        LedgerAccount.objects.get_or_create(
            kind=LedgerAccount.Kind.CUSTOMER,
            customer=customer,
            defaults={"posted_nanos": 0, "held_nanos": 0, "earned_nanos": 0, "bought_nanos": 0},
        )
        if welcome and settings.WELCOME_CREDIT_NANOS:
            grant(
                customer=customer,
                amount_nanos=settings.WELCOME_CREDIT_NANOS,
                reference="welcome",
                reason="welcome credit",
            )
    return customer


def pending_account(customer: Customer) -> LedgerAccount:
    """Where a hoster's earnings wait until they are released to this customer."""
    account, _ = LedgerAccount.objects.get_or_create(
        kind=LedgerAccount.Kind.HOSTER_PENDING, customer=customer
    )
    return account


def grant(
    *, customer: Customer, amount_nanos: int, reference: str, reason: str, actor: User | None = None
) -> bool:
    """Give promotional credit, once for each reference; False when it was given before."""
    return _credit(customer, amount_nanos, Transfer.Kind.GRANT, reference, reason, actor)


def sell(
    *, customer: Customer, amount_nanos: int, reference: str, reason: str, actor: User | None = None
) -> bool:
    """Book credit that was paid for, once for each reference (the payment's id); False when it was booked before."""
    return _credit(customer, amount_nanos, Transfer.Kind.SALE, reference, reason, actor)


def void(*, charges: list[uuid.UUID], reason: str) -> int:
    """Give back the holds of these charges; how many were still held."""
    with connection.cursor() as cursor:
        zeros = [0] * len(charges)
        cursor.execute(
            "SELECT cardinality(array_positions(statuses, 'voided'))"
            "  FROM billing_settle(%s::uuid[], %s::int[], %s::bigint[], %s::bigint[], %s::text[], 0)",
            [charges, zeros, zeros, zeros, [reason] * len(charges)],
        )
        return int(cursor.fetchone()[0])


def void_expired(*, rows_max: int = 1_000) -> int:
    """Give back holds past their expiry: how many. Call again while it is rows_max."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [rows_max])
        charges = [charge for (charge,) in cursor.fetchall()]
    return void(charges=charges, reason="expired") if charges else 0


def release(*, rows_max: int = 1_000) -> tuple[int, int]:
    """Release matured earnings: (maturities released, nanodollars). Call again while the first is rows_max."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT released, amount FROM billing_release(%s)", [rows_max])
        released, amount_nanos = cursor.fetchone()
        return released, amount_nanos


def reverse(*, reversals: Sequence[Reversal], reason: str, actor: User | None = None) -> list[Reversed]:
    """Give back posted charges whose earnings are still pending, each at most once: what became of each, in order.

    All or none are booked; a batch that is repeated changes nothing. The key's spending limit gets its part
    back too. Raises ValueError for no reason or more than REVERSALS_MAX at once, IntegrityError when more
    tokens are kept than were billed.
    """
    if not reason.strip():
        raise ValueError("A reversal needs a reason.")
    if len(reversals) > REVERSALS_MAX:
        raise ValueError(f"At most {REVERSALS_MAX} charges can be reversed in one call.")
    charges = [one.charge for one in reversals]
    kept_input = [one.kept_input_tokens for one in reversals]
    kept_output = [one.kept_output_tokens for one in reversals]
    with connection.cursor() as cursor:
        cursor.execute(REVERSE, [charges, kept_input, kept_output, reason, actor.pk if actor else None])
        return [Reversed(charge, *row) for charge, row in zip(charges, cursor.fetchall(), strict=True)]


def _credit(
    customer: Customer,
    amount_nanos: int,
    kind: Transfer.Kind,
    reference: str,
    reason: str,
    actor: User | None,
) -> bool:
    if amount_nanos <= 0:
        raise ValueError("The amount must be above 0 nanodollars.")
    source = {
        Transfer.Kind.GRANT: LedgerAccount.Kind.PLATFORM_PROMOTIONS,
        Transfer.Kind.SALE: LedgerAccount.Kind.PLATFORM_SALES,
    }[kind]
    bought_nanos = amount_nanos if kind is Transfer.Kind.SALE else 0
    with transaction.atomic(), connection.cursor() as cursor:
        account = LedgerAccount.objects.get(kind=LedgerAccount.Kind.CUSTOMER, customer=customer)
        transfer: dict[str, Any] = {
            "id": uuid.uuid5(NAMESPACE, f"{kind}:{customer.pk}:{reference}"),
            "kind": kind,
            "debit": LedgerAccount.objects.get(kind=source).pk,
            "credit": account.pk,
            "amount": amount_nanos,
            "bought": bought_nanos,
            "actor": actor and actor.pk,
            "reason": reason,
        }
        cursor.execute(BOOK_CREDIT, transfer)
        if cursor.rowcount == 0:
            return False
        cursor.execute(CREDIT, transfer)
    return True
