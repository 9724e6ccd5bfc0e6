"""What a hoster's servers earned over time, as tables and as numbers for the charts; and how well they were."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import Customer
from billing import money
from hosting.looks import HOURS, Hour
from hosting.models import Server
from routing import earnings, periods, usage
from routing.usage import Group, PeriodSums

PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "A year"}
BY_MONTH_FROM_DAYS = 365
GROUPS_MAX = 6


@dataclass(frozen=True, slots=True)
class Earned:
    """groups: one for each model, the best earning first, each with every day (or month, of a year)."""

    days: int
    interval: str
    groups: list[Group]

    @property
    def total(self) -> usage.Sums:
        return usage.add([period for group in self.groups for period in group.periods])

    @property
    def rows(self) -> list[tuple[str, usage.Sums]]:
        """(label, sums of all models) of every period in which something was served, the newest first."""
        by_period = zip(*(group.periods for group in self.groups), strict=True)
        found = [(self._label(parts[0]), usage.add(list(parts))) for parts in by_period]
        return [row for row in reversed(found) if row[1].requests]

    @property
    def data(self) -> str:
        """JSON for static/js/usage.js; earnings in dollars."""
        return json.dumps(
            {
                "labels": [self._label(sums) for sums in self.groups[0].periods] if self.groups else [],
                "groups": [
                    {
                        "name": group.name,
                        "earned": [money.usd(sums.net_nanos) for sums in group.periods],
                        "requests": [sums.requests for sums in group.periods],
                    }
                    for group in self.groups
                ],
            }
        )

    def _label(self, sums: PeriodSums) -> str:
        return sums.period.strftime("%b %Y" if self.interval == "month" else "%d %b")


def of(customer: Customer, *, now: dt.datetime, days: str) -> Earned:
    """days: one of PERIODS; 30 for anything else."""
    span = int(days) if days in PERIODS else periods.DAYS_DEFAULT
    interval = "month" if span >= BY_MONTH_FROM_DAYS else "day"
    groups = earnings.over_time(customer.pk, now=now, days=span, interval=interval, groups_max=GROUPS_MAX)
    return Earned(span, interval, groups)


def health(servers: Sequence[Server], looks: dict[int, list[Hour]], now: dt.datetime) -> str:
    """JSON for static/js/usage.js: the share of passed looks by hour, of each server; null where there was none."""
    last = periods.begin(now, "hour")
    hours = [last - dt.timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    groups = []
    for server in servers[:GROUPS_MAX]:
        shares = {hour.at: hour.share for hour in looks.get(server.pk, [])}
        groups.append({"name": server.name, "health": [shares.get(hour) for hour in hours]})
    return json.dumps({"labels": [f"{hour:%H:00}" for hour in hours], "groups": groups})
