"""A customer's use over time, as tables and as numbers for the charts: hours to months, in all, by model or by key."""

import json
from dataclasses import dataclass

from accounts.models import Customer
from billing import money
from routing import usage
from routing.usage import Group, PeriodSums

DAYS = {"hour": 2, "day": 30, "week": 84, "month": 365}  # how far back each interval looks
LABELS = {"hour": "%d %b %H:00", "day": "%d %b", "week": "%d %b", "month": "%b %Y"}
GROUPS_MAX = 6  # as many as colours; what is left is one more
INTERVALS = {"hour": "Hours", "day": "Days", "week": "Weeks", "month": "Months"}
GROUPINGS = {"all": "Everything", "model": "By model", "key": "By key"}


@dataclass(frozen=True, slots=True)
class Use:
    """groups: one named Everything, or a group for each model or key, each with every period."""

    interval: str
    by: str
    days: int
    groups: list[Group]

    @property
    def total(self) -> usage.Sums:
        return usage.add([period for group in self.groups for period in group.periods])

    @property
    def figures(self) -> list[tuple[str, Group, PeriodSums]]:
        """(label, group, sums) of every period in which something was served, the newest first."""
        found = [
            (self._label(sums), group, sums)
            for group in self.groups
            for sums in group.periods
            if sums.requests
        ]
        return sorted(found, key=lambda row: row[2].period, reverse=True)

    @property
    def data(self) -> str:
        """JSON for static/js/usage.js; costs in dollars, latencies null where nothing was served.

        It goes into an attribute: htmx takes every script out of what it puts into a page, even one of data.
        """
        figures = {
            "labels": [self._label(sums) for sums in self.groups[0].periods] if self.groups else [],
            "groups": [
                {
                    "name": group.name,
                    "tokens": [sums.total_tokens for sums in group.periods],
                    "cost": [money.usd(sums.gross_nanos) for sums in group.periods],
                    "requests": [sums.requests for sums in group.periods],
                    "latency": [sums.avg_latency_ms if sums.requests else None for sums in group.periods],
                }
                for group in self.groups
            ],
        }
        return json.dumps(figures)

    def _label(self, sums: PeriodSums) -> str:
        return sums.period.strftime(LABELS[self.interval])


def of(customer: Customer, *, interval: str, by: str) -> Use:
    """Unknown words mean days, and everything."""
    interval = interval if interval in INTERVALS else "day"
    by = by if by in GROUPINGS else "all"
    days = DAYS[interval]
    if by == "all":
        series = usage.timeseries(customer.pk, days=days, interval=interval)
        groups = [Group(GROUPINGS["all"], series)]
    else:
        groups = usage.grouped(customer.pk, days=days, interval=interval, by=by, groups_max=GROUPS_MAX)
    return Use(interval, by, days, groups)
