"""How a hoster's scores went, as numbers for the charts: health by the hour, trust by the day."""

import datetime as dt
import json
from collections.abc import Sequence

from hosting.looks import HOURS, Hour
from hosting.models import Hoster, Server
from routing import periods

SERVERS_MAX = 6  # lines in one chart


def health(servers: Sequence[Server], looks: dict[int, list[Hour]], now: dt.datetime) -> str:
    """JSON for static/js/usage.js: the share of passed looks by hour, of each server; null where there was none."""
    last = periods.begin(now, "hour")
    hours = [last - dt.timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    groups = []
    for server in servers[:SERVERS_MAX]:
        shares = {hour.at: hour.share for hour in looks.get(server.pk, [])}
        groups.append({"name": server.name, "health": [shares.get(hour) for hour in hours]})
    return json.dumps({"labels": [f"{hour:%H:00}" for hour in hours], "groups": groups})


def trust(hoster: Hoster) -> str:
    """JSON for static/js/usage.js: the last score of each day since the first; null where none was computed."""
    dates = [dt.date.fromisoformat(day) for day in sorted(hoster.trust_days)]
    if not dates:
        return json.dumps({"labels": [], "groups": []})
    days = [dates[0] + dt.timedelta(days=count) for count in range((dates[-1] - dates[0]).days + 1)]
    scores = [hoster.trust_days.get(day.isoformat()) for day in days]
    return json.dumps(
        {"labels": [f"{day:%d %b}" for day in days], "groups": [{"name": "Trust", "trust": scores}]}
    )


def trust_rows(hoster: Hoster) -> list[tuple[str, float]]:
    """(ISO date, score) of every day that has one, the newest first."""
    return sorted(hoster.trust_days.items(), reverse=True)
