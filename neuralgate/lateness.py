"""When each periodic job ran last, and which should have run by now."""

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

MISSED_MAX = 3  # runs that may be missing
WRITTEN_EVERY_S = 300  # beat writes down when a job ran every three minutes only


@dataclass(frozen=True, slots=True)
class Run:
    """A job's last run. last_run_at is None when it never ran; age: since then, or since the job was set up."""

    name: str
    last_run_at: dt.datetime | None
    every: dt.timedelta
    age: dt.timedelta

    @property
    def is_late(self) -> bool:
        """The last run is longer ago than three of its intervals."""
        return self.age > MISSED_MAX * self.every + dt.timedelta(seconds=WRITTEN_EVERY_S)


def runs() -> list[Run]:
    """Of every job that is switched on; one query."""
    from django_celery_beat.models import PeriodicTask

    now = timezone.now()
    jobs = PeriodicTask.objects.filter(enabled=True, interval__isnull=False).select_related("interval")
    return [
        Run(
            job.task,
            job.last_run_at,
            job.interval.schedule.run_every,
            now - (job.last_run_at or job.date_changed),
        )
        for job in jobs
    ]


def late_jobs() -> list[Run]:
    """The longest ago first."""
    return sorted((run for run in runs() if run.is_late), key=lambda run: run.age, reverse=True)
