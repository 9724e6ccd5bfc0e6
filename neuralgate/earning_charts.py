"""What a hoster's servers earned over time, as tables and as numbers for the charts."""

import datetime as dt
import json
from dataclasses import dataclass

from accounts.models import Customer
from billing import money
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
