"""A customer's calendar months: opening balance + entries = closing balance, to the nanodollar. Only reads.

Requests are summed by day and model from the hourly sums, releases by day; every other booking is a line.
"""

import datetime as dt
from dataclasses import dataclass, field

from accounts.models import Customer
from billing import openings, snapshots
from billing.balances import Balance
from billing.models import LedgerAccount
from billing.months import Month
from routing import entries, usage
from routing.entries import Amount, DaySums, Line, ReleasedDay, Total
from routing.usage import SUMS, rows

MONTHS_MAX = 36  # in the list; older ones are opened by their name
LINES_MAX = 100  # bookings on a page

# Neither a request nor a release: billing_transfer_in and billing_transfer_out (account, created_at) hold only these.
OTHERS = "t.kind NOT IN ('charge', 'fee', 'release', 'recovery')"
MONTHS = f"""
-- ranges of routing_usagehour_once (customer, hour), billing_releaseday_once (account, starts_at) and the two above
SELECT m.month, sum(m.received)::bigint, sum(m.sent)::bigint
  FROM (SELECT date_trunc('month', u.hour, 'UTC') AS month, 0 AS received, u.gross_nanos AS sent
          FROM routing_usagehour u WHERE u.customer_id = %(customer)s AND u.hour >= %(since)s
        UNION ALL
        SELECT date_trunc('month', r.starts_at, 'UTC'), r.released_nanos, 0
          FROM billing_releaseday r WHERE r.account_id = %(pending)s AND r.starts_at >= %(since)s
        UNION ALL
        SELECT date_trunc('month', t.created_at, 'UTC'), t.amount_nanos, 0
          FROM billing_transfer t WHERE t.credit_id = %(account)s AND t.created_at >= %(since)s AND {OTHERS}
        UNION ALL
        SELECT date_trunc('month', t.created_at, 'UTC'), 0, t.amount_nanos
          FROM billing_transfer t WHERE t.debit_id = %(account)s AND t.created_at >= %(since)s AND {OTHERS}) AS m
 GROUP BY 1
"""
REQUESTS = f"""
-- a range of routing_usagehour_once (customer, hour, …)
SELECT date_trunc('day', u.hour, 'UTC'), u.model_id, {SUMS} FROM routing_usagehour u
 WHERE u.customer_id = %(customer)s AND u.hour >= %(start)s AND u.hour < %(until)s GROUP BY 1, 2 ORDER BY 1, 2
"""
RELEASES = """
-- a range of billing_releaseday_once (account, starts_at)
SELECT r.starts_at, r.releases, r.released_nanos, r.payable_nanos FROM billing_releaseday r
 WHERE r.account_id = %(pending)s AND r.starts_at >= %(start)s AND r.starts_at < %(until)s AND r.releases > 0
 ORDER BY r.starts_at
"""
BOOKED = f"""
-- ranges of billing_transfer_in and billing_transfer_out; what an upheld dispute gave back is told by billing_dispute
-- (charge). The two parts of a refund are one line.
WITH booked AS (
    SELECT t.created_at, t.kind || CASE WHEN d.id IS NULL THEN '' ELSE ' upheld' END AS kind, t.charge,
           max(t.reason) AS reason, sum(t.amount)::bigint AS amount, sum(t.earned)::bigint AS earned,
           sum(t.bought)::bigint AS bought, coalesce(t.charge, t.id) AS of
      FROM (SELECT id, created_at, kind, charge, reason, amount_nanos AS amount, earned_nanos AS earned,
                   bought_nanos AS bought
              FROM billing_transfer t
             WHERE t.credit_id = %(account)s AND t.created_at >= %(start)s AND t.created_at < %(until)s AND {OTHERS}
            UNION ALL
            SELECT id, created_at, kind, charge, reason, -amount_nanos, -earned_nanos, -bought_nanos
              FROM billing_transfer t
             WHERE t.debit_id = %(account)s AND t.created_at >= %(start)s AND t.created_at < %(until)s AND {OTHERS}
           ) AS t
      LEFT JOIN billing_dispute d ON d.charge = t.charge AND t.kind = 'refund' AND d.state = 'upheld'
     GROUP BY 1, 2, 3, of
)"""
TOTALS = f"""{BOOKED}
SELECT kind, count(*), sum(amount)::bigint, sum(earned)::bigint, sum(bought)::bigint FROM booked GROUP BY 1
"""
LINES = f"""{BOOKED}
SELECT created_at, kind, charge, reason, amount, earned, bought FROM booked
 ORDER BY created_at, of LIMIT %(rows)s OFFSET %(skipped)s
"""


@dataclass(frozen=True, slots=True)
class MonthSums:
    """opening + received − sent = closing, in nanodollars. until: the end, or now."""

    month: Month
    until: dt.datetime
    opening: Balance
    closing: Balance
    received_nanos: int
    sent_nanos: int

    @property
    def is_running(self) -> bool:
        return self.until < self.month.end


