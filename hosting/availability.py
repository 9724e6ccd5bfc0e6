"""How many servers take requests now, and which models nobody can call. No address, no owner."""

from dataclasses import dataclass

from django.db import connection

from hosting.market import OFF_THE_MARKET
from hosting.standing import HEALTH_EXCLUDED_BELOW

SHOWN_MAX = 20

SERVERS = """
-- small tables, read whole: each server that sells something; whether its owner rests it, and whether it answers
WITH offered AS (
    SELECT m.model_id, s.id AS server, s.draining OR s.waiting_since IS NOT NULL AS resting,
           s.health >= %(health)s AND coalesce(c.open_until <= clock_timestamp(), true) AS answering
      FROM hosting_hostedmodel m
      JOIN hosting_server s ON s.id = m.server_id
      LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
      LEFT JOIN hosting_circuit c ON c.server_id = s.id
     WHERE m.enabled AND m.deactivated_at IS NULL AND s.verified_at IS NOT NULL
       AND (h.id IS NULL OR h.status <> ALL (%(off)s))
)
SELECT count(DISTINCT server) FILTER (WHERE answering AND NOT resting),
       count(DISTINCT server) FILTER (WHERE NOT answering AND NOT resting),
       count(DISTINCT server) FILTER (WHERE resting),
       (SELECT coalesce(array_agg(model_id ORDER BY model_id), '{}') FROM (
            SELECT model_id FROM offered GROUP BY model_id HAVING NOT bool_or(answering AND NOT resting)) away)
  FROM offered
"""


@dataclass(frozen=True, slots=True)
class Availability:
    """up + down + resting are all verified servers with something on the market; resting: drained, or after a rotation.

    models_away: those that are offered, but by no server that is up.
    """

    up: int
    down: int
    resting: int
    models_away: tuple[str, ...]


def now() -> Availability:
    with connection.cursor() as cursor:
        cursor.execute(SERVERS, {"health": HEALTH_EXCLUDED_BELOW, "off": OFF_THE_MARKET})
        up, down, resting, away = cursor.fetchone()
    return Availability(up, down, resting, tuple(away))
