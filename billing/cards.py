"""The card that a customer lets us charge again: Stripe keeps it, we keep its id, and a refusal stops its use."""

from django.db import transaction

from accounts.models import Customer
from billing import notices
from billing.models import Recharge


def keep(*, customer: Customer, payer: str, card: str) -> None:
    """Charge this one from now on. A new card ends the pause that the old one's refusal began."""
    rows = Recharge.objects.filter(customer=customer, enabled=True, stripe_customer=payer)
    rows.exclude(payment_method=card).update(payment_method=card, paused_because="")


def forget(*, customer: Customer) -> None:
    """Charge no card any more."""
    Recharge.objects.filter(customer=customer).update(enabled=False, payment_method="", paused_because="")


def pause(*, customer: Customer, because: str, subject: str) -> bool:
    """Stop automatic top-ups until the customer acts, and say why, once."""
    with transaction.atomic():
        running = Recharge.objects.filter(customer=customer, enabled=True, paused_because="")
        if not running.update(paused_because=because):
            return False
        notices.tell(customer, "recharge_paused", f"recharge:{subject}", {"because": because})
    return True
