"""Payouts by Stripe Connect: a hoster's account there, transfers to it, and what comes back.

A payout's row stays locked while Stripe is asked, so that nobody gives the money back while it is being sent; before
anything is sent, Stripe is asked whether it was sent before.
"""

import uuid

import structlog
from django.conf import settings
from django.db import transaction

from accounts.models import Customer, User
from accounts.sealing import Unreadable
from billing import money, payouts, processor, stripe_client
from billing.models import Payout, PayoutDestination
from billing.payments import Account, Sent
from billing.payouts import PayoutRefused
from billing.stripe_client import NotConfigured, Refused, Unavailable

STRIPE = PayoutDestination.Method.STRIPE
CAME_BACK = "Stripe took the transfer back."

log = structlog.get_logger(__name__)


def onboarding_url(customer: Customer) -> str:
    """Where the hoster tells Stripe who it is and where its money goes. Raises PaymentError."""
    kept = PayoutDestination.objects.filter(customer=customer, method=STRIPE).first()
    if kept is None:
        made = processor.open_account(customer=customer.pk, email=customer.user.email)
        kept = payouts.store_destination(
            customer=customer, method=STRIPE, destination=made.id, ready=made.ready
        )
    page = f"{settings.PUBLIC_URL}/hosters/payouts"
    return processor.onboarding_url(
        account=payouts.unseal_destination(kept), again_url=page, done_url=f"{page}/stripe"
    )


def look_again(customer: Customer) -> None:
    """Ask Stripe whether the hoster's account may receive transfers now. Raises PaymentError."""
    kept = PayoutDestination.objects.filter(customer=customer, method=STRIPE).first()
    if kept:
        _keep_readiness(kept, processor.account(payouts.unseal_destination(kept)))


def account_seen(account: Account) -> None:
    """Stripe says what an account may do. Events may overtake each other: the account itself is asked."""
    kept = PayoutDestination.objects.filter(customer=account.customer, method=STRIPE).first()
    if kept and payouts.unseal_destination(kept) == account.id:
        _keep_readiness(kept, processor.account(account.id))


def send_approved() -> int:
    """Send what is approved; how many were paid. What is unclear is for the next run."""
    if not stripe_client.configured():
        return 0
    sent = 0
    for payout_id in payouts.unsent():
        try:
            sent += send(payout_id)
        except (Unavailable, Refused, Unreadable) as error:
            log.warning("payout.unclear", payout=str(payout_id), error=type(error).__name__)
    return sent


def send(payout_id: uuid.UUID) -> bool:
    """Send one payout and mark it paid; False when it needs nothing, or was refused for good.

    Raises Unavailable; Refused when Stripe does not even say whether it was sent before; Unreadable.
    """
    with transaction.atomic():
        payout = _locked(payout_id)
        if payout is None or payout.state != Payout.State.APPROVED:
            return False
        sent, account = processor.sent(payout.pk), payouts.destination_of(payout)
        try:
            sent = sent or processor.send(
                payout=payout.pk, amount_cents=money.cents(payout.amount_nanos), account=account
            )
        except Refused as refusal:
            payouts.fail(payout=payout, reason=f"Stripe refused it: {refusal}")
            return False
        _paid(payout, sent)
    return True


def withdraw(*, payout: Payout, reason: str, actor: User) -> Payout:
    """Give up an approved payout, unless Stripe has sent it meanwhile. Raises PayoutRefused."""
    with transaction.atomic():
        row = _locked(payout.pk)
        if row is None:
            raise PayoutRefused("It is being sent right now. Look again in a minute.")
        if row.state != Payout.State.APPROVED:
            raise PayoutRefused(f"It is {row.state}. Only an approved one can be given up.")
        try:
            sent = processor.sent(row.pk)
        except NotConfigured:
            sent = None
        except (Refused, Unavailable) as error:
            raise PayoutRefused(f"Whether it was sent is not known. {error}") from None
        if sent is None:
            return payouts.fail(payout=row, reason=reason, actor=actor)
        _paid(row, sent)
    raise PayoutRefused(f"Stripe had sent it already, as {sent.id}: it is marked as paid.")


def give_up(*, payout: Payout, reason: str, actor: User) -> Payout:
    """It could not be paid, says a person; of one by Stripe, Stripe is asked first. Raises PayoutRefused."""
    if payout.method == STRIPE:
        return withdraw(payout=payout, reason=reason, actor=actor)
    return payouts.fail(payout=payout, reason=reason, actor=actor)


def came_back(*, payout: Payout, reason: str, actor: User) -> Payout:
    """A paid one is back, says a person; of one by Stripe, Stripe must say so too. Raises PayoutRefused."""
    if payout.method == STRIPE:
        try:
            sent = processor.sent(payout.pk)
        except (NotConfigured, Refused, Unavailable) as error:
            raise PayoutRefused(f"Whether it came back is not known. {error}") from None
        if sent is None or not sent.came_back:
            raise PayoutRefused("At Stripe its transfer is not reversed: reverse it there first.")
    return payouts.came_back(payout=payout, reason=reason, actor=actor)


def paid_by_hand(*, payout: Payout, reference: str, actor: User) -> Payout:
    """A person has paid it. Raises PayoutRefused, also where Stripe would pay it a second time."""
    if payout.method == STRIPE and stripe_client.configured():
        raise PayoutRefused("Stripe pays this one by itself, within a minute of its approval.")
    return payouts.pay(payout=payout, reference=reference, actor=actor)


def transfer_seen(sent: Sent) -> None:
    """A transfer was made or taken back. Only what came back whole is given back without a person."""
    payout = Payout.objects.filter(pk=sent.payout, method=STRIPE).first() if sent.payout else None
    if payout is None:
        return
    with transaction.atomic():
        payout = Payout.objects.select_for_update().get(pk=payout.pk)
        if payout.state == Payout.State.APPROVED:
            _paid(payout, sent)
        elif payout.state == Payout.State.PAID and payout.reference == sent.id:
            _back(payout, sent)
        elif payout.reference != sent.id and not sent.came_back:
            log.error("payout.sent_but_not_open", payout=str(payout.pk), state=payout.state, transfer=sent.id)


def _paid(payout: Payout, sent: Sent) -> None:
    _back(payouts.pay(payout=payout, reference=sent.id), sent)


def _back(payout: Payout, sent: Sent) -> None:
    if sent.came_back:
        payouts.came_back(payout=payout, reason=CAME_BACK)
    elif sent.reversed_cents:
        log.error("payout.reversed_in_part", payout=str(payout.pk), cents=sent.reversed_cents)


def _locked(payout_id: uuid.UUID) -> Payout | None:
    rows = Payout.objects.select_for_update(of=("self",), skip_locked=True).select_related("customer__user")
    return rows.filter(pk=payout_id, method=STRIPE).first()


def _keep_readiness(kept: PayoutDestination, account: Account) -> None:
    PayoutDestination.objects.filter(pk=kept.pk).update(ready=account.ready)
