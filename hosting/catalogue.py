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
       m.price_per_input_token, m.price_per_output_token, m.context_window, s.slots, coalesce(h.status, 'active'),
       s.draining, coalesce(h.trust, 1), s.health, coalesce(m.bytes_per_token, %(prior)s)
  FROM hosting_hostedmodel m
  JOIN hosting_server s ON s.id = m.server_id
  LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
  LEFT JOIN billing_ledgeraccount a ON a.customer_id = h.customer_id AND a.kind = 'hoster_pending'
 WHERE m.enabled AND s.verified_at IS NOT NULL AND (h.id IS NULL OR a.id IS NOT NULL)
 ORDER BY m.id
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
