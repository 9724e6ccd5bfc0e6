"""From what Stripe says to what is booked. Said by an event or by an answer, early, late or again: the same happens."""

import datetime as dt
import uuid

import structlog
from django.db.models.functions import Now

from billing import cards, money, processor, stripe_client, topups
from billing.models import Recharge, TopUp
from billing.payments import Checkout, Payment, TakenBack
from billing.stripe_client import NotConfigured, Refused, Unavailable

ASK_AFTER = dt.timedelta(minutes=10)  # a payment takes minutes; after that an event may have been lost
# Stripe repeats an event for three days; we may have been away for longer.
LOOKED_BACK = dt.timedelta(days=30)
NEVER_MADE = "Stripe knows nothing of it."
FAILED = {"requires_payment_method", "requires_action", "canceled"}
CHARGED_BACK = "A payment of yours was charged back."

log = structlog.get_logger(__name__)


def checkout_seen(page: Checkout) -> None:
    """A payment page was paid, or closed without a payment. Some methods are complete first and paid days later."""
    if page.topup is None:
        return
    if page.paid:
        topups.pay(
            topup=page.topup, payment=page.payment, amount_cents=page.amount_cents, currency=page.currency
        )
    elif page.status == "expired":
        topups.expire(topup=page.topup)


def payment_seen(payment: Payment) -> None:
    """A payment succeeded, or an automatic one failed. (On a payment page the customer may try another card.)"""
    topup = payment.topup and TopUp.objects.select_related("customer__user").filter(pk=payment.topup).first()
    if not topup:
        return
    if payment.status == "succeeded":
        topups.pay(
            topup=topup.pk, payment=payment.id, amount_cents=payment.amount_cents, currency=payment.currency
        )
        if payment.keeps_card and payment.card:
            cards.keep(customer=topup.customer, payer=payment.payer, card=payment.card)
    elif topup.automatic and payment.status in FAILED:
        refused(topup, payment.error or "Your bank wants you to confirm the payment.")


def refused(topup: TopUp, because: str) -> None:
    """An automatic top-up was not paid: no other is tried until the customer acts."""
    if topups.expire(topup=topup.pk, error=because):
        cards.pause(customer=topup.customer, because=because, subject=f"{topup.pk}:refused")


def taken_back_seen(back: TakenBack) -> None:
    """A refund or a chargeback, or the end of one that did not stand. It proves that the payment was made."""
    topup = _topup_of(back.payment)
    if topup is None:
        return
    amount_nanos = money.of_cents(back.amount_cents)
    if not back.stands:
        topups.give_again(topup=topup.pk, amount_nanos=amount_nanos, reference=back.id)
        return
    if topups.take_back(topup=topup.pk, amount_nanos=amount_nanos, reference=back.id) and back.is_chargeback:
        cards.pause(customer=topup.customer, because=CHARGED_BACK, subject=back.id)


def look_for_taken_back() -> int:
    """Act upon refunds and chargebacks of which no event came; how many were looked at. Those that were acted upon
    before change nothing."""
    if not stripe_client.configured():
        return 0
    since = dt.datetime.now(dt.UTC) - LOOKED_BACK
    found = processor.taken_back(since_s=int(since.timestamp()))
    for back in found:
        try:
            taken_back_seen(back)
        except (Refused, Unavailable) as error:  # the others must not wait for this one
            log.warning("topup.refund_unclear", reference=back.id, error=type(error).__name__)
    return len(found)


def settle_open(*, rows_max: int = 100) -> int:
    """Ask Stripe about top-ups that nothing was heard of; how many are not open any more.

    At random: many that stay open (a bank takes days) must not hide the others.
    """
    unheard = TopUp.objects.filter(state=TopUp.State.OPEN, created_at__lt=Now() - ASK_AFTER)
    settled = 0
    for topup in unheard.select_related("customer__user").order_by("?")[:rows_max]:
        try:
            _ask_about(topup)
        except Refused as refusal:
            topups.expire(topup=topup.pk, error=str(refusal))
        except (Unavailable, NotConfigured):
            log.warning("topup.unsettled", topup=str(topup.pk))
            break
        settled += not TopUp.objects.filter(pk=topup.pk, state=TopUp.State.OPEN).exists()
    return settled


def _ask_about(topup: TopUp) -> None:
    if topup.checkout:
        page = processor.checkout(topup.checkout)
        checkout_seen(page)
        if page.paid and page.payment:
            payment_seen(processor.payment(page.payment))  # it says which card is kept
        return
    payment = None
    if topup.automatic:
        payer = Recharge.objects.get(customer=topup.customer).stripe_customer
        since_s = int(topup.created_at.timestamp()) - int(ASK_AFTER.total_seconds())
        payment = processor.payment_of(topup=topup.pk, payer=payer, since_s=since_s)
    if payment:
        payment_seen(payment)
    else:
        topups.expire(topup=topup.pk, error=NEVER_MADE)


def _topup_of(payment: str | None) -> TopUp | None:
    """The paid top-up of a payment. One that we do not know yet is looked up: it may be another program's."""
    if payment is None:
        return None
    known = TopUp.objects.select_related("customer__user")
    found = known.filter(payment=payment).first()
    if found is None:
        seen = processor.payment(payment)
        topup_id: uuid.UUID | None = seen.topup
        payment_seen(seen)
        found = known.filter(pk=topup_id).first() if topup_id else None
    return found
