"""Top-ups: credit bought with a card. Booked exactly once, whatever is told how often and in which order.

open → paid, open → expired, expired → paid (the money arrived after all). What is refunded or charged back of a paid
one adds up in `taken_back_nanos`. Each change is one conditional UPDATE in the transaction of its booking.
"""

import datetime as dt
import uuid

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import Customer
from billing import ledger, money, notices, processor, stripe_client
from billing.models import Recharge, TopUp
from billing.stripe_client import PaymentError

OPEN_MAX = 10  # of one customer in an hour: more is no longer somebody who pays
OPEN_WINDOW = dt.timedelta(hours=1)

log = structlog.get_logger(__name__)


class TopUpRefused(Exception):
    """Nothing was begun; the words say why."""


def begin(*, customer: Customer, amount_nanos: int) -> tuple[TopUp, str]:
    """A top-up, and the address of the page where it is paid. Raises TopUpRefused.

    The card is kept only for who wants automatic top-ups. The row is there before Stripe is asked, so that no event
    can come too early.
    """
    check_amount(amount_nanos)
    if not stripe_client.configured():
        raise TopUpRefused(stripe_client.OFF)
    recent = customer.topups.filter(state=TopUp.State.OPEN, created_at__gt=Now() - OPEN_WINDOW)
    if recent.count() >= OPEN_MAX:
        raise TopUpRefused("You have begun many purchases and paid none. Pay one of them, or wait an hour.")
    topup = TopUp.objects.create(customer=customer, amount_nanos=amount_nanos)
    try:
        page = processor.begin_checkout(
            topup=topup.pk,
            amount_cents=money.cents(amount_nanos),
            email=customer.user.email,
            payer=_payer(customer),
            done_url=f"{settings.PUBLIC_URL}/account/credit/{topup.pk}",
            cancel_url=f"{settings.PUBLIC_URL}/account/credit",
        )
    except PaymentError as error:
        expire(topup=topup.pk, error=str(error))  # nobody was sent to its page
        raise TopUpRefused(str(error)) from None
    TopUp.objects.filter(pk=topup.pk).update(checkout=page.id)
    return topup, page.url


def check_amount(amount_nanos: int) -> None:
    """Raises TopUpRefused for what no card is charged at a time."""
    if not settings.TOPUP_MIN_NANOS <= amount_nanos <= settings.TOPUP_MAX_NANOS:
        low, high = money.text(settings.TOPUP_MIN_NANOS), money.text(settings.TOPUP_MAX_NANOS)
        raise TopUpRefused(f"Credit can be bought from {low} to {high} at a time.")
    if amount_nanos % money.NANOS_PER_CENT:
        raise TopUpRefused("Cards pay whole cents.")


def pay(*, topup: uuid.UUID, payment: str | None, amount_cents: int, currency: str) -> bool:
    """Book a payment that Stripe has confirmed; False when it was booked before, or is not this top-up's price."""
    with transaction.atomic():
        row = TopUp.objects.select_related("customer__user").filter(pk=topup).first()
        if row is None:  # another installation's, with the same account at Stripe
            return False
        if (amount_cents, currency) != (money.cents(row.amount_nanos), processor.CURRENCY):
            log.error("topup.other_amount", topup=str(topup), payment=payment, cents=amount_cents)
            TopUp.objects.filter(pk=topup).update(error="Another amount was paid; a person looks at it.")
            return False
        unpaid = TopUp.objects.filter(pk=topup, state__in=[TopUp.State.OPEN, TopUp.State.EXPIRED])
        if not unpaid.update(state=TopUp.State.PAID, paid_at=Now(), payment=payment, error=""):
            if payment and row.payment != payment:
                log.error("topup.paid_twice", topup=str(topup), payment=payment)
            return False
        ledger.sell(
            customer=row.customer,
            amount_nanos=row.amount_nanos,
            reference=f"topup:{topup}",
            reason=f"top-up {topup}",
        )
        facts = {"topup": str(topup), "amount_nanos": row.amount_nanos, "automatic": row.automatic}
        notices.tell(row.customer, "topup_paid", f"topup:{topup}:paid", facts)
    return True


def expire(*, topup: uuid.UUID, error: str = "") -> bool:
    """It was not paid, and will not be."""
    still_open = TopUp.objects.filter(pk=topup, state=TopUp.State.OPEN)
    return bool(still_open.update(state=TopUp.State.EXPIRED, error=error))


def take_back(*, topup: uuid.UUID, amount_nanos: int, reference: str) -> int:
    """A refund or a chargeback, once for each reference (its id at Stripe): nanodollars booked back.

    All of them together are never more than was paid.
    """
    with transaction.atomic():
        row = TopUp.objects.select_for_update(of=("self",)).select_related("customer__user").get(pk=topup)
        if ledger.taken_from_customer(customer=row.customer, reference=reference) is not None:
            return 0
        left_nanos = row.amount_nanos - row.gone_nanos if row.state == TopUp.State.PAID else 0
        amount_nanos = min(amount_nanos, left_nanos)
        if amount_nanos <= 0:
            log.error("topup.nothing_left_to_take_back", topup=str(topup), reference=reference)
            return 0
        taken_nanos = ledger.claw_back(
            customer=row.customer, amount_nanos=amount_nanos, reference=reference, reason=f"top-up {topup}"
        )
        TopUp.objects.filter(pk=topup).update(taken_back_nanos=F("taken_back_nanos") + amount_nanos)
        facts = {"topup": str(topup), "amount_nanos": amount_nanos, "taken_nanos": taken_nanos}
        notices.tell(row.customer, "topup_taken_back", f"topup:{topup}:{reference}", facts)
    return amount_nanos


def give_again(*, topup: uuid.UUID, amount_nanos: int, reference: str) -> int:
    """The refund failed or the chargeback was won: the customer gets what was taken for it, once.

    Told before the refund itself, it books both, so that the late word of the refund changes nothing.
    """
    take_back(topup=topup, amount_nanos=amount_nanos, reference=reference)
    with transaction.atomic():
        customer = TopUp.objects.select_related("customer__user").get(pk=topup).customer
        taken_nanos = ledger.taken_from_customer(customer=customer, reference=reference)
        if not taken_nanos:
            return 0
        given = ledger.sell(
            customer=customer,
            amount_nanos=taken_nanos,
            reference=f"again:{reference}",
            reason=f"given again: {reference} of top-up {topup}",
        )
        if given:
            TopUp.objects.filter(pk=topup).update(
                given_again_nanos=F("given_again_nanos")
                + ledger.clawed_back(customer=customer, reference=reference)
            )
            facts = {"topup": str(topup), "amount_nanos": taken_nanos}
            notices.tell(customer, "topup_given_again", f"topup:{topup}:{reference}:again", facts)
    return taken_nanos if given else 0


def _payer(customer: Customer) -> str:
    """Stripe's id of who wants automatic top-ups; empty for everybody else."""
    recharge = Recharge.objects.filter(customer=customer, enabled=True).first()
    if recharge is None or recharge.stripe_customer:
        return recharge.stripe_customer if recharge else ""
    payer = processor.open_payer(customer=customer.pk, email=customer.user.email)
    Recharge.objects.filter(customer=customer).update(stripe_customer=payer)
    return payer
