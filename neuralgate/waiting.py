"""What waits for a person, for the dashboard: one line for each kind, and for /metrics, where the
kind is a label. Add a function to QUEUE for another one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from billing.models import Dispute, Payout
from hosting import inbox


@dataclass(frozen=True, slots=True)
class Waiting:
    """title: what waits, in words; count: how many; url: where a person deals with it."""

    title: str
    count: int
    url: str


def answers() -> Waiting:
    return Waiting("Answers of hosters", inbox.answers().count(), _queue("answers"))


def restricted() -> Waiting:
    return Waiting("Hosters on probation or suspended", inbox.restricted().count(), _queue("hosters"))


def retests() -> Waiting:
    return Waiting("Models whose owners ask for a new test", inbox.retests().count(), _queue("models"))


def unverified() -> Waiting:
    return Waiting("Servers not verified yet", inbox.unverified().count(), _queue("servers"))


def disputed() -> Waiting:
    opened = Dispute.objects.filter(state=Dispute.State.OPEN)
    return Waiting(
        "Disputes to decide", opened.count(), f"{reverse('admin:billing_dispute_changelist')}?state=open"
    )


def payouts() -> Waiting:
    """Those that wait for an approval, and approved ones that a person pays."""
    return Waiting(
        "Payouts to approve or to pay",
        Payout.objects.filter(state__in=Payout.OPEN).count(),
        reverse("admin:billing_payout_changelist"),
    )


QUEUE: dict[str, Callable[[], Waiting]] = {
    "disputes": disputed,
    "payouts": payouts,
    "answers": answers,
    "restricted_hosters": restricted,
    "retests": retests,
    "unverified_servers": unverified,
}


def _queue(section: str) -> str:
    return f"{reverse('admin:moderation_queue')}#{section}"
