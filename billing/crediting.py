"""Crediting an account by hand, with a reason; above a limit a second person must book the rest."""

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Now

from accounts.models import Customer, User
from billing import ledger, money
from billing.models import LedgerAccount, Transfer

WINDOW = dt.timedelta(hours=24)
BY_HAND = (Transfer.Kind.GRANT, Transfer.Kind.SALE)


class CreditRefused(Exception):
    """Nothing was booked; the words say why."""


def credit(
    *, customer: Customer, amount_nanos: int, paid: bool, reason: str, reference: str, actor: User
) -> bool:
    """Book credit: bought when somebody paid for it, else promotional. False when this reference was booked before.

    One person credits one customer with ADMIN_CREDIT_MAX_NANOS at most in 24 hours, and never himself. Raises
    CreditRefused.
    """
    if not reason.strip():
        raise CreditRefused("Say why: it stays in the books.")
    if customer.user_id == actor.pk:
        raise CreditRefused("Nobody credits himself.")
    with transaction.atomic():
        # The row lock lets the credits of one customer come one by one, so that the limit counts all of them.
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        booked_nanos = _booked_by(actor, customer)
        if booked_nanos + amount_nanos > settings.ADMIN_CREDIT_MAX_NANOS:
            most, left = settings.ADMIN_CREDIT_MAX_NANOS, settings.ADMIN_CREDIT_MAX_NANOS - booked_nanos
            raise CreditRefused(
                f"One person credits one customer with {money.text(most)} at most in 24 hours. You can book "
                f"{money.text(max(left, 0))} more; a second person must book the rest."
            )
        book = ledger.sell if paid else ledger.grant
        return book(
            customer=customer,
            amount_nanos=amount_nanos,
            reference=f"admin:{reference}",
            reason=reason.strip(),
            actor=actor,
        )


def _booked_by(actor: User, customer: Customer) -> int:
    account = LedgerAccount.objects.get(kind=LedgerAccount.Kind.CUSTOMER, customer=customer)
    recent = Transfer.objects.filter(credit=account, created_at__gt=Now() - WINDOW)  # billing_transfer_credit
    sums = recent.filter(actor=actor, kind__in=BY_HAND).aggregate(sum=Sum("amount_nanos"))
    return sums["sum"] or 0
