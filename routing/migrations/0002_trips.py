"""The two trips of a request: `routing_admit` and `routing_settle`, each for a whole batch of concurrent calls."""

from django.db import migrations

REQUESTS = """
CREATE TABLE routing_inferencerequest (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    customer_id bigint NOT NULL,
    key_id bigint NOT NULL,
    model_asked varchar(200) NOT NULL,
    model_id varchar(200) NOT NULL,
    provider varchar(6) NOT NULL,
    server_id bigint,
    endpoint varchar(16) NOT NULL,
    streamed boolean NOT NULL,
    outcome varchar(16) NOT NULL,
    success boolean NOT NULL,
    attempts smallint NOT NULL,
    input_tokens bigint NOT NULL CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL CHECK (output_tokens >= 0),
    claimed_input_tokens bigint,
    claimed_output_tokens bigint,
    input_bytes bigint NOT NULL,
    output_bytes bigint NOT NULL,
    cost_nanos bigint NOT NULL CHECK (cost_nanos >= 0),
    ttft_ms int,
    latency_ms int NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE routing_inferencerequest_default PARTITION OF routing_inferencerequest DEFAULT;
SELECT make_partitions('routing_inferencerequest', 3);
CREATE INDEX routing_inferencerequest_customer ON routing_inferencerequest (customer_id, id);
ALTER TABLE routing_usagehour SET (fillfactor = 50);
ALTER TABLE routing_offerhour SET (fillfactor = 50);
"""

