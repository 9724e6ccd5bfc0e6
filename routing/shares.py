"""Who answers requests that a hoster could have had: its own servers, other hosters', the operator's, a vendor's.

The answer to "I serve traffic and earn nothing", from the hourly sums.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

DAYS_MAX = 30

BY_KIND = """
-- routing_offerhour_once: a range of every server, as many rows as hours in which it served; the operator's own servers
-- count with all of their models, since `auto` sends simple questions there whatever the hoster offers
SELECT CASE WHEN s.id = ANY (%(own)s) THEN 'own' WHEN s.kind = 'hoster' THEN 'others' ELSE s.kind END,
       sum(u.requests)::bigint, coalesce(sum(u.requests) FILTER (WHERE u.gross_nanos = 0), 0)::bigint,
       sum(u.input_tokens + u.output_tokens)::bigint, sum(u.net_nanos)::bigint
  FROM hosting_server s JOIN routing_offerhour u ON u.server_id = s.id AND u.hour >= %(since)s
 WHERE s.id = ANY (%(own)s) OR s.kind = 'local' OR u.model_id = ANY (%(models)s)
 GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Share:
    """Requests that one kind of server answered; free: in hours in which nobody paid anything for the model there."""

    requests: int = 0
    free: int = 0
    tokens: int = 0
    net_nanos: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """own, other hosters, the operator's own servers (local), and vendors as the last resort (cloud)."""

    days: int
    own: Share = Share()
    others: Share = Share()
    local: Share = Share()
    cloud: Share = Share()

    @property
    def kinds(self) -> list[tuple[str, Share]]:
        return [
            ("Your servers", self.own),
            ("Other hosters, your models", self.others),
            ("The operator’s own servers", self.local),
            ("Cloud providers, your models", self.cloud),
        ]


def of_servers(own: Sequence[int], models: Sequence[str], *, now: dt.datetime, days: int) -> Shares:
    """Over the last days, at most DAYS_MAX. own: the hoster's servers; models: what it offers."""
    days = min(days, DAYS_MAX)
    asked: dict[str, Any] = {"own": list(own), "models": list(models), "since": now - dt.timedelta(days=days)}
    with connection.cursor() as cursor:
        cursor.execute(BY_KIND, asked)
        return Shares(days, **{kind: Share(*sums) for kind, *sums in cursor.fetchall()})
