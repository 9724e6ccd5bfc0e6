"""The customer's log as CSV, page by page, with the filters of its page: what /account/requests.csv streams.

The columns of /v1/usage/export, and behind them which request it was, of which key, how it ended, and what came back
of its cost.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from billing import money
from routing import export, history, usage
from routing.export import Period
from routing.history import Filter

COLUMNS = (*export.COLUMNS, "request_id", "key", "outcome", "refunded_usd")

PAGE = f"""
-- as export.PAGE: a range of routing_inferencerequest_customer (customer, id), whose lower bound keeps old partitions
-- out; keys by their primary key
SELECT r.id, r.created_at, r.model_id, r.provider, r.input_tokens, r.output_tokens, r.cost_nanos, r.latency_ms,
       r.success, k.name, r.outcome, {history.REFUNDED}
  FROM routing_inferencerequest r
  JOIN accounts_apikey k ON k.id = r.key_id
 WHERE r.customer_id = %(customer)s AND r.id > %(after)s
   AND (%(id)s::uuid IS NULL OR r.id = %(id)s)
   {history.AGREES}
 ORDER BY r.id LIMIT %(rows)s
"""


async def lines(
    customer_id: int, period: Period, wanted: Filter, *, one: uuid.UUID | None = None
) -> AsyncIterator[str]:
    """The header, then the requests of the period that agree, in order of admission, one piece of text per page.

    The days of the filter are not looked at: the period stands for them. one: only the request with this id.
    """
    yield export.text([COLUMNS])
    parameters = {
        **history.parameters(wanted),
        "customer": customer_id,
        "since": period.since,
        "until": period.until,
        "after": export.first_id(period.since - dt.timedelta(days=1)),
        "id": one,
        "rows": settings.EXPORT_PAGE_ROWS,
    }
    while True:
        rows = await sync_to_async(page)(parameters)
        if rows:
            yield export.text(record(*row) for row in rows)
            parameters["after"] = rows[-1][0]
        if len(rows) < settings.EXPORT_PAGE_ROWS:
            return


@export.without_connection
def page(parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """At most EXPORT_PAGE_ROWS requests."""
    return usage.rows(PAGE, parameters)


def record(request_id: uuid.UUID, *exported: Any) -> tuple[str, ...]:
    """One request in the order of COLUMNS; its id is what the header `x-request-id` of the answer said."""
    *figures, key_name, outcome, refunded_nanos = exported
    return (
        *export.record(*figures), f"req_{request_id.hex}", export.harmless(key_name), outcome,
        money.decimal(refunded_nanos),
    )  # fmt: skip
