"""The figures of `/metrics`, read from the database: each function yields (name, label, value).

The names are those of `metrics.FIGURES`. A question answers with one row; its columns are named as the figures,
`figure:label` where a figure has a label. No question goes through all requests, all transfers or all charges.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from billing.emails import GIVEN_UP_AFTER
from neuralgate import waiting
from neuralgate.dashboard import AUDITS_MISSED_MAX
from neuralgate.lateness import Run, runs
from routing.fitness import CONSISTENCY_MIN, EXCLUDED, HEALTH_MIN
from routing.models import InferenceRequest

Reading = tuple[str, str, float | None]

NEWEST_MAX = 2_000
PERCENTILES = (50, 95, 99)
TRIES_MIN = NEWEST_MIN = 5  # minutes

MACHINE = """
-- one row for each web process that lived within the hour; what PostgreSQL knows of itself. Asked first: the clock is
-- compared with the one of this machine when the answer is here. A role sees the transactions of its own sessions.
SELECT extract(epoch FROM clock_timestamp() + (app_now() - now()))::float8 AS now,
       (SELECT count(*) FROM routing_gatewayprocess
         WHERE heartbeat_at > now() - make_interval(secs => %(dead_after_s)s)) AS web_processes,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT sum(numbackends)::bigint FROM pg_stat_database) AS database_connections,
       current_setting('max_connections')::int AS database_connections_max,
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float8 FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')
       AS database_oldest_transaction_seconds
"""
ROLL_UPS = """
-- routing_outcomehour whole: 24 rows a day. hosting_serverminute_recent: six minutes of each server.
-- routing_usagehour_by_hour: one hour, a row for each key and model that was used in it.
SELECT o.served AS "requests_total:served", o.failed AS "requests_total:failed",
       t.served AS "tries_5m:served", t.failed AS "tries_5m:failed", u.requests AS last_hour_requests,
       u.input AS "last_hour_tokens:input", u.output AS "last_hour_tokens:output",
       u.gross AS last_hour_spend_nanodollars, u.fee AS last_hour_fees_nanodollars
  FROM (SELECT coalesce(sum(served), 0)::bigint AS served, coalesce(sum(failed), 0)::bigint AS failed
          FROM routing_outcomehour) AS o,
       (SELECT coalesce(sum(served), 0)::bigint AS served, coalesce(sum(failed), 0)::bigint AS failed
          FROM hosting_serverminute WHERE minute < date_trunc('minute', app_now())
           AND minute >= date_trunc('minute', app_now()) - make_interval(mins => %(minutes)s)) AS t,
       (SELECT coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(input_tokens), 0)::bigint AS input,
               coalesce(sum(output_tokens), 0)::bigint AS output, coalesce(sum(gross_nanos), 0)::bigint AS gross,
               coalesce(sum(fee_nanos), 0)::bigint AS fee
          FROM routing_usagehour WHERE hour = date_trunc('hour', app_now(), 'UTC') - interval '1 hour') AS u
