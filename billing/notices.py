"""What customers are told of their money and standing: written down with what happened, sent by sweeps."""

from typing import Any

from django.db.models.functions import Now

from accounts.models import Customer
from billing.models import Notice, Webhook


def tell(customer: Customer, kind: str, subject: str, facts: dict[str, Any]) -> bool:
    """Keep a notice until it is sent, once for each subject; False when it was told before.

    Part of the caller's transaction: what did not happen is not told. facts: JSON, amounts in nanodollars.
    """
    hooked = Webhook.objects.filter(customer=customer).exists()
    _, created = Notice.objects.get_or_create(
        subject=subject,
        defaults={
            "customer": customer,
            "kind": kind,
            "facts": facts,
            "hook_next_at": Now() if hooked else None,
        },
    )
    return created
