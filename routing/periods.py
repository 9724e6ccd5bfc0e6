"""Periods of statements: calendar hours, days, weeks (from Monday) and months in UTC, without gaps."""

import datetime as dt
from collections.abc import Callable

DAYS_MAX = 365
DAYS_DEFAULT = 30
INTERVALS = ("hour", "day", "week", "month")  # also the words that PostgreSQL's date_trunc knows


def since(now: dt.datetime, days: int) -> dt.datetime:
    """When a statement over `days` calendar days (UTC, today included) begins."""
    return begin(now, "day") - dt.timedelta(days=days - 1)


def begin(moment: dt.datetime, interval: str) -> dt.datetime:
    """The start of the hour, day, week or month (UTC) that contains the moment."""
    hour = moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    if interval == "hour":
        return hour
    day = hour.replace(hour=0)
    if interval == "week":
        return day - dt.timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def series(now: dt.datetime, days: int, interval: str) -> list[dt.datetime]:
    """The start of every period from `since(now, days)` to now, oldest first.

    The first week or month may begin before the statement does; it counts only what the statement covers.
    """
    start = begin(since(now, days), interval)
    found = []
    while start <= now:
        found.append(start)
        start = NEXT[interval](start)
    return found


def text(moment: dt.datetime) -> str:
    """As the API writes moments: ISO 8601 in UTC, ending in `+00:00`."""
    return moment.astimezone(dt.UTC).isoformat()


def _next_month(start: dt.datetime) -> dt.datetime:
    return (start + dt.timedelta(days=32)).replace(day=1)


NEXT: dict[str, Callable[[dt.datetime], dt.datetime]] = {
    "hour": lambda start: start + dt.timedelta(hours=1),
    "day": lambda start: start + dt.timedelta(days=1),
    "week": lambda start: start + dt.timedelta(weeks=1),
    "month": _next_month,
}
