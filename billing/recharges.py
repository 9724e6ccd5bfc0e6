"""Automatic top-ups: when credit runs low the kept card is charged, never twice at once, up to the month's cap."""

import datetime as dt

import structlog
from django.db import transaction
from django.db.models import F, Q, Sum

from accounts.models import Customer
from billing import cards, confirmations, money, processor, stripe_client
from billing.models import LedgerAccount, Recharge, TopUp
from billing.stripe_client import Refused, Unavailable
from billing.topups import TopUpRefused, check_amount

log = structlog.get_logger(__name__)

RUNNING = Q(enabled=True, paused_because="", customer__user__is_active=True) & ~Q(payment_method="")
LOW = Q(
    customer__ledger_accounts__kind=LedgerAccount.Kind.CUSTOMER,
    customer__ledger_accounts__posted_nanos__lt=F("below_nanos") + F("customer__ledger_accounts__held_nanos"),
)


def wish(
    *, customer: Customer, enabled: bool, below_nanos: int, amount_nanos: int, month_max_nanos: int
) -> Recharge:
    """What the customer wants from now on; to say it again ends a pause. Switched off, the card is forgotten.

    Raises TopUpRefused.
    """
    check_amount(amount_nanos)
    if month_max_nanos < amount_nanos:
        raise TopUpRefused("A month's limit is at least one top-up.")
    amounts = {
        "below_nanos": below_nanos, "amount_nanos": amount_nanos, "month_max_nanos": month_max_nanos,
    }  # fmt: skip
    with transaction.atomic():
        Recharge.objects.update_or_create(
            customer=customer, defaults={**amounts, "enabled": enabled, "paused_because": ""}
        )
        if not enabled:
            cards.forget(customer=customer)
    return Recharge.objects.get(customer=customer)


def charge_due(*, rows_max: int = 100) -> int:
    """Charge the cards of all whose credit is low; how many top-ups were begun."""
    if not stripe_client.configured():
        return 0
    due = Recharge.objects.filter(RUNNING & LOW).order_by("?").values_list("pk", flat=True)[:rows_max]
    return sum(charge(customer_id) for customer_id in due)


def charge(customer_id: int) -> bool:
    """Top one customer up if it is still due; False when it is not, or somebody else does it right now.

    Without an answer the top-up stays open: `confirmations.settle_open` finds out, and until then no other begins.
    """
    claimed = _claim(customer_id)
    if claimed is None:
        return False
    topup, recharge = claimed
    try:
        payment = processor.charge_card(
            topup=topup.pk,
            amount_cents=money.cents(topup.amount_nanos),
            payer=recharge.stripe_customer,
            card=recharge.payment_method,
        )
    except Refused as refusal:
        confirmations.refused(topup, str(refusal))
    except Unavailable:
        log.warning("recharge.unclear", topup=str(topup.pk))
    else:
        confirmations.payment_seen(payment)
    return True


def _claim(customer_id: int) -> tuple[TopUp, Recharge] | None:
    """One winner: whoever locks the row and finds no other automatic top-up under way."""
    month = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic():
        locked = Recharge.objects.select_for_update(of=("self",), skip_locked=True)
        recharge = locked.filter(RUNNING & LOW, pk=customer_id).select_related("customer__user").first()
        if recharge is None:
            return None
        automatic = TopUp.objects.filter(customer_id=customer_id, automatic=True)
        if automatic.filter(state=TopUp.State.OPEN).exists():
            return None
        this_month = automatic.filter(created_at__gte=month).exclude(state=TopUp.State.EXPIRED)
        spent_nanos = this_month.aggregate(sum=Sum("amount_nanos"))["sum"] or 0
        if spent_nanos + recharge.amount_nanos > recharge.month_max_nanos:
            return None
        topup = TopUp.objects.create(
            customer=recharge.customer, amount_nanos=recharge.amount_nanos, automatic=True
        )
    return topup, recharge
