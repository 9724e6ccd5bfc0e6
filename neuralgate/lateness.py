"""Periodic jobs that should have run by now."""

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

MISSED_MAX = 3  # runs that may be missing
WRITTEN_EVERY_S = 300  # beat writes down when a job ran every three minutes only


@dataclass(frozen=True, slots=True)
class Late:
    """last_run_at is None when it never ran."""

    name: str
    last_run_at: dt.datetime | None
    every: dt.timedelta


def late_jobs() -> list[Late]:
    """Switched-on jobs whose last run is longer ago than three of their intervals; the longest first."""
    from django_celery_beat.models import PeriodicTask

    now = timezone.now()
    late = []
    for job in PeriodicTask.objects.filter(enabled=True, interval__isnull=False).select_related("interval"):
        every = job.interval.schedule.run_every
        patience = MISSED_MAX * every + dt.timedelta(seconds=WRITTEN_EVERY_S)
        if now - (job.last_run_at or job.date_changed) > patience:
            late.append(Late(job.task, job.last_run_at, every))
    return sorted(late, key=lambda job: job.last_run_at or dt.datetime.min.replace(tzinfo=dt.UTC))
