"""Whether a request can be disputed still: what its receipt says, and the clock of the books."""

import datetime as dt

from django.conf import settings

from routing import usage
from routing.receipts import Receipt


def until(receipt: Receipt) -> dt.datetime | None:
    """When the time for a dispute ends; None where there is nothing to give back, or it is over."""
    if receipt.settled_at is None or not receipt.cost_nanos or receipt.refunded_nanos:
        return None
    end = receipt.settled_at + dt.timedelta(seconds=settings.EARNINGS_HOLD_S)
    return end if usage.now() < end else None
