"""The sweeps of the books. Each works in bounded batches and may run twice, late or concurrently."""

import datetime as dt
import time
from collections.abc import Iterable

import structlog
from celery import shared_task
from django.db import connection, transaction
from django.db.models.functions import Now

from billing import (
    confirmations,
    emails,
    idempotency,
    ledger,
    recharges,
    releases,
    spend_notices,
    stripe_payouts,
)
from billing.models import RateWindow

BATCH_ROWS = 1_000
BATCHES_MAX = 100  # of one run; what is left is for the next one
CLOCK_SKEW_MAX_S = 60
PARTITION_MONTHS_AHEAD = 3
KEEP = {RateWindow.Span.MINUTE: dt.timedelta(hours=2), RateWindow.Span.DAY: dt.timedelta(days=3)}

# CREATE TABLE … PARTITION OF locks the parent: one at a time, and never behind a queue of requests for long.
PARTITION_LOCK = "SELECT set_config('lock_timeout', '2s', true), pg_advisory_xact_lock(7303002)"
CLOCK = "SELECT extract(epoch FROM clock_timestamp())"

log = structlog.get_logger(__name__)


@shared_task
def release_pending_credits() -> int:
    """Release matured earnings; how many maturities. Refuses to while the two clocks disagree."""
    skew_s = clock_skew_s()
    if abs(skew_s) > CLOCK_SKEW_MAX_S:
        log.error("release paused: this machine's clock and the database's differ", skew_s=round(skew_s, 1))
        return 0
    released_total = amount_total_nanos = 0
    for _ in range(BATCHES_MAX):
        released, amount_nanos = ledger.release(rows_max=BATCH_ROWS)
        released_total += released
        amount_total_nanos += amount_nanos
        if released < BATCH_ROWS:
            break
    if released_total:
        log.info("earnings released", maturities=released_total, amount_nanos=amount_total_nanos)
    return released_total


@shared_task
def void_expired_holds() -> int:
    """Give back holds past their expiry; how many."""
    voided_total = 0
    for _ in range(BATCHES_MAX):
        voided = ledger.void_expired(rows_max=BATCH_ROWS)
        voided_total += voided
        if voided < BATCH_ROWS:
            break
    if voided_total:
        log.warning("expired holds voided", holds=voided_total)
    return voided_total


@shared_task
def make_partitions(tables: Iterable[str] = ("billing_charge",)) -> None:
    """Make the coming months' partitions of these tables."""
    for table in tables:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PARTITION_LOCK)
            cursor.execute("SELECT make_partitions(%s, %s)", [table, PARTITION_MONTHS_AHEAD])


@shared_task
def forget_rate_windows() -> int:
    """Delete counters that no limit looks at any more; how many."""
    return sum(_forget(span, age) for span, age in KEEP.items())


@shared_task
def forget_idempotency_keys() -> int:
    """Delete Idempotency-Keys, and the answers kept with them, after their 24 hours; how many."""
    forgotten_total = 0
    for _ in range(BATCHES_MAX):
        forgotten = idempotency.forget_old()
        forgotten_total += forgotten
        if forgotten < idempotency.ROWS_MAX:
            break
    return forgotten_total


@shared_task
def recharge_low_credit() -> int:
    """Charge the kept cards of customers whose credit is low; how many."""
    return recharges.charge_due()


@shared_task
def settle_open_topups() -> int:
    """Ask Stripe about top-ups that nothing was heard of; how many were settled."""
    return confirmations.settle_open()


@shared_task
def look_for_refunds() -> int:
    """Ask Stripe for refunds and chargebacks of which no event came; how many were looked at."""
    return confirmations.look_for_taken_back()


@shared_task
def send_stripe_payouts() -> int:
    """Send approved payouts to hosters' accounts at Stripe; how many."""
    return stripe_payouts.send_approved()


@shared_task
def tell_about_spending() -> int:
    """Tell customers whose keys reached 50, 80 or 100 % of their limits; how many were told."""
    return spend_notices.tell_all()


@shared_task
def send_mails() -> int:
    """Send the mails about money that wait; how many."""
    return emails.send_waiting()


@shared_task
def tell_released() -> int:
    """Tell hosters once a day what became spendable the day before; how many."""
    return releases.tell_yesterdays()


def clock_skew_s() -> float:
    """Seconds by which the database's clock is ahead of ours."""
    with connection.cursor() as cursor:
        cursor.execute(CLOCK)
        return float(cursor.fetchone()[0]) - time.time()


def _forget(span: RateWindow.Span, age: dt.timedelta) -> int:
    old = RateWindow.objects.filter(span=span, starts_at__lt=Now() - age)
    forgotten_total = 0
    for _ in range(BATCHES_MAX):
        with transaction.atomic():
            rows = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH_ROWS])
            forgotten, _by_model = RateWindow.objects.filter(pk__in=rows).delete()
        forgotten_total += forgotten
        if forgotten < BATCH_ROWS:
            break
    return forgotten_total
