"""The last day's health checks of a hoster's servers, hour by hour, for its owner."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

HOURS = 24

BY_HOUR = """
-- hosting_healthcheck_latest, a day of each server: some 80 rows an hour
SELECT c.server_id, date_trunc('hour', c.checked_at, 'UTC'), count(*), count(*) FILTER (WHERE c.ok OR c.excused),
       (avg(c.latency_ms))::int,
       (array_agg(c.error ORDER BY c.checked_at DESC) FILTER (WHERE NOT c.ok AND NOT c.excused))[1]
  FROM hosting_healthcheck c
 WHERE c.server_id = ANY (%(servers)s) AND c.checked_at > %(since)s GROUP BY 1, 2 ORDER BY 1, 2 DESC
"""


@dataclass(frozen=True, slots=True)
class Hour:
    """looks of which `well` passed; error is the last one's that did not, None when all passed."""

    at: dt.datetime
    looks: int
    well: int
    latency_ms: int
    error: str | None

    @property
    def share(self) -> float:
        return self.well / self.looks


def of_servers(server_ids: Sequence[int], now: dt.datetime) -> dict[int, list[Hour]]:
    """Hours with looks, the newest first, by the server's id."""
    with connection.cursor() as cursor:
        cursor.execute(BY_HOUR, {"servers": list(server_ids), "since": now - dt.timedelta(hours=HOURS)})
        found: dict[int, list[Hour]] = {}
        for server, *row in cursor.fetchall():
            found.setdefault(server, []).append(Hour(*row))
    return found
