"""The only writer of money outside the two trips of a request. Amounts are nanodollars."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from accounts.models import Customer, Tier, User
from billing.models import LedgerAccount, Transfer

# Ids of transfers derived from what they are for.
NAMESPACE = uuid.UUID("6c7f3a51-5a0e-5f43-9a3e-2b9f6a1f0c11")
NET_BACK, FEE_BACK = 3, 4  # last byte of a refund's id: of the hoster's part, of the platform's
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
  FROM billing_reverse(%s::uuid[], %s::bigint[], %s::bigint[], %s, %s, %s)
"""
FREEZE = "SELECT status, payee, gross, net FROM billing_freeze(%s, %s, %s)"
DECIDE = "SELECT gross_back, net_back FROM billing_decide(%s, %s, %s, %s)"
BOOK = """
INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, actor_id, reason)
VALUES (%(id)s, %(kind)s, %(debit)s, %(credit)s, %(amount)s, %(earned)s, %(bought)s, %(actor)s, %(reason)s)
"""
RESERVE = """
-- one account row by its primary key: only earned money that is neither owed nor needed by a running request
UPDATE billing_ledgeraccount
   SET posted_nanos = posted_nanos - %(amount)s, earned_nanos = earned_nanos - %(amount)s
 WHERE id = %(account)s AND posted_nanos - held_nanos >= %(amount)s
   AND earned_nanos - coalesce((SELECT d.owed_nanos FROM billing_debt d
                                  JOIN billing_ledgeraccount p ON p.id = d.account_id
                                 WHERE p.kind = 'hoster_pending'
                                   AND p.customer_id = billing_ledgeraccount.customer_id), 0) >= %(amount)s
"""
GIVE_EARNED = """
UPDATE billing_ledgeraccount
   SET posted_nanos = posted_nanos + %(amount)s, earned_nanos = earned_nanos + %(amount)s
 WHERE id = %(account)s
"""
TAKE_BOUGHT = """
UPDATE billing_ledgeraccount
   SET posted_nanos = posted_nanos - %(amount)s, bought_nanos = bought_nanos - %(amount)s
 WHERE id = %(account)s
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

    status: reversed, already, nothing, disputed, released, not_posted, missing; `billing_reverse` says what they mean.
    Both amounts are what this very call moved: 0 for every status but reversed.
    """

    charge: uuid.UUID
    status: str
    gross_back_nanos: int
    net_back_nanos: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """What freezing a charge's earning did: `billing_freeze` says what the statuses mean. payee is an account."""

    status: str
    payee: int | None
    gross_nanos: int
    net_nanos: int


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


def reverse(
    *,
    reversals: Sequence[Reversal],
    reason: str,
    actor: User | None = None,
    at_our_loss: bool = False,
) -> list[Reversed]:
    """Give back posted charges, each at most once: what became of each, in order.

    The hoster's part comes out of its pending earnings. Where they are released already nothing happens, or,
    at_our_loss, the platform pays, and keeps it back from the hoster's next releases.
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
        cursor.execute(
            REVERSE, [charges, kept_input, kept_output, reason, actor.pk if actor else None, at_our_loss]
        )
        return [Reversed(charge, *row) for charge, row in zip(charges, cursor.fetchall(), strict=True)]


def freeze(*, charge: uuid.UUID, payer: Customer, window_s: int) -> Frozen:
    """Freeze what was earned by a charge of this customer, within window_s of its booking. The caller opens the dispute
    in the same transaction."""
    account = LedgerAccount.objects.get(kind=LedgerAccount.Kind.CUSTOMER, customer=payer)
    with connection.cursor() as cursor:
        cursor.execute(FREEZE, [charge, account.pk, window_s])
        return Frozen(*cursor.fetchone())


def decide(*, charge: uuid.UUID, upheld: bool, reason: str, actor: User | None) -> tuple[int, int]:
    """Give a disputed charge back, or let its earning go on: nanodollars back (gross, net). The caller closes the
    dispute, whose row it has locked, in the same transaction."""
    with connection.cursor() as cursor:
        cursor.execute(DECIDE, [charge, upheld, reason, actor.pk if actor else None])
        gross_back, net_back = cursor.fetchone()
        return gross_back, net_back


def reserve_payout(*, payout: uuid.UUID, customer: Customer, amount_nanos: int) -> bool:
    """Move earned money to the payouts on their way; False when there is not so much that is free."""
    account = _account_of(customer)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(RESERVE, {"amount": amount_nanos, "account": account})
        if cursor.rowcount == 0:
            return False
        _book_payout("payout", payout, account, _platform("platform_payouts"), amount_nanos, None)
    return True


def return_payout(
    *, payout: uuid.UUID, customer: Customer, amount_nanos: int, was_paid: bool, actor: User | None
) -> None:
    """Give a payout's money back to the customer it came from. The caller changes its state in the same transaction."""
    account = _account_of(customer)
    source = _platform("platform_paid" if was_paid else "platform_payouts")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(GIVE_EARNED, {"amount": amount_nanos, "account": account})
        _book_payout("return", payout, source, account, amount_nanos, actor)


