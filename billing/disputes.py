"""Disputes: a customer says that a charge is wrong, the earning waits, a person decides and says why."""

import datetime as dt
import uuid

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from accounts.models import Customer, User
from billing import ledger, notices
from billing.models import Dispute, LedgerAccount

DETAIL_CHARS_MAX = 2_000
PER_DAY_MAX = 5  # of one customer, in 24 hours: more than that is no longer one wrong answer
REFUSALS = {
    "missing": "There is no such request of yours. GET /v1/requests lists them.",
    "not_posted": "Nothing was charged for this request.",
    "nothing": "This request was free: there is nothing to give back.",
    "already": "This request is disputed already, and only once can it be.",
    "reversed": "This request was refunded already.",
    "late": "The time for a dispute is over: what the hoster earned by this request is released.",
}


class DisputeRefused(Exception):
    """No dispute is opened; the words say why. code: a key of REFUSALS, or too_many."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


class Undecidable(Exception):
    """The dispute is decided already, or no reason was given."""


def open_(*, customer: Customer, charge: uuid.UUID, reason: str, detail: str = "") -> Dispute:
    """Freeze the charge's earning until a verdict; raises DisputeRefused.

    reason: one of Dispute.Reason. The window is that of the earning's hold: what is released cannot be frozen.
    """
    with transaction.atomic():
        # The row lock lets this customer's disputes come one by one, so that the limit counts all of them.
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        recent = customer.disputes.filter(opened_at__gt=Now() - dt.timedelta(days=1)).count()
        if recent >= PER_DAY_MAX:
            raise DisputeRefused("too_many", f"At most {PER_DAY_MAX} requests can be disputed in 24 hours.")
        frozen = ledger.freeze(charge=charge, payer=customer, window_s=settings.EARNINGS_HOLD_S)
        if frozen.status != "frozen":
            raise DisputeRefused(frozen.status, REFUSALS[frozen.status])
        payee = LedgerAccount.objects.get(pk=frozen.payee).customer if frozen.payee else None
        dispute = Dispute.objects.create(
            charge=charge,
            customer=customer,
            payee=payee if frozen.net_nanos else None,
            reason=reason,
            detail=detail[:DETAIL_CHARS_MAX],
            gross_nanos=frozen.gross_nanos,
            net_nanos=frozen.net_nanos,
        )
        if dispute.payee:
            notices.tell(
                dispute.payee,
                "dispute_opened",
                f"dispute:{dispute.pk}:opened",
                {"charge": str(charge), "reason": reason, "net_nanos": dispute.net_nanos},
            )
    return dispute


def decide(*, dispute: Dispute, upheld: bool, verdict: str, actor: User | None) -> Dispute:
    """Give the charge back exactly, or let the earning go on; both sides are told why. Raises Undecidable."""
    if not verdict.strip():
        raise Undecidable("Say why: both sides read it.")
    with transaction.atomic():
        rows = Dispute.objects.select_for_update(of=("self",)).select_related("customer", "payee")
        row = rows.get(pk=dispute.pk)
        if row.state != Dispute.State.OPEN:
            raise Undecidable("This dispute is decided already.")
        if actor and actor.pk in {side.user_id for side in (row.customer, row.payee) if side}:
            raise Undecidable("Nobody decides a dispute of his own.")
        ledger.decide(charge=row.charge, upheld=upheld, reason=f"dispute {row.pk}: {verdict}", actor=actor)
        state = Dispute.State.UPHELD if upheld else Dispute.State.REJECTED
        Dispute.objects.filter(pk=row.pk).update(
            state=state, verdict=verdict, decided_by=actor, decided_at=Now()
        )
        for side in filter(None, (row.customer, row.payee)):
            notices.tell(
                side,
                "dispute_decided",
                f"dispute:{row.pk}:decided:{side.pk}",
                {
                    "charge": str(row.charge), "state": state.value, "verdict": verdict,
                    "gross_nanos": row.gross_nanos, "net_nanos": row.net_nanos, "paid": side == row.customer,
                },
            )  # fmt: skip
    row.refresh_from_db()
    return row
