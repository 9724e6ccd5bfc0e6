"""Reads of what is for sale."""

from typing import Any

import structlog

from hosting import tokens
from hosting.offers import LiveOffer

log = structlog.get_logger(__name__)

BYTES_PER_TOKEN_PRIOR = 4.0

LIVE_OFFERS = """
-- every offer that could ever be chosen; small tables, read whole
SELECT m.id, s.id, s.version, s.kind, coalesce(h.name, s.name), coalesce(h.id, 0), coalesce(a.id, 0), m.model_id,
       coalesce(nullif(m.upstream_name, ''), m.model_id), s.base_url, s.token_encrypted, s.token_version,
       m.price_per_input_token, m.price_per_output_token, m.context_window, s.slots,
       CASE WHEN m.deactivated_at IS NULL THEN coalesce(h.status, 'active') ELSE 'deactivated' END,
       s.draining, coalesce(h.trust, 1), s.health, coalesce(m.bytes_per_token, %(prior)s), m.consistency,
       coalesce(h.is_new, false), s.waiting_since IS NOT NULL, m.chats
  FROM hosting_hostedmodel m
  JOIN hosting_server s ON s.id = m.server_id
  LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
  LEFT JOIN billing_ledgeraccount a ON a.customer_id = h.customer_id AND a.kind = 'hoster_pending'
 WHERE m.enabled AND s.verified_at IS NOT NULL AND (h.id IS NULL OR a.id IS NOT NULL)
 ORDER BY m.id
"""

AUTO_MODELS = "SELECT model_id FROM hosting_automodel"

RECENT_MINUTES = """
-- hosting_serverminute_recent: what every process saw of each server in this minute and the last
SELECT server_id, sum(served)::bigint, sum(failed)::bigint, sum(latency_ms_sum)::bigint, sum(output_tokens)::bigint
  FROM hosting_serverminute WHERE minute >= date_trunc('minute', app_now()) - interval '1 minute' GROUP BY server_id
"""
CIRCUITS = """
-- one row for each server that ever failed three times in a row; seconds from now, below 0 when it is closed again
SELECT server_id, extract(epoch FROM changed_at)::float8, extract(epoch FROM open_until - clock_timestamp())::float8,
       openings FROM hosting_circuit
"""
CHANGE_CIRCUIT = """
-- one row by its primary key; a trigger tells every process
INSERT INTO hosting_circuit (server_id, open_until, openings, changed_at)
VALUES (%(server)s, clock_timestamp() + make_interval(secs => %(open_s)s), %(openings)s, clock_timestamp())
ON CONFLICT (server_id) DO UPDATE
   SET open_until = EXCLUDED.open_until, openings = EXCLUDED.openings, changed_at = EXCLUDED.changed_at
"""

Row = tuple[Any, ...]  # of LIVE_OFFERS


class Stock:
    """The live offers as last read; what did not change stays the same object, so that reading them often is cheap."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Row, LiveOffer | None]] = {}  # by offer; None: its token cannot be read
        self.offers: list[LiveOffer] = []

    def take(self, rows: list[Row]) -> bool:
        """Take over what LIVE_OFFERS says now; whether anything changed.

        An offer whose token cannot be read is left out and logged; the others are not affected.
        """
        before, self._known = self._known, {}
        changed = len(rows) != len(before)
        for row in rows:
            known = before.get(row[0])
            if known is None or known[0] != row:
                known = row, _offer(row, known)
                changed = True
            self._known[row[0]] = known
        if changed:
            self.offers = [offer for _, offer in self._known.values() if offer is not None]
        return changed


def _offer(row: Row, before: tuple[Row, LiveOffer | None] | None) -> LiveOffer | None:
    """Built anew; a token is decrypted only when it is another than before."""
    server_id, sealed = row[1], row[10]
    if before is not None and before[1] is not None and before[0][1] == server_id and before[0][10] == sealed:
        token = before[1].token
    else:
        try:
            token = tokens.unseal(server_id=server_id, sealed=sealed)
        except tokens.TokenUnreadable as error:
            log.error("offer.token_unreadable", server=server_id, error=str(error))
            return None
    values: list[Any] = [*row[:10], token, *row[11:]]
    return LiveOffer(*values)
