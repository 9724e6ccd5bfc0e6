"""Reads for /v1/usage: a customer's balance, limits and hourly sums; money in nanodollars, time in ms."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from django.db import connection

from routing import periods

NOW = "SELECT app_now()"

SUMS = """
       coalesce(sum(u.requests), 0)::bigint, coalesce(sum(u.input_tokens), 0)::bigint,
       coalesce(sum(u.output_tokens), 0)::bigint, coalesce(sum(u.gross_nanos), 0)::bigint,
       coalesce(sum(u.fee_nanos), 0)::bigint, coalesce(sum(u.net_nanos), 0)::bigint,
       coalesce(sum(u.latency_ms_sum), 0)::bigint
"""
STANDING = """
-- one customer, at most one row of the account (customer, kind) and of each window (customer, span, start)
SELECT coalesce(a.posted_nanos - a.held_nanos, 0), coalesce(m.requests, 0), coalesce(d.requests, 0),
       t.requests_per_minute, t.requests_per_day, coalesce(m.tokens, 0), t.tokens_per_minute
  FROM accounts_customer c
  JOIN accounts_tier t ON t.name = c.tier_id
  LEFT JOIN billing_ledgeraccount a ON a.customer_id = c.id AND a.kind = 'customer'
  LEFT JOIN billing_ratewindow m ON m.customer_id = c.id AND m.span = 'minute'
       AND m.starts_at = date_trunc('minute', app_now())
  LEFT JOIN billing_ratewindow d ON d.customer_id = c.id AND d.span = 'day'
       AND d.starts_at = date_trunc('day', app_now(), 'UTC')
 WHERE c.id = %(customer)s
"""
# Each of these reads a range of routing_usagehour_once (customer, hour, …).
TOTALS = f"SELECT {SUMS} FROM routing_usagehour u WHERE u.customer_id = %(customer)s AND u.hour >= %(since)s"
BY_PERIOD = f"""
SELECT date_trunc(%(interval)s, u.hour, 'UTC'), {SUMS},
       coalesce(sum(u.requests) FILTER (WHERE u.provider = 'local'), 0)::bigint,
       coalesce(sum(u.requests) FILTER (WHERE u.provider = 'hoster'), 0)::bigint,
       coalesce(sum(u.requests) FILTER (WHERE u.provider = 'cloud'), 0)::bigint
  FROM routing_usagehour u WHERE u.customer_id = %(customer)s AND u.hour >= %(since)s GROUP BY 1
"""
BY_PERIOD_AND_MODEL = f"""
SELECT u.model_id, date_trunc(%(interval)s, u.hour, 'UTC'), {SUMS}
  FROM routing_usagehour u WHERE u.customer_id = %(customer)s AND u.hour >= %(since)s GROUP BY 1, 2
"""
BY_PERIOD_AND_KEY = f"""
SELECT k.name || ' ' || k.visible_part, u.period, {SUMS}
  FROM (SELECT *, date_trunc(%(interval)s, h.hour, 'UTC') AS period FROM routing_usagehour h
         WHERE h.customer_id = %(customer)s AND h.hour >= %(since)s) u
  JOIN accounts_apikey k ON k.id = u.key_id GROUP BY k.id, u.period
"""
BREAKDOWN = f"""
-- by model and by day in one snapshot, so that both add up to the same; a row of a day has no provider
SELECT u.model_id, u.provider, date_trunc('day', u.hour, 'UTC') AS day, {SUMS} FROM routing_usagehour u
 WHERE u.customer_id = %(customer)s AND u.hour >= %(since)s
 GROUP BY GROUPING SETS ((u.model_id, u.provider), (day))
 ORDER BY sum(u.gross_nanos) DESC, sum(u.requests) DESC, u.model_id, u.provider
