-- Two months of requests, written table by table: {rows} of them over {days} days up to the last full hour. Six of ten are
-- Alice's, the others' are spread over {others} customers; half go to the model {model}, one of twenty fails.

SET LOCAL statement_timeout = 0;
SET LOCAL work_mem = '256MB';

-- What was sold was sold before the first request.
ALTER TABLE billing_transfer DISABLE TRIGGER billing_transfer_append_only;
UPDATE billing_transfer SET created_at = now() - interval '{days} days' - interval '1 day' WHERE kind = 'sale';
ALTER TABLE billing_transfer ENABLE TRIGGER billing_transfer_append_only;

-- Partitions of the months behind us, as an installation has them that was there two months ago
DO $$
DECLARE
    parent text;
    first_day timestamptz;
BEGIN
    FOREACH parent IN ARRAY ARRAY['billing_charge', 'routing_inferencerequest'] LOOP
        FOR months IN 1..3 LOOP
            first_day := date_trunc('month', now(), 'UTC') - make_interval(months => months);
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                parent || to_char(first_day AT TIME ZONE 'UTC', '_YYYYMM'), parent,
                rpad(lpad(to_hex((extract(epoch FROM first_day) * 1000)::bigint), 12, '0'), 32, '0'),
                rpad(lpad(to_hex((extract(epoch FROM first_day + interval '1 month') * 1000)::bigint), 12, '0'), 32, '0'));
        END LOOP;
    END LOOP;
END $$;

CREATE TEMP TABLE payers AS
SELECT row_number() OVER (ORDER BY k.customer_id = {alice} DESC, k.id) - 1 AS n, k.id AS key, k.customer_id AS customer,
       a.id AS account
  FROM accounts_apikey k JOIN billing_ledgeraccount a ON a.customer_id = k.customer_id AND a.kind = 'customer'
 WHERE k.revoked_at IS NULL AND (k.customer_id = {alice} OR k.name = 'bench');
CREATE TEMP TABLE sold AS
SELECT row_number() OVER (ORDER BY m.model_id = '{model}' DESC, m.id) - 1 AS n, m.server_id AS server, m.model_id AS model,
       s.kind, coalesce(p.id, 0) AS payee, m.price_per_input_token AS price_in, m.price_per_output_token AS price_out
  FROM hosting_hostedmodel m JOIN hosting_server s ON s.id = m.server_id
  LEFT JOIN hosting_hoster h ON h.id = s.hoster_id
  LEFT JOIN billing_ledgeraccount p ON p.customer_id = h.customer_id AND p.kind = 'hoster_pending'
 WHERE m.price_per_input_token BETWEEN 1 AND 1000;
