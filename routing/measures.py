"""How fast each offer answers and how much of the day its server was up: read by /v1/models, the pages and trust."""

from django.db import connection

SAMPLE_MAX = 200  # the last successful requests of each offer
LOOKED_AT_MAX = 5_000  # of its server's last requests: a rare model of a busy server costs no more than this

MEASURE_OFFERS = """
-- routing_inferencerequest_server, from its end: the last requests of each server within a day. Only rows that changed
-- are written, and none that somebody else is writing: the next minute has them. No trigger listens to these columns.
WITH measured AS MATERIALIZED (
    SELECT m.id, d.*
      FROM hosting_hostedmodel m
     CROSS JOIN LATERAL (
        SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ttft_ms))::int AS first_50,
               round(percentile_cont(0.95) WITHIN GROUP (ORDER BY r.ttft_ms))::int AS first_95,
               round(percentile_cont(0.5) WITHIN GROUP (ORDER BY r.latency_ms))::int AS whole_50,
               round(percentile_cont(0.95) WITHIN GROUP (ORDER BY r.latency_ms))::int AS whole_95,
               round((percentile_cont(0.5) WITHIN GROUP (ORDER BY r.output_tokens * 1000.0 / r.streaming_ms)
                      FILTER (WHERE r.streaming_ms IS NOT NULL AND r.output_tokens > 1))::numeric, 1)::float8 AS speed
          FROM (SELECT l.latency_ms, l.output_tokens, CASE WHEN l.streamed THEN l.ttft_ms END AS ttft_ms,
                       CASE WHEN l.streamed AND l.latency_ms > l.ttft_ms THEN l.latency_ms - l.ttft_ms END
                       AS streaming_ms
                  FROM (SELECT i.id, i.model_id, i.success, i.streamed, i.ttft_ms, i.latency_ms, i.output_tokens
                          FROM routing_inferencerequest i
                         WHERE i.server_id = m.server_id
                           AND i.id >= (lpad(to_hex((extract(epoch FROM app_now() - interval '1 day') * 1000)::bigint),
                                             12, '0') || repeat('0', 20))::uuid
                         ORDER BY i.id DESC LIMIT %(looked_at)s) l
                 WHERE l.model_id = m.model_id AND l.success ORDER BY l.id DESC LIMIT %(sample)s) r
     ) d
     WHERE (m.ttft_ms_p50, m.ttft_ms_p95, m.latency_ms_p50, m.latency_ms_p95, m.tokens_per_s)
           IS DISTINCT FROM (d.first_50, d.first_95, d.whole_50, d.whole_95, d.speed)
), free AS MATERIALIZED (
    SELECT id FROM hosting_hostedmodel WHERE id IN (SELECT id FROM measured) FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE hosting_hostedmodel m
   SET ttft_ms_p50 = d.first_50, ttft_ms_p95 = d.first_95, latency_ms_p50 = d.whole_50,
       latency_ms_p95 = d.whole_95, tokens_per_s = d.speed
  FROM measured d JOIN free USING (id) WHERE m.id = d.id
"""
MEASURE_UPTIME = """
-- hosting_healthcheck_latest: a day of looks at each server; what is excused does not count. Written as above.
WITH measured AS MATERIALIZED (
    SELECT s.id, u.uptime
      FROM hosting_server s
     CROSS JOIN LATERAL (SELECT round(avg(c.ok::int), 4)::float8 AS uptime FROM hosting_healthcheck c
                          WHERE c.server_id = s.id AND NOT c.excused AND c.checked_at > now() - interval '1 day') u
     WHERE s.uptime IS DISTINCT FROM u.uptime
), free AS MATERIALIZED (
    SELECT id FROM hosting_server WHERE id IN (SELECT id FROM measured) FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE hosting_server s SET uptime = d.uptime FROM measured d JOIN free USING (id) WHERE s.id = d.id
"""


def measure() -> int:
    """Update every offer's percentiles and speed and every server's uptime; how many rows changed.

    Milliseconds, tokens per second, a share of 0 to 1; NULL for what was not seen within a day.
    """
    with connection.cursor() as cursor:
        cursor.execute(MEASURE_OFFERS, {"sample": SAMPLE_MAX, "looked_at": LOOKED_AT_MAX})
        offers = cursor.rowcount
        cursor.execute(MEASURE_UPTIME)
        return offers + cursor.rowcount