ADMIT = """
-- Admit calls, in order of arrival: who is it, may it, can it pay? Takes the holds of those that may.
-- Each call brings the dearest prices it may meet, and the quotes, servers and versions it was planned with
-- (array literals). A call without quotes is only authenticated. `again` repeats a batch whose commit is unknown.
-- status: ok | unauthorized | revoked | expired | inactive | model_not_allowed | stale | insufficient_credit |
--         credit_reserved | spend_limit | rate_minute | rate_day | rate_tokens
CREATE FUNCTION routing_admit(
    ids uuid[], digests text[], models text[], inputs_max bigint[], outputs_asked bigint[], explicit boolean[],
    choices int[], dearest_in bigint[], dearest_out bigint[], prices_in text[], prices_out text[], payees text[],
    servers text[], versions text[], boot uuid, fee_bps int, expiry_s int, again boolean
) RETURNS TABLE (ord int, status text, customer bigint, key bigint, output_max bigint, hold bigint, free bigint,
                 limit_minute int, remaining_minute int)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    minute timestamptz := date_trunc('minute', app_now());
    today timestamptz := date_trunc('day', app_now(), 'UTC');
    calls int := cardinality(ids);
    known uuid[] := '{}';
    stale boolean[];
    r record;
    account bigint := 0;   -- the account of the previous row: rows come grouped by account
    taken bigint := 0;     -- held by this batch from that account
    counted int := 0;      -- requests admitted by this batch for that customer
    room bigint;
    cost_in bigint;
    per_token bigint;
    spend_start timestamptz;
    spend_room bigint;
    -- the answer, by ordinal
    o_status text[] := array_fill(NULL::text, ARRAY[calls]);
    o_customer bigint[] := array_fill(NULL::bigint, ARRAY[calls]);
    o_key bigint[] := array_fill(NULL::bigint, ARRAY[calls]);
    o_output bigint[] := array_fill(0::bigint, ARRAY[calls]);
    o_hold bigint[] := array_fill(0::bigint, ARRAY[calls]);
    o_free bigint[] := array_fill(0::bigint, ARRAY[calls]);
    o_limit int[] := array_fill(NULL::int, ARRAY[calls]);
    o_remaining int[] := array_fill(NULL::int, ARRAY[calls]);
    -- the holds to take
    h_ord int[] := '{}';
    h_account bigint[] := '{}';
    h_window timestamptz[] := '{}';
    verdict text;
    n int;
BEGIN
    -- Locks the paying accounts, by id: from here on nothing of these customers changes but by us.
    PERFORM 1 FROM billing_ledgeraccount a
      WHERE a.kind = 'customer' AND a.customer_id IN (
            SELECT k.customer_id FROM unnest(digests, servers) AS u (digest, server)
              JOIN accounts_apikey k ON k.digest = decode(u.digest, 'hex') WHERE u.server <> '{}')
      ORDER BY a.id FOR UPDATE;
    IF again THEN
        known := ARRAY(SELECT c.id FROM billing_charge c WHERE c.id = ANY (ids));
    END IF;
    stale := ARRAY(
        SELECT EXISTS (SELECT 1 FROM unnest(u.servers::bigint[], u.versions::bigint[]) AS v (server, version)
                        LEFT JOIN hosting_server s ON s.id = v.server WHERE s.version IS DISTINCT FROM v.version)
          FROM unnest(servers, versions) WITH ORDINALITY AS u (servers, versions, ord) ORDER BY u.ord);
    FOR r IN
        SELECT u.ord::int AS ord, k.id AS key_id, k.customer_id, k.revoked_at, k.expires_at, k.allowed_models,
               k.spend_limit_nanos, k.spend_period, p.is_active, t.requests_per_minute, t.tokens_per_minute,
               t.requests_per_day, a.id AS account_id, a.posted_nanos, a.held_nanos,
               coalesce(m.requests, 0) AS minute_requests, coalesce(m.tokens, 0) AS minute_tokens,
               coalesce(d.requests, 0) AS day_requests
          FROM unnest(digests) WITH ORDINALITY AS u (digest, ord)
          LEFT JOIN accounts_apikey k ON k.digest = decode(u.digest, 'hex')
          LEFT JOIN accounts_customer c ON c.id = k.customer_id
          LEFT JOIN accounts_user p ON p.id = c.user_id
          LEFT JOIN accounts_tier t ON t.name = c.tier_id
          LEFT JOIN billing_ledgeraccount a ON a.customer_id = c.id AND a.kind = 'customer'
          LEFT JOIN billing_ratewindow m ON m.customer_id = c.id AND m.span = 'minute' AND m.starts_at = minute
          LEFT JOIN billing_ratewindow d ON d.customer_id = c.id AND d.span = 'day' AND d.starts_at = today
         ORDER BY a.id, u.ord
    LOOP
        n := r.ord;
        o_customer[n] := r.customer_id;
        o_key[n] := r.key_id;
        IF r.account_id IS DISTINCT FROM account THEN
            account := r.account_id; taken := 0; counted := 0;
        END IF;
        verdict := CASE
            WHEN r.key_id IS NULL OR r.account_id IS NULL THEN 'unauthorized'
            WHEN r.revoked_at IS NOT NULL THEN 'revoked'
            WHEN NOT r.is_active THEN 'inactive'
            WHEN r.expires_at <= app_now() THEN 'expired'
            WHEN servers[n] = '{}' THEN 'ok'
            WHEN cardinality(r.allowed_models) > 0 AND NOT models[n] = ANY (r.allowed_models) THEN 'model_not_allowed'
        END;
        IF again AND verdict IS NULL AND ids[n] = ANY (known) THEN
            verdict := 'ok';
            o_output[n] := (SELECT c.output_tokens_max / choices[n] FROM billing_charge c WHERE c.id = ids[n]);
            o_hold[n] := (SELECT c.hold_nanos FROM billing_charge c WHERE c.id = ids[n]);
        END IF;
        IF verdict IS NOT NULL THEN
            o_status[n] := verdict;
            CONTINUE;
        END IF;
        IF stale[n] THEN
            o_status[n] := 'stale';
            CONTINUE;
        END IF;

        room := r.posted_nanos - r.held_nanos - taken;
        o_free[n] := room;
        spend_start := NULL;
        IF r.spend_limit_nanos IS NOT NULL THEN
            spend_start := billing_spend_window(r.spend_period);
            SELECT r.spend_limit_nanos - w.spent_nanos - w.held_nanos INTO spend_room FROM billing_spendwindow w
             WHERE w.key_id = r.key_id AND w.starts_at = spend_start;
            spend_room := greatest(coalesce(spend_room, r.spend_limit_nanos), 0);
            room := least(room, spend_room);
        END IF;

        -- The hold: the whole prompt and output at the dearest prices. Without a max_tokens of the customer's own,
        -- the output is cut to what can be paid.
        cost_in := inputs_max[n] * dearest_in[n];
        per_token := choices[n] * dearest_out[n];
        o_output[n] := outputs_asked[n];
        IF NOT explicit[n] AND per_token > 0 THEN
            o_output[n] := least(outputs_asked[n], greatest((room - cost_in) / per_token, 1));
        END IF;
        o_hold[n] := cost_in + o_output[n] * per_token;
        o_limit[n] := r.requests_per_minute;
        verdict := CASE
            WHEN o_hold[n] > room THEN CASE
                WHEN spend_start IS NOT NULL AND o_hold[n] > spend_room THEN 'spend_limit'
                WHEN o_hold[n] > r.posted_nanos THEN 'insufficient_credit'
                ELSE 'credit_reserved' END
            WHEN r.minute_requests + counted >= r.requests_per_minute THEN 'rate_minute'
            WHEN r.day_requests + counted >= r.requests_per_day THEN 'rate_day'
            WHEN r.minute_tokens >= r.tokens_per_minute THEN 'rate_tokens'
            ELSE 'ok' END;
        o_status[n] := verdict;
        o_remaining[n] := greatest(r.requests_per_minute - r.minute_requests - counted, 0);
        IF verdict = 'ok' THEN
            taken := taken + o_hold[n];
            counted := counted + 1;
            o_remaining[n] := greatest(r.requests_per_minute - r.minute_requests - counted, 0);
            h_ord := h_ord || n;
            h_account := h_account || r.account_id;
            h_window := h_window || spend_start;
            IF spend_start IS NOT NULL THEN
                INSERT INTO billing_spendwindow AS w (key_id, starts_at, spent_nanos, held_nanos)
                VALUES (r.key_id, spend_start, 0, o_hold[n])
                ON CONFLICT (key_id, starts_at) DO UPDATE SET held_nanos = w.held_nanos + EXCLUDED.held_nanos;
            END IF;
        END IF;
    END LOOP;

    IF h_ord <> '{}' THEN
        PERFORM billing_hold(
            array_agg(ids[i]), array_agg(a), array_agg(o_key[i]), array_agg(w), array_agg(o_hold[i]),
            array_agg(prices_in[i]), array_agg(prices_out[i]), array_agg(payees[i]), array_agg(inputs_max[i]),
            array_agg(o_output[i] * choices[i]), fee_bps, boot, expiry_s)
          FROM unnest(h_ord, h_account, h_window) AS h (i, a, w);
        INSERT INTO billing_ratewindow (customer_id, span, starts_at, requests, tokens)
        SELECT o_customer[i], s.span, s.starts_at, count(*), 0
          FROM unnest(h_ord) AS i, (VALUES ('minute', minute), ('day', today)) AS s (span, starts_at)
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (customer_id, span, starts_at) DO UPDATE
           SET requests = billing_ratewindow.requests + EXCLUDED.requests;
        UPDATE accounts_apikey k SET last_used_at = minute
         WHERE k.id IN (SELECT o_key[i] FROM unnest(h_ord) AS i)
           AND (k.last_used_at IS NULL OR k.last_used_at < minute);
    END IF;
    RETURN QUERY
    SELECT u.ord::int, u.status, u.customer, u.key, u.output, u.hold, u.free, u.lim, u.remaining
      FROM unnest(o_status, o_customer, o_key, o_output, o_hold, o_free, o_limit, o_remaining) WITH ORDINALITY
           AS u (status, customer, key, output, hold, free, lim, remaining, ord);
END $$;
"""