@dataclass(frozen=True, slots=True)
class Statement:
    """One month: opening + the totals' amounts = closing, and so does each part. Lines are those of one page."""

    month: Month
    until: dt.datetime
    opening: Balance
    closing: Balance
    totals: list[Total]
    requests: list[DaySums]
    releases: list[ReleasedDay] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    lines_all: int = 0
    page: int = 1
    pages: int = 1

    @property
    def is_running(self) -> bool:
        return self.until < self.month.end

    @property
    def received_nanos(self) -> int:
        return sum(max(total.amount.nanos, 0) for total in self.totals)

    @property
    def sent_nanos(self) -> int:
        return -sum(min(total.amount.nanos, 0) for total in self.totals)


def month_named(customer: Customer, name: str) -> Month | None:
    """`2026-10` as a month of this customer's: from the first booking's to the running one; None for others."""
    month, running = Month.named(name), Month.of(usage.now())
    first = openings.first_month(customer) or running
    return month if month and min(first, running) <= month <= running else None


def months(customer: Customer) -> list[MonthSums]:
    """The running month and those before it, the newest first, MONTHS_MAX at most."""
    with snapshots.one_moment():
        now, accounts = usage.now(), accounts_of(customer)
        running = Month.of(now)
        first = max(openings.first_month(customer) or running, running.earlier(MONTHS_MAX - 1))
        asked = {**accounts, "customer": customer.pk, "since": first.start}
        booked = {Month.of(row[0]): row[1:] for row in rows(MONTHS, asked)}
        kept = openings.since(accounts["account"], first.start)
    found, month = [], running
    while month >= first:
        sums = booked.get(month, (0, 0))
        opening, closing = kept.at(month.start), kept.at(month.end)
        found.append(MonthSums(month, min(now, month.end), opening, closing, *sums))
        month = month.earlier(1)
    return found


def statement(customer: Customer, month: Month, *, page: int = 1, lines_max: int = LINES_MAX) -> Statement:
    """page: of the lines, 1-based, lines_max each; one past the last is the last."""
    with snapshots.one_moment():
        now, accounts = usage.now(), accounts_of(customer)
        until = min(now, month.end)
        asked = {**accounts, "customer": customer.pk, "start": month.start, "until": month.end}
        kept = openings.since(accounts["account"], month.start)
        opening, closing = kept.at(month.start), kept.at(month.end)
        requests = [DaySums(*row[2:], day=row[0].date(), model_id=row[1]) for row in rows(REQUESTS, asked)]
        releases = [
            ReleasedDay(row[0].date(), row[1], Amount(row[2], row[3], 0)) for row in rows(RELEASES, asked)
        ]
        others = [Total(kind, count, Amount(*sums)) for kind, count, *sums in rows(TOTALS, asked)]
        lines_all = sum(total.count for total in others)
        pages = max(-(-lines_all // lines_max), 1)
        page = min(max(page, 1), pages)
        shown = {"rows": lines_max, "skipped": (page - 1) * lines_max}
        lines = (
            [
                Line(at, kind, charge, reason, Amount(*sums))
                for at, kind, charge, reason, *sums in rows(LINES, asked | shown)
            ]
            if lines_all
            else []
        )
    if releases:
        released = entries.total(one.amount for one in releases)
        others.append(Total("release", sum(one.releases for one in releases), released))
    totals = [*_requests(requests, opening, closing, others), *others]
    totals.sort(key=lambda total: list(entries.WORDS).index(total.kind))
    return Statement(
        month, until, opening, closing, totals, entries.of_a_page(requests), releases, lines, lines_all, page, pages
    )  # fmt: skip


def accounts_of(customer: Customer) -> dict[str, int]:
    """Ledger accounts by what statements call them: account, pending, disputed; 0 for one that is not there."""
    found = dict(customer.ledger_accounts.values_list("kind", "pk"))
    kinds = LedgerAccount.Kind
    names = {"account": kinds.CUSTOMER, "pending": kinds.HOSTER_PENDING, "disputed": kinds.HOSTER_DISPUTED}
    return {name: found.get(kind, 0) for name, kind in names.items()}


def _requests(
    requests: list[DaySums], opening: Balance, closing: Balance, others: list[Total]
) -> list[Total]:
    """The total of requests. Hourly sums know no parts: they are what is left of the difference of the balances."""
    if not requests:
        return []
    rest = entries.total(one.amount for one in others)
    amount = Amount(
        -sum(one.gross_nanos for one in requests),
        closing.earned_nanos - opening.earned_nanos - rest.earned_nanos,
        closing.bought_nanos - opening.bought_nanos - rest.bought_nanos,
    )
    return [Total("request", sum(one.requests for one in requests), amount)]
