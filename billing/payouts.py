"""Payouts: earned money becomes cash. Reserved when asked for, approved by people, paid, or given back.

requested → approved → paid; requested → rejected or cancelled; approved → failed; paid → failed when somebody says
that the payment came back. Each step has one winner: a conditional UPDATE of the state.
"""

import datetime as dt
import uuid
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import sealing
from accounts.models import Customer, User
from billing import balances, ledger, money, notices
from billing.models import Debt, Payout, PayoutDestination

DESTINATION_CHARS_MAX = 500
DUE_BUSINESS_DAYS = 5
FIRST = "It is the first payout."
CHANGED = "Where it goes was changed since the last payout."
OWES = "Earnings that were given back are not paid off yet."
LARGE = "Its amount is above what is approved without a person."
NO_STATE = "This payout is {state}. Only one that is {wanted} can be {verb}."


class PayoutRefused(Exception):
    """Nothing was reserved, or the step is not possible; the words say why."""


def ask(
    *,
    customer: Customer,
    amount_nanos: int,
    method: str,
    destination: str = "",
    may_replace: bool = True,
    once: uuid.UUID | None = None,
) -> Payout:
    """Reserve earned money for a payout; raises PayoutRefused.

    may_replace: a destination other than the kept one is taken; a key alone must not redirect payouts.
    once: whoever asks with it again, such as a form that is sent twice, is given the same payout.

    destination: an address of the method; empty for the one that is kept. What is given is kept for the next time.
    Approved at once when it is small enough (PAYOUT_AUTO_MAX_NANOS) and the last one of this method, to the same
    destination, was paid; otherwise a person looks at it.
    """
    if amount_nanos < settings.PAYOUT_MIN_NANOS:
        raise PayoutRefused(f"A payout is at least {money.text(settings.PAYOUT_MIN_NANOS)}.")
    if method == PayoutDestination.Method.STRIPE and amount_nanos % money.NANOS_PER_CENT:
        raise PayoutRefused("Stripe pays whole cents.")
    with transaction.atomic():
        # The row lock lets this customer's wishes come one by one, so that a repeated one finds the first.
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if once is not None and (asked_before := Payout.objects.filter(pk=once).first()):
            wish = (customer.pk, amount_nanos, method)
            if (asked_before.customer_id, asked_before.amount_nanos, asked_before.method) != wish:
                raise PayoutRefused("This form was used already. Load the page anew, and ask again.")
            return asked_before
        kept = keep_destination(
            customer=customer, method=method, destination=destination, may_replace=may_replace
        )
        waits_for = _needs_a_person(customer, kept, amount_nanos)
        payout = Payout(
            customer=customer,
            amount_nanos=amount_nanos,
            method=method,
            due_on=business_days_after(dt.datetime.now(dt.UTC).date(), DUE_BUSINESS_DAYS),
            waits_for=waits_for,
            state=Payout.State.REQUESTED if waits_for else Payout.State.APPROVED,
        )
        payout.pk = once or payout.pk
        payout.sealed = _seal(payout, unseal_destination(kept))
        if not ledger.reserve_payout(payout=payout.pk, customer=customer, amount_nanos=amount_nanos):
            raise _not_so_much(customer)
        payout.save(force_insert=True)
        _tell(payout)
    return payout


def _not_so_much(customer: Customer) -> PayoutRefused:
    free = money.text(balances.of(customer).payable_nanos)
    return PayoutRefused(
        f"There is not so much earned credit that can be paid out: {free}, less what is owed for refunds. Bought and "
        "promotional credit stays credit, and so does what running requests have reserved."
    )


def keep_destination(
    *, customer: Customer, method: str, destination: str, may_replace: bool = True
) -> PayoutDestination:
    """Where this customer's payouts of a method go; a new destination replaces the old one. Raises PayoutRefused."""
    destination = destination.strip()
    kept = PayoutDestination.objects.filter(customer=customer, method=method).first()
    if method == PayoutDestination.Method.STRIPE and (kept is None or not kept.ready):
        raise PayoutRefused("Connect your Stripe account first, on /hosters/payouts.")
    if kept is not None and (not destination or destination == unseal_destination(kept)):
        return kept
    if kept is not None and not may_replace:
        raise PayoutRefused("Where payouts go is changed on /hosters/payouts, signed in, and not with a key.")
    if not destination:
        raise PayoutRefused(
            f"Say where the payout goes: `destination` is needed the first time for {method}."
        )
    if method == PayoutDestination.Method.STRIPE:
        raise PayoutRefused("Where Stripe pays is kept at Stripe; leave `destination` out.")
    if len(destination) > DESTINATION_CHARS_MAX:
        raise PayoutRefused(f"A destination has at most {DESTINATION_CHARS_MAX} characters.")
    return store_destination(customer=customer, method=method, destination=destination)


def store_destination(
    *, customer: Customer, method: str, destination: str, ready: bool = True
) -> PayoutDestination:
    sealed = sealing.seal(destination.encode(), owner=f"{method} of {customer.pk}").decode()
    kept, _ = PayoutDestination.objects.update_or_create(
        customer=customer, method=method, defaults={"sealed": sealed, "changed_at": Now(), "ready": ready}
    )
    kept.refresh_from_db()
    return kept


def unseal_destination(kept: PayoutDestination) -> str:
    return sealing.unseal(kept.sealed, owner=f"{kept.method} of {kept.customer_id}").decode()


def destination_of(payout: Payout) -> str:
    """Where it goes, for who pays it."""
    return sealing.unseal(payout.sealed, owner=f"payout {payout.pk}").decode()