SETTLE = """
-- Settle requests: money (billing_settle), what became of each, the hourly sums and the servers' counters.
-- Only what this call settled is counted, so a repetition changes nothing. `failed_servers` are array literals of
-- the servers that were tried in vain.
CREATE FUNCTION routing_settle(
    ids uuid[], quotes int[], inputs bigint[], outputs bigint[], reasons text[], hold_s int,
    models_asked text[], models text[], providers text[], servers bigint[], endpoints text[], streamed boolean[],
    successes boolean[], attempts int[], claimed_inputs bigint[], claimed_outputs bigint[], input_bytes bigint[],
    output_bytes bigint[], ttfts_ms int[], latencies_ms int[], failed_servers text[]
) RETURNS TABLE (charge uuid, status text, gross bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    this_hour timestamptz := date_trunc('hour', app_now(), 'UTC');
    this_minute timestamptz := date_trunc('minute', app_now());
    won routing_inferencerequest[];
    s_ids uuid[]; s_status text[]; s_customer bigint[]; s_key bigint[]; s_gross bigint[]; s_fee bigint[]; s_net bigint[];
BEGIN
    SELECT array_agg(s.charge), array_agg(s.status), array_agg(s.customer), array_agg(s.key), array_agg(s.gross),
           array_agg(s.fee), array_agg(s.net)
      INTO s_ids, s_status, s_customer, s_key, s_gross, s_fee, s_net
      FROM billing_settle(ids, quotes, inputs, outputs, reasons, hold_s) AS s;

    WITH settled AS (
        SELECT s.*, u.* FROM unnest(s_ids, s_status, s_customer, s_key, s_gross)
               AS s (charge, status, customer, key, gross)
          JOIN (SELECT DISTINCT ON (e.id) e.*  -- the first ending of a call wins, as in billing_settle
                  FROM unnest(ids, quotes, inputs, outputs, reasons, models_asked, models, providers, servers,
                              endpoints, streamed, successes, attempts, claimed_inputs, claimed_outputs, input_bytes,
                              output_bytes, ttfts_ms, latencies_ms) WITH ORDINALITY
                       AS e (id, quote, input, output, reason, model_asked, model, provider, server, endpoint,
                             streamed, success, attempts, claimed_input, claimed_output, in_bytes, out_bytes, ttft,
                             latency, ord)
                 ORDER BY e.id, e.ord) AS u ON u.id = s.charge
         WHERE s.status IN ('posted', 'voided')
    ), written AS (
        INSERT INTO routing_inferencerequest
        SELECT w.charge, app_now(), w.customer, w.key, w.model_asked, w.model, w.provider, w.server, w.endpoint,
               w.streamed, w.reason, w.success, w.attempts, w.input, w.output, w.claimed_input, w.claimed_output,
               w.in_bytes, w.out_bytes, w.gross, w.ttft, w.latency
          FROM settled w
        RETURNING routing_inferencerequest.*
    )
    SELECT array_agg(w) INTO won FROM written w;

    INSERT INTO routing_usagehour (customer_id, key_id, model_id, provider, hour, requests, input_tokens,
                                   output_tokens, gross_nanos, fee_nanos, net_nanos, latency_ms_sum)
    SELECT w.customer_id, w.key_id, w.model_id, w.provider, this_hour, count(*), sum(w.input_tokens),
           sum(w.output_tokens), sum(w.cost_nanos), sum(m.fee), sum(m.net), sum(w.latency_ms)
      FROM unnest(won) AS w JOIN unnest(s_ids, s_status, s_fee, s_net) AS m (id, status, fee, net) ON m.id = w.id
     WHERE m.status = 'posted'
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (customer_id, hour, key_id, model_id, provider) DO UPDATE
       SET requests = routing_usagehour.requests + EXCLUDED.requests,
           input_tokens = routing_usagehour.input_tokens + EXCLUDED.input_tokens,
           output_tokens = routing_usagehour.output_tokens + EXCLUDED.output_tokens,
           gross_nanos = routing_usagehour.gross_nanos + EXCLUDED.gross_nanos,
           fee_nanos = routing_usagehour.fee_nanos + EXCLUDED.fee_nanos,
           net_nanos = routing_usagehour.net_nanos + EXCLUDED.net_nanos,
           latency_ms_sum = routing_usagehour.latency_ms_sum + EXCLUDED.latency_ms_sum;

    INSERT INTO routing_offerhour (server_id, model_id, hour, requests, input_tokens, output_tokens, gross_nanos,
                                   fee_nanos, net_nanos, latency_ms_sum, claims, claimed_output_tokens,
                                   claimed_output_bytes)
    SELECT w.server_id, w.model_id, this_hour, count(*), sum(w.input_tokens), sum(w.output_tokens),
           sum(w.cost_nanos), sum(m.fee), sum(m.net), sum(w.latency_ms), count(w.claimed_output_tokens),
           coalesce(sum(w.claimed_output_tokens), 0),
           coalesce(sum(w.output_bytes) FILTER (WHERE w.claimed_output_tokens IS NOT NULL), 0)
      FROM unnest(won) AS w JOIN unnest(s_ids, s_status, s_fee, s_net) AS m (id, status, fee, net) ON m.id = w.id
     WHERE m.status = 'posted' AND w.server_id IS NOT NULL
     GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (server_id, hour, model_id) DO UPDATE
       SET requests = routing_offerhour.requests + EXCLUDED.requests,
           input_tokens = routing_offerhour.input_tokens + EXCLUDED.input_tokens,
           output_tokens = routing_offerhour.output_tokens + EXCLUDED.output_tokens,
           gross_nanos = routing_offerhour.gross_nanos + EXCLUDED.gross_nanos,
           fee_nanos = routing_offerhour.fee_nanos + EXCLUDED.fee_nanos,
           net_nanos = routing_offerhour.net_nanos + EXCLUDED.net_nanos,
           latency_ms_sum = routing_offerhour.latency_ms_sum + EXCLUDED.latency_ms_sum,
           claims = routing_offerhour.claims + EXCLUDED.claims,
           claimed_output_tokens = routing_offerhour.claimed_output_tokens + EXCLUDED.claimed_output_tokens,
           claimed_output_bytes = routing_offerhour.claimed_output_bytes + EXCLUDED.claimed_output_bytes;

    INSERT INTO hosting_serverminute (server_id, minute, served, failed, ttft_ms_sum, latency_ms_sum)
    SELECT o.server, this_minute, sum(o.served), sum(o.failed), sum(o.ttft), sum(o.latency)
      FROM (SELECT w.server_id, w.success::int, 0, coalesce(w.ttft_ms, 0), w.latency_ms FROM unnest(won) AS w
             WHERE w.server_id IS NOT NULL AND w.success
            UNION ALL
            SELECT f.server, 0, 1, 0, 0 FROM unnest(won) AS w
              JOIN (SELECT DISTINCT ON (e.id) e.id, e.failed
                      FROM unnest(ids, failed_servers) WITH ORDINALITY AS e (id, failed, ord)
                     ORDER BY e.id, e.ord) AS u ON u.id = w.id,
                   unnest(u.failed::bigint[]) AS f (server)) AS o (server, served, failed, ttft, latency)
     GROUP BY 1 ORDER BY 1
    ON CONFLICT (server_id, minute) DO UPDATE
       SET served = hosting_serverminute.served + EXCLUDED.served,
           failed = hosting_serverminute.failed + EXCLUDED.failed,
           ttft_ms_sum = hosting_serverminute.ttft_ms_sum + EXCLUDED.ttft_ms_sum,
           latency_ms_sum = hosting_serverminute.latency_ms_sum + EXCLUDED.latency_ms_sum;

    RETURN QUERY SELECT u.charge, u.status, u.gross FROM unnest(s_ids, s_status, s_gross) AS u (charge, status, gross);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial"), ("billing", "0002_books"), ("hosting", "0002_versions")]
    operations = [migrations.RunSQL(part) for part in (REQUESTS, ADMIT, SETTLE)]