CREATE TEMP TABLE booked AS
SELECT (lpad(to_hex((extract(epoch FROM c.at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(c.n & 4095), 3, '0') || '8'
        || lpad(to_hex(c.n), 13, '0') || '00')::uuid AS id, c.*, c.input * o.price_in + c.output * o.price_out AS gross,
       CASE o.payee WHEN 0 THEN c.input * o.price_in + c.output * o.price_out
            ELSE (c.input * o.price_in + c.output * o.price_out) / 5 END AS fee,
       o.server, o.model, o.kind, o.payee, o.price_in, o.price_out, p.key, p.customer, p.account
  FROM (SELECT n, n % 20 > 0 AS served, 100 + n % 400 AS input, 50 + n % 300 AS output, 200 + (n * 7) % 2000 AS latency,
               date_trunc('hour', now(), 'UTC') - interval '1 minute' - ({rows} - n) * interval '{days} days' / {rows} AS at,
               CASE WHEN n % 10 < 6 THEN n % (SELECT count(*) FROM payers WHERE customer = {alice})
                    ELSE (SELECT count(*) FROM payers WHERE customer = {alice}) + n % {others} END AS payer
          FROM generate_series(1, {rows}) AS n) AS c
  JOIN payers p ON p.n = c.payer
  JOIN sold o ON o.n = CASE WHEN c.n % 2 = 0 THEN 0 ELSE c.n / 2 % (SELECT count(*) FROM sold) END;
CREATE INDEX ON booked (id);
ANALYZE booked;

INSERT INTO billing_charge (id, state, account_id, key_id, boot, created_at, expires_at, hold_nanos, price_in, price_out,
                            payee, input_tokens_max, output_tokens_max, fee_bps, settled_at, quote, input_tokens,
                            output_tokens, gross_nanos, fee_nanos, net_nanos, payable_nanos, matures_at, void_reason)
SELECT id, CASE WHEN served THEN 'posted' ELSE 'voided' END, account, key, gen_random_uuid(), at, at + interval '20 min',
       gross, ARRAY[price_in], ARRAY[price_out], ARRAY[payee], input, output, 2000, at, CASE WHEN served THEN 1 END,
       CASE WHEN served THEN input END, CASE WHEN served THEN output END, CASE WHEN served THEN gross END,
       CASE WHEN served THEN fee END, CASE WHEN served THEN gross - fee END, CASE WHEN served THEN gross - fee END,
       CASE WHEN served AND gross > fee THEN date_bin('1 minute', at + interval '24 h 1 min', 'epoch') END,
       CASE WHEN NOT served THEN 'upstream_failed' END
  FROM booked ORDER BY id;
INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge, created_at)
SELECT billing_transfer_id(id, 1), 'charge', account, payee, gross - fee, 0, gross - fee, id, at
  FROM booked WHERE served AND gross > fee
UNION ALL
SELECT billing_transfer_id(id, 2), 'fee', account, (SELECT l.id FROM billing_ledgeraccount l WHERE l.kind = 'platform_fees'),
       fee, 0, fee, id, at
  FROM booked WHERE served AND fee > 0 ORDER BY 9, 1;
INSERT INTO routing_inferencerequest (id, created_at, customer_id, key_id, model_asked, model_id, provider, server_id, endpoint,
    streamed, outcome, success, attempts, input_tokens, output_tokens, claimed_input_tokens, claimed_output_tokens, input_bytes,
    output_bytes, cost_nanos, ttft_ms, latency_ms)
SELECT id, at, customer, key, model, model, CASE WHEN served THEN kind ELSE '' END, CASE WHEN served THEN server END,
       'chat.completions', true, CASE WHEN served THEN 'finished' ELSE 'upstream_failed' END, served, 1,
       CASE WHEN served THEN input ELSE 0 END, CASE WHEN served THEN output ELSE 0 END, input, output, 4 * input, 4 * output,
       CASE WHEN served THEN gross ELSE 0 END, latency / 4, latency
  FROM booked ORDER BY id;
INSERT INTO routing_usagehour (customer_id, key_id, model_id, provider, hour, requests, input_tokens, output_tokens,
                               gross_nanos, fee_nanos, net_nanos, latency_ms_sum)
SELECT customer, key, model, kind, date_trunc('hour', at, 'UTC'), count(*), sum(input), sum(output), sum(gross), sum(fee),
       sum(gross - fee), sum(latency) FROM booked WHERE served GROUP BY 1, 2, 3, 4, 5;
INSERT INTO routing_offerhour (server_id, model_id, hour, requests, input_tokens, output_tokens, gross_nanos, fee_nanos,
                               net_nanos, latency_ms_sum, claims, claimed_output_tokens, claimed_output_bytes)
SELECT server, model, date_trunc('hour', at, 'UTC'), count(*), sum(input), sum(output), sum(gross), sum(fee),
       sum(gross - fee), sum(latency), count(*), sum(output), sum(output * 4) FROM booked WHERE served GROUP BY 1, 2, 3;
INSERT INTO routing_payerday (server_id, customer_id, day, requests, gross_nanos)
SELECT server, customer, (at AT TIME ZONE 'UTC')::date, count(*), sum(gross) FROM booked WHERE served GROUP BY 1, 2, 3
ON CONFLICT DO NOTHING;
INSERT INTO hosting_serverminute (server_id, minute, served, failed, ttft_ms_sum, latency_ms_sum, output_tokens)
SELECT server, date_trunc('minute', at), count(*) FILTER (WHERE served), count(*) FILTER (WHERE NOT served), sum(latency / 4),
       sum(latency), sum(output) FROM booked GROUP BY 1, 2;
INSERT INTO hosting_healthcheck (server_id, checked_at, ok, latency_ms, error)
SELECT s.id, now() - n * interval '30 s', n % 50 > 0, 40, '' FROM hosting_server s, generate_series(1, 20160) AS n
 WHERE s.kind = 'hoster';
INSERT INTO billing_maturity (account_id, matures_at, amount_nanos, payable_nanos)
SELECT payee, date_bin('1 minute', at + interval '24 h 1 min', 'epoch'), sum(gross - fee), sum(gross - fee)
  FROM booked WHERE served AND gross > fee AND payee > 0 AND date_bin('1 minute', at + interval '24 h 1 min', 'epoch') > now()
 GROUP BY 1, 2 ON CONFLICT (account_id, matures_at) DO UPDATE
   SET amount_nanos = billing_maturity.amount_nanos + EXCLUDED.amount_nanos,
       payable_nanos = billing_maturity.payable_nanos + EXCLUDED.payable_nanos;
INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, created_at)
SELECT gen_random_uuid(), 'release', r.payee, a.id, r.net, r.net, 0, r.due
  FROM (SELECT payee, date_bin('1 minute', at + interval '24 h 1 min', 'epoch') AS due, sum(gross - fee)::bigint AS net
          FROM booked WHERE served AND gross > fee AND payee > 0 GROUP BY 1, 2) AS r
  JOIN billing_ledgeraccount p ON p.id = r.payee
  JOIN billing_ledgeraccount a ON a.customer_id = p.customer_id AND a.kind = 'customer'
 WHERE r.due <= now() ORDER BY r.due;
UPDATE billing_ledgeraccount a SET posted_nanos = t.posted, earned_nanos = t.earned, bought_nanos = t.bought
  FROM (SELECT account, sum(amount) AS posted, sum(earned) AS earned, sum(bought) AS bought
          FROM (SELECT credit_id, amount_nanos, earned_nanos, bought_nanos FROM billing_transfer
                UNION ALL SELECT debit_id, -amount_nanos, -earned_nanos, -bought_nanos FROM billing_transfer)
               AS side (account, amount, earned, bought) GROUP BY 1) AS t
 WHERE t.account = a.id AND a.kind = 'customer';
DELETE FROM billing_openingbalance;
DELETE FROM billing_releaseday;
