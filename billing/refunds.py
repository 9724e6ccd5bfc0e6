"""Refunds by hand: a charge is given back whole, whoever has to bear it, and both sides read why."""

import uuid

from django.db import transaction

from accounts.models import User
from billing import ledger, notices
from billing.ledger import Reversal, Reversed
from billing.models import Charge, LedgerAccount

REFUSALS = {
    "missing": "There is no such charge.",
    "not_posted": "Nothing was charged for it.",
    "nothing": "It was free: there is nothing to give back.",
    "already": "It was given back before.",
    "disputed": "Its dispute is open: decide that.",
}


class RefundRefused(Exception):
    """Nothing was given back; the words say why."""


def refund(*, charge: uuid.UUID, reason: str, actor: User) -> Reversed:
    """Give a charge back, once: out of the hoster's pending earning, or at our loss when that is released.

    Raises RefundRefused.
    """
    with transaction.atomic():
        (done,) = ledger.reverse(
            reversals=[Reversal(charge)], reason=f"refund: {reason}", actor=actor, at_our_loss=True
        )
        if done.status != "reversed":
            raise RefundRefused(REFUSALS[done.status])
        row = Charge.objects.select_related("account__customer").get(pk=charge)
        if row.account.customer and row.account.customer.user_id == actor.pk:
            raise RefundRefused("Nobody refunds to himself.")
        facts = {"charge": str(charge), "reason": reason, "gross_nanos": done.gross_back_nanos}
        if row.account.customer:
            notices.tell(row.account.customer, "refunded", f"refund:{charge}:customer", facts)
        payee = LedgerAccount.objects.filter(pk=row.payee[(row.quote or 1) - 1]).first()
        if payee is not None and payee.customer:
            notices.tell(
                payee.customer,
                "earning_taken_back",
                f"refund:{charge}:hoster",
                {"charge": str(charge), "reason": reason, "net_nanos": done.net_back_nanos},
            )
    return done