def complete_payout(*, payout: uuid.UUID, amount_nanos: int, actor: User | None) -> None:
    """The money has left the house. The caller changes the payout's state in the same transaction."""
    with transaction.atomic():
        _book_payout(
            "paid", payout, _platform("platform_payouts"), _platform("platform_paid"), amount_nanos, actor
        )


def claw_back(
    *, customer: Customer, amount_nanos: int, reference: str, reason: str, actor: User | None = None
) -> int:
    """Book that a payment of the customer's went back, once for each reference: nanodollars taken from the customer.

    What is not there any more (spent, or held by running requests) is the platform's loss. Only bought money is
    taken: what was given or earned never came from the payment.
    """
    if amount_nanos <= 0:
        raise ValueError("The amount must be above 0 nanodollars.")
    sales, loss = _platform("platform_sales"), _platform("platform_loss")
    with transaction.atomic(), connection.cursor() as cursor:
        account = LedgerAccount.objects.select_for_update().get(
            kind=LedgerAccount.Kind.CUSTOMER, customer=customer
        )
        names = _clawback_ids(customer, reference)
        if Transfer.objects.filter(pk__in=names).exists():
            return 0
        free_nanos = (account.posted_nanos or 0) - (account.held_nanos or 0)
        taken_nanos = min(amount_nanos, account.bought_nanos or 0, free_nanos)
        shared: dict[str, Any] = {
            "kind": "clawback",
            "credit": sales,
            "earned": 0,
            "actor": actor and actor.pk,
            "reason": reason,
        }
        if taken_nanos:
            cursor.execute(TAKE_BOUGHT, {"amount": taken_nanos, "account": account.pk})
        for name, debit, amount in (
            (names[0], account.pk, taken_nanos),
            (names[1], loss, amount_nanos - taken_nanos),
        ):
            if amount:
                cursor.execute(
                    BOOK, {**shared, "id": name, "debit": debit, "amount": amount, "bought": amount}
                )
    return taken_nanos


def taken_from_customer(*, customer: Customer, reference: str) -> int | None:
    """Nanodollars that `claw_back` took from the customer for a reference; None when it booked nothing for it."""
    mine, loss = _clawback_ids(customer, reference)
    booked = dict(Transfer.objects.filter(pk__in=[mine, loss]).values_list("pk", "amount_nanos"))
    return booked.get(mine, 0) if booked else None


def clawed_back(*, customer: Customer, reference: str) -> int:
    """Nanodollars that `claw_back` booked for a reference, whoever bore them."""
    booked = Transfer.objects.filter(pk__in=_clawback_ids(customer, reference))
    return sum(booked.values_list("amount_nanos", flat=True))


def _clawback_ids(customer: Customer, reference: str) -> tuple[uuid.UUID, uuid.UUID]:
    """(the customer's part, the platform's loss)."""
    mine, loss = (uuid.uuid5(NAMESPACE, f"clawback:{customer.pk}:{reference}:{part}") for part in (1, 2))
    return mine, loss


def _book_payout(
    kind: str, payout: uuid.UUID, debit: int, credit: int, amount_nanos: int, actor: User | None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            BOOK,
            {
                "id": uuid.uuid5(NAMESPACE, f"{kind}:{payout}"), "kind": kind, "debit": debit, "credit": credit,
                "amount": amount_nanos, "earned": amount_nanos, "bought": 0, "actor": actor.pk if actor else None,
                "reason": f"payout {payout}",
            },
        )  # fmt: skip


def _account_of(customer: Customer) -> int:
    return LedgerAccount.objects.values_list("pk", flat=True).get(
        kind=LedgerAccount.Kind.CUSTOMER, customer=customer
    )


def _platform(kind: str) -> int:
    return LedgerAccount.objects.values_list("pk", flat=True).get(kind=kind)


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
