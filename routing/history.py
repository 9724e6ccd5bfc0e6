"""A customer's requests one by one, newest first, page by page. No prompt, no answer: none is kept."""

import datetime as dt
import uuid
from dataclasses import asdict, astuple, dataclass
from typing import Any

from accounts.days import LAST_DAY
from accounts.models import Customer
from billing.ledger import FEE_BACK, NET_BACK
from routing import endings, usage
from routing.export import first_id

ROWS_DEFAULT = 50
ROWS_MAX = 200
LOOKED_AT_MAX = 10_000  # requests that one page of a filtered list goes through: then it says where to go on
RUNNING_MAX = dt.timedelta(days=1)  # a request is booked after its id was made
CLOCKS_APART = dt.timedelta(minutes=1)  # ids are made by the gateways' clocks
FIRST_DAY = dt.date(2020, 1, 1)  # before there are no requests
NEWEST = uuid.UUID(int=2**128 - 1)
OLDEST = uuid.UUID(int=0)

AGREES = """
   AND (%(key)s::bigint IS NULL OR r.key_id = %(key)s)
   AND (%(model)s::text IS NULL OR r.model_id = %(model)s OR r.model_asked = %(model)s)
   AND (%(model_part)s::text IS NULL OR strpos(lower(r.model_id), lower(%(model_part)s)) > 0
        OR strpos(lower(r.model_asked), lower(%(model_part)s)) > 0)
   AND (%(outcome)s::text IS NULL OR r.outcome = %(outcome)s)
   AND (%(since)s::timestamptz IS NULL OR r.created_at >= %(since)s)
   AND (%(until)s::timestamptz IS NULL OR r.created_at < %(until)s)
"""

REFUNDED = f"""
coalesce((SELECT sum(t.amount_nanos) FROM billing_transfer t  -- by primary key
           WHERE t.id IN (billing_transfer_id(r.id, {NET_BACK}), billing_transfer_id(r.id, {FEE_BACK}))), 0)::bigint"""

PAGE = f"""
-- a range of routing_inferencerequest_customer (customer, id) from its end; ids are in order of admission, so that
-- their bounds keep the other partitions out
SELECT r.id, r.created_at, r.key_id, k.name, r.model_asked, r.model_id, r.outcome, r.success, r.provider,
       coalesce(h.name, ''), r.input_tokens, r.output_tokens, r.cost_nanos, {REFUNDED},
       CASE WHEN r.streamed THEN r.ttft_ms END, r.latency_ms
  FROM (SELECT * FROM routing_inferencerequest i
         WHERE i.customer_id = %(customer)s AND i.id < %(before)s AND i.id > %(after)s
         ORDER BY i.id DESC LIMIT %(looked_at)s) r
  JOIN accounts_apikey k ON k.id = r.key_id
  LEFT JOIN hosting_server s ON s.id = r.server_id
  LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
 WHERE true {AGREES}
 ORDER BY r.id DESC LIMIT %(rows)s
"""
LOOKED_TO = """
-- the last row that PAGE went through, when there were as many as it may
SELECT i.id FROM routing_inferencerequest i
 WHERE i.customer_id = %(customer)s AND i.id < %(before)s AND i.id > %(after)s
 ORDER BY i.id DESC OFFSET %(looked_at)s - 1 LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests: each part that is not None must agree. [since, until): when booked.

    model: asked or served, the whole name; model_part: a part of either, whatever its case.
    """

    key: int | None = None
    model: str | None = None
    model_part: str | None = None
    outcome: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    @classmethod
    def of_days(cls, first: dt.date | None, last: dt.date | None) -> "Filter":
        """Of calendar days in UTC, the last one included; outside of FIRST_DAY to LAST_DAY nothing is."""
        since = None if first is None else dt.datetime.combine(max(first, FIRST_DAY), dt.time(), dt.UTC)
        day_after = None if last is None else min(max(last, FIRST_DAY), LAST_DAY) + dt.timedelta(days=1)
        until = None if day_after is None else dt.datetime.combine(day_after, dt.time(), dt.UTC)
        return cls(since=since, until=until)

    @property
    def is_empty(self) -> bool:
        return all(part is None for part in astuple(self))


@dataclass(frozen=True, slots=True)
class Line:
    """One request of the list. hoster is empty for the platform's own, provider too when nobody served.

    refunded_nanos: what came back of the cost.
    """

    id: uuid.UUID
    created_at: dt.datetime
    key_id: int
    key_name: str
    model_asked: str
    model: str
    outcome: str
    success: bool
    provider: str
    hoster: str
    input_tokens: int
    output_tokens: int
    cost_nanos: int
    refunded_nanos: int
    ttft_ms: int | None
    latency_ms: int

    @property
    def outcome_words(self) -> str:
        return endings.words(self.outcome)

    @property
    def tone(self) -> str:
        return endings.tone(self.outcome, success=self.success)


@dataclass(frozen=True, slots=True)
class Page:
    """next_before: the `before` of the page after this one, None at the end."""

    lines: tuple[Line, ...]
    next_before: uuid.UUID | None


def page(
    customer: Customer,
    wanted: Filter,
    *,
    before: uuid.UUID | None = None,
    rows_max: int = ROWS_DEFAULT,
) -> Page:
    """At most rows_max requests older than `before`, newest first; nothing is counted.

    A filtered page goes through LOOKED_AT_MAX requests at most, so it may be short, even empty, and go on all the same.
    """
    asked = {
        **parameters(wanted),
        "customer": customer.pk,
        "before": min(before or NEWEST, first_id(wanted.until + CLOCKS_APART) if wanted.until else NEWEST),
        "after": first_id(wanted.since - RUNNING_MAX) if wanted.since else OLDEST,
        "looked_at": rows_max + 1 if wanted.is_empty else LOOKED_AT_MAX,
        "rows": rows_max + 1,
    }
    lines = [Line(*row) for row in usage.rows(PAGE, asked)]
    if len(lines) > rows_max:
        return Page(tuple(lines[:rows_max]), lines[rows_max - 1].id)
    looked_to = [] if wanted.is_empty else usage.rows(LOOKED_TO, asked)
    return Page(tuple(lines), looked_to[0][0] if looked_to else None)


def parameters(wanted: Filter) -> dict[str, Any]:
    """What AGREES asks for."""
    return asdict(wanted)
