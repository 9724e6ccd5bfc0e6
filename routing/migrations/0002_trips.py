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
    r record;
    n int;   -- the call
    k int;   -- its key, in the k_ arrays
    a int;   -- its account, in the a_ arrays
    verdict text;
    room bigint;
    cost_in bigint;
    per_token bigint;
    spend_start timestamptz;
    spend_room bigint;
    wanted bytea[] := ARRAY(SELECT decode(d, 'hex') FROM unnest(digests) AS d);
    known uuid[] := '{}';
    -- keys
    k_digest bytea[] := '{}'; k_id bigint[] := '{}'; k_customer bigint[] := '{}'; k_status text[] := '{}';
    k_models text[] := '{}'; k_limit bigint[] := '{}'; k_period text[] := '{}'; k_used boolean := false;
    k_minute int[] := '{}'; k_tokens int[] := '{}'; k_day int[] := '{}';
    -- accounts of the customers that pay
    a_id bigint[] := '{}'; a_customer bigint[] := '{}'; a_posted bigint[] := '{}'; a_held bigint[] := '{}';
    a_taken bigint[] := '{}'; a_admitted int[] := '{}';
    a_minute bigint[] := '{}'; a_tokens bigint[] := '{}'; a_day bigint[] := '{}';
    -- servers as they are
    s_id bigint[] := '{}'; s_version bigint[] := '{}';
    asked bigint[];
    believed bigint[];
    -- the answer, in the order of the calls
    o_status text[] := array_fill(NULL::text, ARRAY[calls]);
    o_customer bigint[] := array_fill(NULL::bigint, ARRAY[calls]);
    o_key bigint[] := o_customer;
    o_output bigint[] := array_fill(0::bigint, ARRAY[calls]);
    o_hold bigint[] := o_output;
    o_free bigint[] := o_output;
    o_limit int[] := array_fill(NULL::int, ARRAY[calls]);
    o_remaining int[] := o_limit;
    -- the holds to take
    h_call int[] := '{}'; h_account bigint[] := '{}'; h_window timestamptz[] := '{}';
