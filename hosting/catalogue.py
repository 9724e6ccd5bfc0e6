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

SealedTokens = dict[tuple[int, str], str]


def live_offers(rows: list[tuple[Any, ...]], opened: SealedTokens) -> list[LiveOffer]:
    """Rows of LIVE_OFFERS as offers. `opened` remembers decrypted tokens between calls.

    A server whose token cannot be read is left out and logged; the others are not affected.
    """
    offers = []
    used = {(row[1], row[10]) for row in rows}
    for forgotten in opened.keys() - used:  # rotated away
        del opened[forgotten]
    for row in rows:
        server_id, sealed = row[1], row[10]
        if (server_id, sealed) not in opened:
            try:
                opened[server_id, sealed] = tokens.unseal(server_id=server_id, sealed=sealed)
            except tokens.TokenUnreadable as error:
                log.error("offer.token_unreadable", server=server_id, error=str(error))
                continue
        values: list[Any] = [*row[:10], opened[server_id, sealed], *row[11:]]
        offers.append(LiveOffer(*values))
    return offers