"""
_outcomes = ", ".join(
    f"""count(*) FILTER (WHERE outcome = '{name}') AS "newest_requests:{name}\""""
    for name in InferenceRequest.Outcome.values
)
_percentiles = ", ".join(
    f"""percentile_cont({at / 100}) WITHIN GROUP (ORDER BY latency_ms / 1000.0) FILTER (WHERE success)
       AS "newest_latency_seconds:{at}",
       percentile_cont({at / 100}) WITHIN GROUP (ORDER BY ttft_ms / 1000.0) FILTER (WHERE success AND streamed)
       AS "newest_first_token_seconds:{at}\""""
    for at in PERCENTILES
)
NEWEST = f"""
-- the primary key of routing_inferencerequest, from its end (ids begin with their time), and never more than so many
SELECT {_outcomes}, {_percentiles}
  FROM (SELECT outcome, success, streamed, ttft_ms, latency_ms FROM routing_inferencerequest
         WHERE id >= (lpad(to_hex((extract(epoch FROM app_now() - make_interval(mins => %(minutes)s)) * 1000)::bigint),
                           12, '0') || repeat('0', 20))::uuid
           AND created_at < app_now() + interval '1 minute'
         ORDER BY id DESC LIMIT %(most)s) AS newest
"""
BOOKS = f"""
-- billing_charge_held; billing_maturity, a row for each matured minute of each hoster; billing_payout_open; disputes,
-- which are few; billing_notice_to_mail; billing_notice_to_hook
SELECT h.holds_open, h.holds_nanodollars, h.holds_oldest_seconds, h.holds_overdue_seconds,
       m.pending_nanodollars, m.release_lag_seconds,
       p.requested AS "payouts_open:requested", p.approved AS "payouts_open:approved", p.payouts_open_nanodollars,
       p.payouts_overdue, d.disputes_open, d.disputes_frozen_nanodollars, d.disputes_oldest_seconds,
       l.waiting AS "notices_waiting:mail", k.waiting AS "notices_waiting:webhook",
       l.lag AS "notices_lag_seconds:mail", k.lag AS "notices_lag_seconds:webhook"
  FROM (SELECT count(*) AS holds_open, coalesce(sum(hold_nanos), 0)::bigint AS holds_nanodollars,
               coalesce(extract(epoch FROM app_now() - min(created_at)), 0)::float8 AS holds_oldest_seconds,
               greatest(coalesce(extract(epoch FROM app_now() - min(expires_at)), 0), 0)::float8
               AS holds_overdue_seconds
          FROM billing_charge WHERE state = 'held') AS h,
       (SELECT coalesce(sum(amount_nanos), 0)::bigint AS pending_nanodollars,
               greatest(coalesce(extract(epoch FROM app_now() - min(matures_at)), 0), 0)::float8
               AS release_lag_seconds
          FROM billing_maturity) AS m,
       (SELECT count(*) FILTER (WHERE state = 'requested') AS requested,
               count(*) FILTER (WHERE state = 'approved') AS approved,
               coalesce(sum(amount_nanos), 0)::bigint AS payouts_open_nanodollars,
               count(*) FILTER (WHERE due_on < (now() AT TIME ZONE 'UTC')::date) AS payouts_overdue
          FROM billing_payout WHERE closed_at IS NULL) AS p,
       (SELECT count(*) AS disputes_open, coalesce(sum(net_nanos), 0)::bigint AS disputes_frozen_nanodollars,
               coalesce(extract(epoch FROM now() - min(opened_at)), 0)::float8 AS disputes_oldest_seconds
          FROM billing_dispute WHERE state = 'open') AS d,
       (SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS lag
          FROM billing_notice WHERE mailed_at IS NULL AND created_at > now() - interval '{GIVEN_UP_AFTER}') AS l,
       (SELECT count(*) AS waiting,
               greatest(coalesce(extract(epoch FROM now() - min(hook_next_at)), 0), 0)::float8 AS lag
          FROM billing_notice WHERE hook_next_at IS NOT NULL) AS k
"""
AUDIT = """
-- the last run, by the primary key; the sums are what the audit found when it went through all transfers
SELECT extract(epoch FROM now() - finished_at)::float8, differences, sums
  FROM routing_auditrun ORDER BY id DESC LIMIT 1
"""
MARKET = """
-- servers, their models and their circuits: small tables, read whole. A server is in the first state that fits it.
WITH servers AS MATERIALIZED (
    SELECT s.id, CASE WHEN s.verified_at IS NULL THEN 'unverified'
                      WHEN h.status = ANY (%(excluded)s) THEN 'suspended'
                      WHEN s.draining THEN 'draining'
                      WHEN s.waiting_since IS NOT NULL THEN 'waiting'
                      WHEN s.health < %(health_min)s THEN 'down'
                      ELSE 'up' END AS state
      FROM hosting_server s LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
), models AS (
    SELECT bool_or(s.state = 'up' AND m.deactivated_at IS NULL AND m.consistency >= %(consistency_min)s) AS served
      FROM hosting_hostedmodel m JOIN servers s ON s.id = m.server_id
     WHERE m.enabled AND s.state <> 'unverified' GROUP BY m.model_id
)
SELECT s.up AS "servers:up", s.down AS "servers:down", s.draining AS "servers:draining",
       s.waiting AS "servers:waiting", s.suspended AS "servers:suspended", s.unverified AS "servers:unverified",
       m.served AS "models:served", m.unserved AS "models:unserved",
       (SELECT count(*) FROM hosting_circuit WHERE open_until > clock_timestamp()) AS circuits_open
  FROM (SELECT count(*) FILTER (WHERE state = 'up') AS up, count(*) FILTER (WHERE state = 'down') AS down,
               count(*) FILTER (WHERE state = 'draining') AS draining,
               count(*) FILTER (WHERE state = 'waiting') AS waiting,
               count(*) FILTER (WHERE state = 'suspended') AS suspended,
               count(*) FILTER (WHERE state = 'unverified') AS unverified FROM servers) AS s,
       (SELECT count(*) FILTER (WHERE served) AS served, count(*) FILTER (WHERE NOT served) AS unserved
          FROM models) AS m
"""