def approve(*, payout: Payout, actor: User) -> Payout:
    """Let it be paid; above PAYOUT_SECOND_APPROVAL_NANOS a second person must agree. Raises PayoutRefused."""
    with transaction.atomic():
        row = Payout.objects.select_for_update().get(pk=payout.pk)
        if row.state != Payout.State.REQUESTED:
            raise _not_possible(row, "requested", "approved")
        if row.customer.user_id == actor.pk:
            raise PayoutRefused("Nobody approves a payout to himself.")
        if row.approved_by_id == actor.pk:
            raise PayoutRefused("You approved it already; a second person must agree.")
        if row.approved_by_id is None:
            row.approved_by = actor
        else:
            row.seconded_by = actor
        if row.seconded_by_id or row.amount_nanos <= settings.PAYOUT_SECOND_APPROVAL_NANOS:
            row.state = Payout.State.APPROVED
            _tell(row)
        row.save(update_fields=["approved_by", "seconded_by", "state"])
    return row


def reject(*, payout: Payout, reason: str, actor: User) -> Payout:
    """Give the money back; the hoster reads why. Raises PayoutRefused."""
    return _give_back(payout, Payout.State.REQUESTED, Payout.State.REJECTED, _said(reason), actor)


def cancel(*, payout: Payout, actor: User) -> Payout:
    """The hoster's own wish, while nobody has approved it. Raises PayoutRefused."""
    return _give_back(payout, Payout.State.REQUESTED, Payout.State.CANCELLED, "Cancelled by you.", actor)


def fail(*, payout: Payout, reason: str, actor: User | None = None) -> Payout:
    """The payment could not be made: the money is the hoster's again. Raises PayoutRefused, also when it was paid."""
    return _give_back(payout, Payout.State.APPROVED, Payout.State.FAILED, _said(reason), actor)


def came_back(*, payout: Payout, reason: str, actor: User | None = None) -> Payout:
    """A payment that was made is back in our account, and the money is the hoster's again. Raises PayoutRefused."""
    return _give_back(payout, Payout.State.PAID, Payout.State.FAILED, _said(reason), actor)


def pay(*, payout: Payout, reference: str, actor: User | None = None) -> Payout:
    """It was paid; reference: the payment's id outside, unique. Raises PayoutRefused."""
    if not reference.strip():
        raise PayoutRefused("Give the payment's reference, so that it can be found again.")
    try:
        with transaction.atomic():
            row = _close(payout, Payout.State.APPROVED, Payout.State.PAID, actor, reference=reference.strip())
            ledger.complete_payout(payout=row.pk, amount_nanos=row.amount_nanos, actor=actor)
            _tell(row)
    except IntegrityError as error:
        if "reference" not in str(error):
            raise
        raise PayoutRefused("Another payout has this reference already.") from None
    return row


def business_days_after(day: dt.date, days: int) -> dt.date:
    """The day that is so many Mondays to Fridays later."""
    while days:
        day += dt.timedelta(days=1)
        days -= day.weekday() < 5
    return day


def _needs_a_person(customer: Customer, kept: PayoutDestination, amount_nanos: int) -> str:
    """Why a person must look at it; empty when nobody must."""
    last = (
        customer.payouts.filter(state=Payout.State.PAID, method=kept.method).order_by("-requested_at").first()
    )
    if Debt.objects.filter(account__customer=customer, owed_nanos__gt=0).exists():
        return OWES
    if last is None:
        return FIRST
    if destination_of(last) != unseal_destination(kept):
        return CHANGED
    return LARGE if amount_nanos > settings.PAYOUT_AUTO_MAX_NANOS else ""


def _give_back(payout: Payout, before: str, after: str, reason: str, actor: User | None) -> Payout:
    with transaction.atomic():
        row = _close(payout, before, after, actor, reason=reason)
        ledger.return_payout(
            payout=row.pk,
            customer=row.customer,
            amount_nanos=row.amount_nanos,
            was_paid=before == Payout.State.PAID,
            actor=actor,
        )
        _tell(row)
    return row


def _close(payout: Payout, before: str, after: str, actor: User | None, **fields: Any) -> Payout:
    """One winner: whoever finds it in the state before."""
    won = Payout.objects.filter(pk=payout.pk, state=before).update(
        state=after, closed_at=Now(), closed_by=actor, **fields
    )
    row = Payout.objects.select_related("customer__user").get(pk=payout.pk)
    if not won:
        raise _not_possible(row, before, after)
    return row


def _not_possible(payout: Payout, wanted: str, verb: str) -> PayoutRefused:
    return PayoutRefused(NO_STATE.format(state=payout.state, wanted=wanted, verb=verb))


def _said(reason: str) -> str:
    if not reason.strip():
        raise PayoutRefused("Say why: the hoster reads it.")
    return reason.strip()


def _seal(payout: Payout, destination: str) -> str:
    return sealing.seal(destination.encode(), owner=f"payout {payout.pk}").decode()


def _tell(payout: Payout) -> None:
    notices.tell(
        payout.customer,
        f"payout_{payout.state}",
        f"payout:{payout.pk}:{payout.state}",
        {
            "payout": str(payout.pk), "amount_nanos": payout.amount_nanos, "method": payout.method,
            "due_on": payout.due_on.isoformat(), "reason": payout.reason, "reference": payout.reference,
        },
    )  # fmt: skip


def unsent() -> list[uuid.UUID]:
    """Approved payouts that Stripe is to pay, the oldest first."""
    waiting = Payout.objects.filter(state=Payout.State.APPROVED, method=PayoutDestination.Method.STRIPE)
    return list(waiting.order_by("requested_at").values_list("pk", flat=True)[:100])