"""


GROUPINGS = {"model": BY_PERIOD_AND_MODEL, "key": BY_PERIOD_AND_KEY}


@dataclass(frozen=True, slots=True)
class Sums:
    """What was served and billed (or free). gross = fee (the platform's) + net (the hosters')."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    gross_nanos: int = 0
    fee_nanos: int = 0
    net_nanos: int = 0
    latency_ms_sum: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def avg_latency_ms(self) -> int:
        """Rounded half up; 0 when nothing was served."""
        return (self.latency_ms_sum + self.requests // 2) // self.requests if self.requests else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodSums(Sums):
    """The sums of one hour, day, week or month, which begins at `period`."""

    period: dt.datetime
    local_requests: int = 0
    hoster_requests: int = 0
    cloud_requests: int = 0

    @property
    def date(self) -> dt.date:
        return self.period.date()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSums(Sums):
    """The sums of one model; provider is local, hoster or cloud."""

    model_id: str
    provider: str


@dataclass(frozen=True, slots=True)
class Group:
    """The sums of one model, or of one key (named by its name and visible part), by period without gaps."""

    name: str
    periods: list[PeriodSums]

    @property
    def total(self) -> Sums:
        return add(self.periods)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a customer may still do now: spendable is posted − held; a limit that does not exist is None."""

    spendable_nanos: int
    requests_this_minute: int
    requests_today: int
    limit_per_minute: int | None
    limit_per_day: int | None
    tokens_this_minute: int = 0
    limit_tokens_per_minute: int | None = None

    @property
    def is_limited(self) -> bool:
        return any(
            limit is not None
            for limit in (self.limit_per_minute, self.limit_tokens_per_minute, self.limit_per_day)
        )

    @property
    def remaining_this_minute(self) -> int | None:
        return _remaining(self.limit_per_minute, self.requests_this_minute)

    @property
    def remaining_today(self) -> int | None:
        return _remaining(self.limit_per_day, self.requests_today)


def standing(customer_id: int) -> Standing:
    """Balance and windows of this minute and day, in one snapshot, by the clock of the books."""
    return Standing(*rows(STANDING, {"customer": customer_id})[0])


def totals(customer_id: int, *, days: int) -> Sums:
    return Sums(*rows(TOTALS, {"customer": customer_id, "since": periods.since(now(), days)})[0])


def timeseries(customer_id: int, *, days: int, interval: str) -> list[PeriodSums]:
    """One entry for each period of the last `days` calendar days, oldest first, empty ones included."""
    until = now()
    parameters = {"customer": customer_id, "since": periods.since(until, days), "interval": interval}
    found = {
        row[0]: PeriodSums(
            *row[1:8], period=row[0], local_requests=row[8], hoster_requests=row[9], cloud_requests=row[10]
        )
        for row in rows(BY_PERIOD, parameters)
    }
    return without_gaps(found, periods.series(until, days, interval))


def grouped(customer_id: int, *, days: int, interval: str, by: str, groups_max: int) -> list[Group]:
    """The time series by `model` or by `key`, the dearest first; what exceeds groups_max is added up as the last."""
    until = now()
    starts = periods.series(until, days, interval)
    parameters = {"customer": customer_id, "since": periods.since(until, days), "interval": interval}
    return arranged(rows(GROUPINGS[by], parameters), starts, groups_max)


def arranged(found_rows: list[tuple[Any, ...]], starts: list[dt.datetime], groups_max: int) -> list[Group]:
    """Rows of (name, period, *sums) as groups without gaps, in the order of `grouped`."""
    found: dict[str, dict[dt.datetime, PeriodSums]] = {}
    for name, period, *sums in found_rows:
        found.setdefault(name, {})[period] = PeriodSums(*sums, period=period)
    groups = [Group(name, without_gaps(series, starts)) for name, series in found.items()]
    groups.sort(key=lambda group: (-group.total.gross_nanos, -group.total.requests, group.name))
    shown, rest = groups[:groups_max], groups[groups_max:]
    if len(rest) == 1:
        return groups
    if rest:
        sums = [
            PeriodSums(*astuple(add(list(parts))), period=parts[0].period)
            for parts in zip(*[g.periods for g in rest], strict=True)
        ]
        shown.append(Group(f"{len(rest)} others", sums))
    return shown


def breakdown(customer_id: int, *, days: int) -> tuple[list[ModelSums], list[PeriodSums]]:
    """(by model and provider, the dearest first; by day, oldest first and without gaps)."""
    until = now()
    found = rows(BREAKDOWN, {"customer": customer_id, "since": periods.since(until, days)})
    models = [ModelSums(*row[3:], model_id=row[0], provider=row[1]) for row in found if row[2] is None]
    by_day = {row[2]: PeriodSums(*row[3:], period=row[2]) for row in found if row[2] is not None}
    return models, without_gaps(by_day, periods.series(until, days, "day"))


def add(sums: Sequence[Sums]) -> Sums:
    """The sums of several periods."""
    fields = (
        "requests",
        "input_tokens",
        "output_tokens",
        "gross_nanos",
        "fee_nanos",
        "net_nanos",
        "latency_ms_sum",
    )
    return Sums(*(sum(getattr(one, field) for one in sums) for field in fields))


def without_gaps(found: dict[dt.datetime, PeriodSums], starts: list[dt.datetime]) -> list[PeriodSums]:
    """One entry for each start, empty where nothing was found."""
    return [found.get(start) or PeriodSums(period=start) for start in starts]


def now() -> dt.datetime:
    """The clock of the books, in UTC."""
    moment: dt.datetime = rows(NOW, {})[0][0]
    return moment.astimezone(dt.UTC)


def rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of one of the constants above (or of `earnings`)."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _remaining(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(limit - used, 0)
