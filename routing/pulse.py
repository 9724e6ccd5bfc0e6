"""The traffic of the whole network in a few numbers: of a day, and how requests ended for 30 days."""

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from routing import tester

DAYS = 30

LAST_DAY = f"""
-- routing_usagehour_by_hour: this hour and the 23 before it
SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(input_tokens + output_tokens), 0)::bigint
  FROM routing_usagehour WHERE hour > app_now() - interval '1 day' AND {tester.OF_CUSTOMERS}
"""
FIRST_TOKEN = f"""
-- the primary key, from its end: the median over the last streams of a day
SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms))::int FROM (
    SELECT ttft_ms, success, streamed FROM routing_inferencerequest
     WHERE id >= (lpad(to_hex((extract(epoch FROM app_now() - interval '1 day') * 1000)::bigint), 12, '0')
                  || repeat('0', 20))::uuid AND {tester.OF_CUSTOMERS}
     ORDER BY id DESC LIMIT 2000) latest
 WHERE success AND streamed AND ttft_ms IS NOT NULL
"""
COUNT_OUTCOMES = """
-- A range of the primary key of routing_inferencerequest (ids begin with the time of admission, created_at is that of
-- the booking): the hour before the last one that was counted is counted again, because an answer may take a while,
-- with what was admitted up to an hour before it, so that no count ever falls. Hours without requests have a row, too.
WITH since AS MATERIALIZED (
    SELECT greatest(date_trunc('hour', app_now() - interval '30 days', 'UTC'),
                    coalesce((SELECT max(hour) - interval '1 hour' FROM routing_outcomehour),
                             date_trunc('hour', app_now() - interval '30 days', 'UTC'))) AS hour
), counted AS MATERIALIZED (
    SELECT date_trunc('hour', created_at, 'UTC') AS hour,
           count(*) FILTER (WHERE outcome IN ('finished', 'capped', 'hung_up')) AS served,
           count(*) FILTER (WHERE outcome IN ('upstream_failed', 'no_server', 'platform_fault')) AS failed
      FROM routing_inferencerequest, since
     WHERE id >= (lpad(to_hex((extract(epoch FROM since.hour - interval '1 hour') * 1000)::bigint), 12, '0')
                  || repeat('0', 20))::uuid
       AND created_at >= since.hour
     GROUP BY 1
)
INSERT INTO routing_outcomehour (hour, served, failed, counted_at)
SELECT h, coalesce(c.served, 0), coalesce(c.failed, 0), clock_timestamp()
  FROM generate_series((SELECT hour FROM since), date_trunc('hour', app_now(), 'UTC'), interval '1 hour') h
  LEFT JOIN counted c ON c.hour = h
ON CONFLICT (hour) DO UPDATE
   SET served = EXCLUDED.served, failed = EXCLUDED.failed, counted_at = EXCLUDED.counted_at
"""
OUTCOMES_BY_DAY = """
-- at most 720 rows by the primary key; days without a count are there, too
SELECT d::date, coalesce(sum(o.served), 0)::bigint, coalesce(sum(o.failed), 0)::bigint
  FROM generate_series(date_trunc('day', app_now(), 'UTC') - make_interval(days => %(days)s - 1),
                       date_trunc('day', app_now(), 'UTC'), interval '1 day') d
  LEFT JOIN routing_outcomehour o ON o.hour >= d AND o.hour < d + interval '1 day'
 GROUP BY 1 ORDER BY 1
"""
OUTCOMES_NOW = """
-- two rows by the primary key: this hour and the one before it; and when anything was counted last
SELECT coalesce(sum(served) FILTER (WHERE hour > app_now() - interval '2 hours'), 0)::bigint,
       coalesce(sum(failed) FILTER (WHERE hour > app_now() - interval '2 hours'), 0)::bigint,
       extract(epoch FROM clock_timestamp() - max(counted_at))::float8
  FROM routing_outcomehour WHERE hour > app_now() - interval '2 days'
"""
GATEWAYS = """
-- one row for each web process
SELECT count(*) FROM routing_gatewayprocess
 WHERE heartbeat_at > app_now() - make_interval(secs => %(dead_after_s)s)
"""


@dataclass(frozen=True, slots=True)
class Day:
    """What customers had served in the last 24 hours (this hour included). ttft_ms: None while nothing streamed."""

    requests: int
    tokens: int
    ttft_ms: int | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Requests that were served, and that failed; what customers cancelled or got wrong is neither."""

    served: int
    failed: int

    @property
    def success(self) -> float | None:
        """From 0 to 1; None when nothing was asked."""
        total = self.served + self.failed
        return self.served / total if total else None


@dataclass(frozen=True, slots=True)
class Pulse:
    """gateways: web processes that live. counted_s: since the periodic jobs last wrote; None: never within two days."""

    gateways: int
    counted_s: float | None
    now: Outcomes
    days: tuple[tuple[dt.date, Outcomes], ...]


def last_day() -> Day:
    with connection.cursor() as cursor:
        cursor.execute(LAST_DAY, {"tester": tester.email()})
        requests, tokens = cursor.fetchone()
        cursor.execute(FIRST_TOKEN, {"tester": tester.email()})
        (ttft_ms,) = cursor.fetchone()
    return Day(requests, tokens, ttft_ms)


def now() -> Pulse:
    with connection.cursor() as cursor:
        cursor.execute(GATEWAYS, {"dead_after_s": settings.PROCESS_DEAD_AFTER_S})
        (gateways,) = cursor.fetchone()
        cursor.execute(OUTCOMES_NOW)
        served, failed, counted_s = cursor.fetchone()
        cursor.execute(OUTCOMES_BY_DAY, {"days": DAYS})
        days = tuple((date, Outcomes(good, bad)) for date, good, bad in cursor.fetchall())
    return Pulse(gateways, counted_s, Outcomes(served, failed), days)


def count_outcomes() -> int:
    """Bring the hourly counts up to date; how many hours were written. Safe to run twice."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT_OUTCOMES)
        return cursor.rowcount
