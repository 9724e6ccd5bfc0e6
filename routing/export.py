"""The customer's requests as CSV, page by page: what /v1/usage/export streams."""

import csv
import datetime as dt
import functools
import io
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from billing import money
from routing import periods, usage

P = ParamSpec("P")
R = TypeVar("R")

COLUMNS = (
    "timestamp", "model", "provider", "input_tokens", "output_tokens", "total_tokens", "cost_usd",
    "latency_ms", "success",
)  # fmt: skip
HEADERS = {
    "Content-Type": "text/csv; charset=utf-8",
    "Content-Disposition": 'attachment; filename="usage.csv"',
    "Cache-Control": "no-store",
}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")  # what spreadsheets may run

PAGE = """
-- a range of routing_inferencerequest_customer (customer, id); ids are in order of admission, so their lower
-- bound (a day early: a request is booked after its id was made) keeps old partitions out
SELECT id, created_at, model_id, provider, input_tokens, output_tokens, cost_nanos, latency_ms, success
  FROM routing_inferencerequest
 WHERE customer_id = %(customer)s AND id > %(after)s AND created_at >= %(since)s AND created_at < %(until)s
 ORDER BY id LIMIT %(rows)s
"""


@dataclass(frozen=True, slots=True)
class Period:
    """[since, until): what is booked while the export runs is left to the next one."""

    since: dt.datetime
    until: dt.datetime


def period(days: int) -> Period:
    """The last `days` calendar days up to now, as all other statements count them."""
    now = usage.now()
    return Period(periods.since(now, days), now)


async def lines(customer_id: int, period: Period) -> AsyncIterator[str]:
    """The header, then the requests in order of admission, one piece of text per page."""
    yield text([COLUMNS])
    after = first_id(period.since - dt.timedelta(days=1))
    while True:
        rows = await sync_to_async(page)(customer_id, period, after)
        if rows:
            yield text(record(*row[1:]) for row in rows)
            after = rows[-1][0]
        if len(rows) < settings.EXPORT_PAGE_ROWS:
            return


def without_connection(function: Callable[P, R]) -> Callable[P, R]:
    """Give the thread's database connection back to the pool after the call."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        finally:
            connection.close()

    return call


@without_connection
def page(customer_id: int, period: Period, after: uuid.UUID) -> list[tuple[Any, ...]]:
    """At most EXPORT_PAGE_ROWS requests after this id."""
    return usage.rows(
        PAGE,
        {
            "customer": customer_id,
            "since": period.since,
            "until": period.until,
            "after": after,
            "rows": settings.EXPORT_PAGE_ROWS,
        },
    )


def record(
    created_at: dt.datetime,
    model: str,
    provider: str,
    input_tokens: int,
    output_tokens: int,
    cost_nanos: int,
    latency_ms: int,
    success: bool,
) -> tuple[str, ...]:
    """One request in the order of COLUMNS."""
    return (
        periods.text(created_at),
        harmless(model),
        harmless(provider),
        str(input_tokens),
        str(output_tokens),
        str(input_tokens + output_tokens),
        money.decimal(cost_nanos),
        str(latency_ms),
        "true" if success else "false",
    )


def harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula: somebody may sell a model named `=HYPERLINK(…)`."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA_STARTS) else cell


def text(records: Iterable[tuple[str, ...]]) -> str:
    """RFC 4180: comma, CRLF, quotes where needed."""
    out = io.StringIO()
    csv.writer(out).writerows(records)
    return out.getvalue()


def first_id(moment: dt.datetime) -> uuid.UUID:
    """The smallest UUIDv7 of this millisecond."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)