BEGIN
    FOR r IN
        SELECT y.digest, y.id, y.customer_id, y.allowed_models, y.spend_limit_nanos, y.spend_period,
               t.requests_per_minute, t.tokens_per_minute, t.requests_per_day,
               y.last_used_at IS NULL OR y.last_used_at < minute AS unused,
               CASE WHEN y.revoked_at IS NOT NULL THEN 'revoked' WHEN NOT p.is_active THEN 'inactive'
                    WHEN y.expires_at <= app_now() THEN 'expired' END AS status
          FROM accounts_apikey y JOIN accounts_customer c ON c.id = y.customer_id
          JOIN accounts_user p ON p.id = c.user_id JOIN accounts_tier t ON t.name = c.tier_id
         WHERE y.digest = ANY (wanted)
    LOOP
        k_digest := k_digest || r.digest; k_id := k_id || r.id; k_customer := k_customer || r.customer_id;
        k_status := k_status || r.status; k_models := k_models || r.allowed_models::text;
        k_limit := k_limit || r.spend_limit_nanos; k_period := k_period || r.spend_period::text;
        k_minute := k_minute || r.requests_per_minute; k_tokens := k_tokens || r.tokens_per_minute;
        k_day := k_day || r.requests_per_day; k_used := k_used OR r.unused;
    END LOOP;
    -- Locks the paying accounts, by id: from here on nothing of these customers changes but by us.
    FOR r IN
        SELECT l.id, l.customer_id, l.posted_nanos, l.held_nanos FROM billing_ledgeraccount l
         WHERE l.customer_id = ANY (k_customer) AND l.kind = 'customer' ORDER BY l.id FOR UPDATE
    LOOP
        a_id := a_id || r.id; a_customer := a_customer || r.customer_id; a_posted := a_posted || r.posted_nanos;
        a_held := a_held || r.held_nanos; a_taken := a_taken || 0::bigint; a_admitted := a_admitted || 0;
        a_minute := a_minute || 0::bigint; a_tokens := a_tokens || 0::bigint; a_day := a_day || 0::bigint;
    END LOOP;
    FOR r IN
        SELECT w.customer_id, w.span, w.requests, w.tokens FROM billing_ratewindow w
         WHERE w.customer_id = ANY (a_customer)
           AND (w.span = 'minute' AND w.starts_at = minute OR w.span = 'day' AND w.starts_at = today)
    LOOP
        a := array_position(a_customer, r.customer_id);
        IF r.span = 'day' THEN
            a_day[a] := r.requests;
        ELSE
            a_minute[a] := r.requests;
            a_tokens[a] := r.tokens;
        END IF;
    END LOOP;
    FOR r IN
        SELECT s.id, s.version FROM hosting_server s
         WHERE s.id = ANY (ARRAY(SELECT unnest(u.list::bigint[]) FROM unnest(servers) AS u (list)))
    LOOP
        s_id := s_id || r.id; s_version := s_version || r.version;
    END LOOP;
    IF again THEN
        known := ARRAY(SELECT c.id FROM billing_charge c WHERE c.id = ANY (ids));
    END IF;

    FOR n IN 1..calls LOOP
        k := array_position(k_digest, wanted[n]);
        a := array_position(a_customer, k_customer[k]);
        IF k IS NULL OR a IS NULL THEN
            o_status[n] := 'unauthorized';
            CONTINUE;
        END IF;
        o_customer[n] := k_customer[k];
        o_key[n] := k_id[k];
        verdict := CASE
            WHEN k_status[k] IS NOT NULL THEN k_status[k]
            WHEN servers[n] = '{}' THEN 'ok'
            WHEN k_models[k] <> '{}' AND NOT models[n] = ANY (k_models[k]::text[]) THEN 'model_not_allowed'
        END;
        IF again AND verdict IS NULL AND ids[n] = ANY (known) THEN
            SELECT c.output_tokens_max / choices[n] AS output, c.hold_nanos INTO r FROM billing_charge c
             WHERE c.id = ids[n];
            verdict := 'ok'; o_output[n] := r.output; o_hold[n] := r.hold_nanos;
        END IF;
        IF verdict IS NULL THEN
            asked := servers[n];
            believed := versions[n];
            FOR i IN 1..cardinality(asked) LOOP
                IF s_version[array_position(s_id, asked[i])] IS DISTINCT FROM believed[i] THEN
                    verdict := 'stale';
                END IF;
            END LOOP;
        END IF;
        IF verdict IS NOT NULL THEN
            o_status[n] := verdict;
            CONTINUE;
        END IF;

        room := a_posted[a] - a_held[a] - a_taken[a];
        o_free[n] := room;
        spend_start := NULL;
        IF k_limit[k] IS NOT NULL THEN
            spend_start := billing_spend_window(k_period[k]);
            SELECT k_limit[k] - w.spent_nanos - w.held_nanos INTO spend_room FROM billing_spendwindow w
             WHERE w.key_id = k_id[k] AND w.starts_at = spend_start;
            spend_room := greatest(coalesce(spend_room, k_limit[k]), 0);
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
        o_limit[n] := k_minute[k];
        verdict := CASE
            WHEN o_hold[n] > room THEN CASE
                WHEN spend_start IS NOT NULL AND o_hold[n] > spend_room THEN 'spend_limit'
                WHEN o_hold[n] > a_posted[a] THEN 'insufficient_credit'
                ELSE 'credit_reserved' END
            WHEN a_minute[a] + a_admitted[a] >= k_minute[k] THEN 'rate_minute'
            WHEN a_day[a] + a_admitted[a] >= k_day[k] THEN 'rate_day'
            WHEN a_tokens[a] >= k_tokens[k] THEN 'rate_tokens'
            ELSE 'ok' END;
        o_status[n] := verdict;
        IF verdict = 'ok' THEN
            a_taken[a] := a_taken[a] + o_hold[n];
            a_admitted[a] := a_admitted[a] + 1;
            h_call := h_call || n; h_account := h_account || a_id[a]; h_window := h_window || spend_start;
            IF spend_start IS NOT NULL THEN
                INSERT INTO billing_spendwindow AS w (key_id, starts_at, spent_nanos, held_nanos)
                VALUES (k_id[k], spend_start, 0, o_hold[n])
                ON CONFLICT (key_id, starts_at) DO UPDATE SET held_nanos = w.held_nanos + EXCLUDED.held_nanos;
            END IF;
        END IF;
        o_remaining[n] := greatest(k_minute[k] - a_minute[a] - a_admitted[a], 0);
    END LOOP;

    IF h_call <> '{}' THEN
        PERFORM billing_hold(
            a_id, a_taken, array_agg(ids[i]), array_agg(x), array_agg(o_key[i]), array_agg(w), array_agg(o_hold[i]),
            array_agg(prices_in[i]), array_agg(prices_out[i]), array_agg(payees[i]), array_agg(inputs_max[i]),
            array_agg(o_output[i] * choices[i]), fee_bps, boot, expiry_s)
          FROM unnest(h_call, h_account, h_window) AS h (i, x, w);
        INSERT INTO billing_ratewindow (customer_id, span, starts_at, requests, tokens)
        SELECT u.customer, s.span, s.starts_at, u.admitted, 0
          FROM unnest(a_customer, a_admitted) AS u (customer, admitted),
               (VALUES ('minute', minute), ('day', today)) AS s (span, starts_at)
         WHERE u.admitted > 0
        ON CONFLICT (customer_id, span, starts_at) DO UPDATE
           SET requests = billing_ratewindow.requests + EXCLUDED.requests;
        IF k_used THEN
            UPDATE accounts_apikey y SET last_used_at = minute
             WHERE y.id IN (SELECT o_key[i] FROM unnest(h_call) AS i)
               AND (y.last_used_at IS NULL OR y.last_used_at < minute);
        END IF;
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
    s record;
