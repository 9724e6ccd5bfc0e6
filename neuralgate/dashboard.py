"""The admin's first page: 30 days from the roll-ups, the state of the books and of the machinery, and what waits.

Few queries, and none of them counts requests: days are sums of hours, and days that are over are remembered.
"""

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone

from billing import money
from neuralgate import waiting
from neuralgate.lateness import late_jobs
from neuralgate.probes import CLOCK_SKEW_MAX_S
from routing import tester

DAYS = 30
ERROR_HOURS = 6
AUDITS_MISSED_MAX = 3  # runs of the audit that may be missing
REMEMBERED_S = 3_600  # how long the sums of past days are kept

DAY_SUMS = f"""
-- routing_usagehour_by_hour; of what the operator's own and cloud servers served, the whole charge is booked as a fee
SELECT (hour AT TIME ZONE 'UTC')::date, sum(requests)::bigint, sum(gross_nanos)::bigint,
       coalesce(sum(fee_nanos) FILTER (WHERE provider = 'hoster'), 0)::bigint,
       coalesce(sum(fee_nanos) FILTER (WHERE provider <> 'hoster'), 0)::bigint
  FROM routing_usagehour WHERE hour >= %(since)s AND hour < %(before)s AND {tester.OF_CUSTOMERS} GROUP BY 1
"""
ERRORS = """
-- hosting_serverminute_recent
SELECT date_trunc('hour', minute, 'UTC'), sum(served)::bigint, sum(failed)::bigint
  FROM hosting_serverminute WHERE minute >= %(since)s GROUP BY 1 ORDER BY 1 DESC
"""
STATE = """
-- billing_charge_held; a row for each matured minute of each hoster; a row for each web process; the last audit
SELECT h.holds, h.nanos, h.oldest, m.nanos, m.next, p.alive, a.finished_at, a.differences, a.found::text[],
       extract(epoch FROM app_now())::float8
  FROM (SELECT count(*) AS holds, coalesce(sum(hold_nanos), 0)::bigint AS nanos, min(created_at) AS oldest
          FROM billing_charge WHERE state = 'held') AS h,
       (SELECT coalesce(sum(amount_nanos), 0)::bigint AS nanos, min(matures_at) AS next FROM billing_maturity) AS m,
       (SELECT count(*) AS alive FROM routing_gatewayprocess
         WHERE heartbeat_at > now() - make_interval(secs => %(dead_after_s)s)) AS p
  LEFT JOIN (SELECT finished_at, differences, found FROM routing_auditrun ORDER BY id DESC LIMIT 1) AS a ON true
"""


@dataclass(frozen=True, slots=True)
class Day:
    """Requests served, what customers spent, and what of it stays with the platform; nanodollars. Without own tests.

    fees_nanos: of what hosters served. own_nanos: what the operator's own and cloud servers earned, all of it.
    """

    date: dt.date
    requests: int = 0
    spend_nanos: int = 0
    fees_nanos: int = 0
    own_nanos: int = 0

    @property
    def income_nanos(self) -> int:
        """What stays with the platform, before what its own servers and clouds cost it."""
        return self.fees_nanos + self.own_nanos


@dataclass(frozen=True, slots=True)
class Hour:
    """Tries at servers."""

    hour: dt.datetime
    served: int
    failed: int

    @property
    def tries(self) -> int:
        return self.served + self.failed

    @property
    def percent(self) -> str:
        """The failed ones' share: "1.3 %"."""
        return f"{100 * self.failed / max(self.tries, 1):.1f} %"


@dataclass(frozen=True, slots=True)
class State:
    """What is open now. audited_at is None before the first audit; skew_s: this clock less the database's."""

    holds: int
    held_nanos: int
    oldest_hold_at: dt.datetime | None
    pending_nanos: int
    next_release_at: dt.datetime | None
    processes: int
    audited_at: dt.datetime | None
    differences: int | None
    found: list[str] | None
    skew_s: float

    @property
    def hold_is_stale(self) -> bool:
        stale_s = settings.HOLD_EXPIRY_S + settings.SWEEP_EVERY_S
        return self.oldest_hold_at is not None and _age_s(self.oldest_hold_at) > stale_s

    @property
    def audit_is_late(self) -> bool:
        return self.audited_at is None or _age_s(self.audited_at) > AUDITS_MISSED_MAX * settings.AUDIT_EVERY_S

    @property
    def clocks_differ(self) -> bool:
        return abs(self.skew_s) >= CLOCK_SKEW_MAX_S


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """unfold's callback: what templates/admin/index.html shows."""
    listed = days(timezone.now().date())
    hours = errors()
    return {
        **context,
        "title": "Dashboard",
        "days": listed[::-1],
        "totals": _total(listed),
        "chart": {
            "days": [f"{day.date:%d %b}" for day in listed],
            "requests": [day.requests for day in listed],
            "spend": [money.usd(day.spend_nanos) for day in listed],
            "income": [money.usd(day.income_nanos) for day in listed],
        },
        "hours": hours,
        "failed": Hour(
            timezone.now(), sum(hour.served for hour in hours), sum(hour.failed for hour in hours)
        ),
        "error_hours": ERROR_HOURS,
        "state": state(),
        "late_jobs": late_jobs(),
        "waiting": [ask() for ask in waiting.QUEUE.values()],
    }


def days(today: dt.date) -> list[Day]:
    """The last 30 days, oldest first, without gaps."""
    first = today - dt.timedelta(days=DAYS - 1)
    past: list[Day] = (
        cache.get_or_set(f"dashboard-sums-before-{today}", lambda: _sums(first, today), REMEMBERED_S) or []
    )
    found = {day.date: day for day in (*past, *_sums(today, today + dt.timedelta(days=1)))}
    dates = (first + dt.timedelta(days=index) for index in range(DAYS))
    return [found.get(date) or Day(date) for date in dates]


def errors() -> list[Hour]:
    """The last hours in which anything was tried, latest first."""
    since = timezone.now() - dt.timedelta(hours=ERROR_HOURS)
    with connection.cursor() as cursor:
        cursor.execute(ERRORS, {"since": since})
        return [Hour(*row) for row in cursor.fetchall()]


def state() -> State:
    with connection.cursor() as cursor:
        cursor.execute(STATE, {"dead_after_s": settings.PROCESS_DEAD_AFTER_S})
        *figures, books_clock_s = cursor.fetchone()
    return State(*[*figures, time.time() - books_clock_s])


def _sums(first: dt.date, before: dt.date) -> list[Day]:
    midnight = dt.time(tzinfo=dt.UTC)
    bounds: dict[str, dt.datetime | str] = {
        "since": dt.datetime.combine(first, midnight), "before": dt.datetime.combine(before, midnight),
        "tester": tester.email(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(DAY_SUMS, bounds)
        return [Day(*row) for row in cursor.fetchall()]


def _total(listed: list[Day]) -> Day:
    names = ("requests", "spend_nanos", "fees_nanos", "own_nanos")
    return Day(listed[-1].date, *(sum(getattr(day, name) for day in listed) for name in names))


def _age_s(moment: dt.datetime) -> float:
    return (timezone.now() - moment).total_seconds()