def read(cursor: CursorWrapper) -> Iterator[Reading]:
    """Every figure, of the cursor's moment. The database's errors pass through."""
    yield from _machine(cursor)
    yield from _row(cursor, ROLL_UPS, minutes=TRIES_MIN)
    yield from _row(cursor, NEWEST, minutes=NEWEST_MIN, most=NEWEST_MAX)
    yield from _row(cursor, BOOKS)
    yield from _audit(cursor)
    yield from _row(
        cursor, MARKET, excluded=list(EXCLUDED), health_min=HEALTH_MIN, consistency_min=CONSISTENCY_MIN
    )
    yield from _jobs()
    for kind, ask in waiting.QUEUE.items():
        yield "waiting", kind, ask().count


def _machine(cursor: CursorWrapper) -> Iterator[Reading]:
    for name, label, value in _row(cursor, MACHINE, dead_after_s=settings.PROCESS_DEAD_AFTER_S):
        if name == "now":
            yield "clock_skew_seconds", "", time.time() - (value or 0.0)
        else:
            yield name, label, value


def _audit(cursor: CursorWrapper) -> Iterator[Reading]:
    """Before the first run there are no figures of it, and it is late."""
    cursor.execute(AUDIT)
    found = cursor.fetchone()
    if found is None:
        yield "audit_late", "", 1
        return
    age_s, differences, sums = found
    yield "audit_age_seconds", "", age_s
    yield "audit_late", "", age_s > AUDITS_MISSED_MAX * settings.AUDIT_EVERY_S
    yield "audit_differences", "", differences
    amounts: dict[str, int] = json.loads(sums)  # a cursor of Django's leaves JSON as text
    for kind, nanos in amounts.items():
        yield "ledger_nanodollars", kind, nanos
    if amounts:
        yield "ledger_imbalance_nanodollars", "", sum(amounts.values())


def _jobs() -> Iterator[Reading]:
    """Of two entries for one task the older run counts: a figure may be there once only."""
    oldest: dict[str, Run] = {}
    for run in runs():
        if run.name not in oldest or oldest[run.name].age < run.age:
            oldest[run.name] = run
    for name, run in sorted(oldest.items()):
        yield "task_age_seconds", name, run.age.total_seconds()
        yield "task_late", name, run.is_late


def _row(cursor: CursorWrapper, sql: str, **parameters: Any) -> Iterator[Reading]:
    cursor.execute(sql, parameters)
    names = [column.name for column in cursor.description]
    for column, value in zip(names, cursor.fetchone(), strict=True):
        name, _, label = column.partition(":")
        yield name, label, value
