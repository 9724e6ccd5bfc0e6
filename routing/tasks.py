"""Sweeps of the gateway and of the judges. Each may run twice, late or at the same time."""

import structlog
from celery import shared_task
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from billing import audit as books
from billing import ledger
from routing import audit as requests
from routing import claims, conviction, examiner, measures, oddities, pulse, reputation

log = structlog.get_logger(__name__)

SWEEP_ROWS_MAX = 1_000
ASKING = "asking-questions"  # no spaces: a cache may refuse them
ASKING_S = 120

HOLDS_OF_DEAD_PROCESSES = """
-- billing_charge_held; a process that never said hello, said goodbye or stopped its heartbeat is dead
SELECT c.id FROM billing_charge c
 WHERE c.state = 'held' AND c.created_at < now() - make_interval(secs => %(dead_after_s)s)
   AND NOT EXISTS (SELECT 1 FROM routing_gatewayprocess p WHERE p.boot = c.boot
                    AND p.heartbeat_at > now() - make_interval(secs => %(dead_after_s)s))
 LIMIT %(rows_max)s
"""
FORGET_PROCESSES = "DELETE FROM routing_gatewayprocess WHERE heartbeat_at < now() - interval '1 hour'"

LEARN_TOKEN_SIZES = """
-- routing_offerhour_once; for each offer the bytes per claimed token of the other owners' servers of its model over
-- a week, once they have stated at least 20 counts; their median, so that one of them cannot move it far
WITH owned AS (
    SELECT o.model_id, s.kind, coalesce(s.hoster_id, -s.id) AS owner, sum(o.claimed_output_bytes) AS bytes,
           sum(o.claimed_output_tokens) AS tokens, sum(o.claims) AS claims
      FROM routing_offerhour o JOIN hosting_server s ON s.id = o.server_id
     WHERE o.hour > now() - interval '7 days' GROUP BY 1, 2, 3
), learned AS (
    SELECT m.id, percentile_cont(0.5) WITHIN GROUP (ORDER BY w.bytes::float8 / w.tokens) AS size
      FROM hosting_hostedmodel m JOIN hosting_server s ON s.id = m.server_id
      JOIN owned w ON w.model_id = m.model_id AND w.owner <> coalesce(s.hoster_id, -s.id)
     WHERE w.claims >= 20 AND w.tokens > 0 AND w.bytes > 0 GROUP BY m.id
)
UPDATE hosting_hostedmodel m SET bytes_per_token = least(greatest(l.size, 1), 16)
  FROM learned l WHERE m.id = l.id AND m.bytes_per_token IS DISTINCT FROM least(greatest(l.size, 1), 16)
"""


@shared_task
def void_holds_of_dead_processes() -> int:
    """Give back what killed gateway processes held; how many holds."""
    voided = 0
    while True:
        with connection.cursor() as cursor:
            limits = {"dead_after_s": settings.PROCESS_DEAD_AFTER_S, "rows_max": SWEEP_ROWS_MAX}
            cursor.execute(HOLDS_OF_DEAD_PROCESSES, limits)
            charges = [row[0] for row in cursor.fetchall()]
            if not charges:
                cursor.execute(FORGET_PROCESSES)
                return voided
        voided += ledger.void(charges=charges, reason="platform_fault")
        log.warning("holds.voided", of="dead processes", count=len(charges))


@shared_task
def audit_ledger() -> int:
    """Recompute the books and the hourly sums; how many differences. Each is logged as an error, and the run kept."""
    started_at = timezone.now()
    with books.snapshot() as cursor:
        differences = books.differences(cursor, (*books.INVARIANTS, *requests.INVARIANTS))
        sums = books.sums(cursor)
    for difference in differences:
        log.error("books.differ", difference=str(difference))
    requests.keep(started_at, differences, sums)
    return len(differences)


@shared_task
def learn_token_sizes() -> int:
    """Update every offer's bytes per token from what other owners' servers claimed; how many changed."""
    with connection.cursor() as cursor:
        cursor.execute(LEARN_TOKEN_SIZES)
        return cursor.rowcount


@shared_task
def ask_questions() -> int:
    """Ask what is due of the bank and judge the answers; how many came. One run at a time: answers take a while."""
    if not settings.CONSISTENCY_EVERY_S or not cache.add(ASKING, 1, timeout=ASKING_S):
        return 0
    try:
        return examiner.examine()
    finally:
        cache.delete(ASKING)


@shared_task
def watch_claims() -> int:
    """Compare what servers claim; how many claim too much."""
    return claims.watch()


@shared_task
def watch_answers() -> int:
    """Look at what was odd about answers; how many servers are."""
    return oddities.watch()


@shared_task
def judge_hosters() -> int:
    """Compute trust anew; how many scores changed."""
    return reputation.judge_all()


@shared_task
def reverse_convicted_earnings() -> int:
    """Give back what convictions say, also for requests that were under way then; nanodollars."""
    return conviction.carry_out_all()


@shared_task
def measure_offers() -> int:
    """Update what /v1/models says about speed and uptime; how many rows changed."""
    return measures.measure()


@shared_task
def count_outcomes() -> int:
    """How requests ended, by hour, for the status page; how many hours were written."""
    return pulse.count_outcomes()