BEGIN
    s := billing_settle(ids, quotes, inputs, outputs, reasons, hold_s);

    INSERT INTO routing_inferencerequest
    SELECT u.id, app_now(), u.customer, u.key, u.model_asked, u.model, u.provider, u.server, u.endpoint, u.streamed,
           u.reason, u.success, u.attempts, u.input, u.output, u.claimed_input, u.claimed_output, u.in_bytes,
           u.out_bytes, u.gross, u.ttft, u.latency
      FROM unnest(ids, s.statuses, s.customers, s.keys, s.grosses, reasons, models_asked, models, providers, servers,
                  endpoints, streamed, successes, attempts, inputs, outputs, claimed_inputs, claimed_outputs,
                  input_bytes, output_bytes, ttfts_ms, latencies_ms)
           AS u (id, status, customer, key, gross, reason, model_asked, model, provider, server, endpoint, streamed,
                 success, attempts, input, output, claimed_input, claimed_output, in_bytes, out_bytes, ttft, latency)
     WHERE u.status IN ('posted', 'voided');

    INSERT INTO routing_usagehour (customer_id, key_id, model_id, provider, hour, requests, input_tokens,
                                   output_tokens, gross_nanos, fee_nanos, net_nanos, latency_ms_sum)
    SELECT u.customer, u.key, u.model, u.provider, this_hour, count(*), sum(u.input), sum(u.output), sum(u.gross),
           sum(u.fee), sum(u.net), sum(u.latency)
      FROM unnest(s.statuses, s.customers, s.keys, models, providers, inputs, outputs, s.grosses, s.fees, s.nets,
                  latencies_ms)
           AS u (status, customer, key, model, provider, input, output, gross, fee, net, latency)
     WHERE u.status = 'posted'
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
    SELECT u.server, u.model, this_hour, count(*), sum(u.input), sum(u.output), sum(u.gross), sum(u.fee), sum(u.net),
           sum(u.latency), count(u.claimed), coalesce(sum(u.claimed), 0),
           coalesce(sum(u.bytes) FILTER (WHERE u.claimed IS NOT NULL), 0)
      FROM unnest(s.statuses, servers, models, inputs, outputs, s.grosses, s.fees, s.nets, latencies_ms,
                  claimed_outputs, output_bytes)
           AS u (status, server, model, input, output, gross, fee, net, latency, claimed, bytes)
     WHERE u.status = 'posted' AND u.server IS NOT NULL
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
      FROM unnest(s.statuses, servers, successes, ttfts_ms, latencies_ms, failed_servers)
           AS u (status, server, success, ttft, latency, failed),
   LATERAL (SELECT u.server, 1, 0, coalesce(u.ttft, 0), u.latency WHERE u.success AND u.server IS NOT NULL
            UNION ALL
            SELECT f, 0, 1, 0, 0 FROM unnest(u.failed::bigint[]) AS f) AS o (server, served, failed, ttft, latency)
     WHERE u.status IN ('posted', 'voided')
     GROUP BY 1 ORDER BY 1
    ON CONFLICT (server_id, minute) DO UPDATE
       SET served = hosting_serverminute.served + EXCLUDED.served,
           failed = hosting_serverminute.failed + EXCLUDED.failed,
           ttft_ms_sum = hosting_serverminute.ttft_ms_sum + EXCLUDED.ttft_ms_sum,
           latency_ms_sum = hosting_serverminute.latency_ms_sum + EXCLUDED.latency_ms_sum;

    RETURN QUERY SELECT u.charge, u.status, u.gross FROM unnest(ids, s.statuses, s.grosses) AS u (charge, status, gross);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial"), ("billing", "0002_books"), ("hosting", "0002_versions")]
    operations = [migrations.RunSQL(part) for part in (REQUESTS, ADMIT, SETTLE)]
