"""What customers are told of their money: written down with what happened, sent by a sweep."""

from typing import Any

from accounts.models import Customer
from billing.models import Notice


def tell(customer: Customer, kind: str, subject: str, facts: dict[str, Any]) -> bool:
    """Keep a notice until it is sent, once for each subject; False when it was told before.

    Part of the caller's transaction: what did not happen is not told. facts: JSON, amounts in nanodollars.
    """
    _, created = Notice.objects.get_or_create(
        subject=subject, defaults={"customer": customer, "kind": kind, "facts": facts}
    )
    return created
