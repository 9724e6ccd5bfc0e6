"""The tables of money that Django cannot describe (partitions, triggers, checks over arrays) and the functions
that write them: `billing_hold` and `billing_settle`, which take whole batches.

Lock order everywhere: charges, accounts, spend windows, rate windows, maturities; each by id.
"""

from django.db import migrations

PARTITIONS = """
-- Monthly partitions by UUIDv7: the first 48 bits are milliseconds since 1970. Three months ahead, and a default.
CREATE FUNCTION make_partitions(parent text, months_ahead int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first_day timestamptz;
    name text;
    low text;
    high text;
BEGIN
    FOR month IN 0..months_ahead LOOP
        first_day := date_trunc('month', now(), 'UTC') + make_interval(months => month);
        name := parent || '_' || to_char(first_day AT TIME ZONE 'UTC', 'YYYYMM');
        low := lpad(to_hex((extract(epoch FROM first_day) * 1000)::bigint), 12, '0');
        high := lpad(to_hex((extract(epoch FROM first_day + interval '1 month') * 1000)::bigint), 12, '0');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', name, parent,
                           rpad(low, 32, '0')::uuid, rpad(high, 32, '0')::uuid);
        END IF;
    END LOOP;
END $$;
"""

TABLES = """
-- The one clock of the books; tests replace it to travel in time.
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';

CREATE TABLE billing_transfer (
    id uuid PRIMARY KEY,
    kind varchar(8) NOT NULL CHECK (kind IN ('grant', 'sale', 'charge', 'fee', 'release', 'refund')),
    debit_id bigint NOT NULL REFERENCES billing_ledgeraccount,
    credit_id bigint NOT NULL REFERENCES billing_ledgeraccount,
    amount_nanos bigint NOT NULL CHECK (amount_nanos > 0),
    earned_nanos bigint NOT NULL CHECK (earned_nanos >= 0),
    bought_nanos bigint NOT NULL CHECK (bought_nanos >= 0),
    charge uuid CHECK ((charge IS NOT NULL) = (kind IN ('charge', 'fee', 'refund'))),
    actor_id bigint REFERENCES accounts_user,
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT app_now(),
    CONSTRAINT billing_transfer_two_accounts CHECK (debit_id <> credit_id),
    CONSTRAINT billing_transfer_parts CHECK (earned_nanos + bought_nanos <= amount_nanos)
);
CREATE INDEX billing_transfer_debit ON billing_transfer (debit_id, created_at);
CREATE INDEX billing_transfer_credit ON billing_transfer (credit_id, created_at);

CREATE TABLE billing_charge (
    id uuid PRIMARY KEY,
    state varchar(6) NOT NULL CHECK (state IN ('held', 'posted', 'voided')),
    account_id bigint NOT NULL REFERENCES billing_ledgeraccount,
    key_id bigint NOT NULL REFERENCES accounts_apikey,
    boot uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spend_window timestamptz,
    hold_nanos bigint NOT NULL CHECK (hold_nanos >= 0),
    price_in bigint[] NOT NULL,
    price_out bigint[] NOT NULL,
    payee bigint[] NOT NULL,
    input_tokens_max bigint NOT NULL CHECK (input_tokens_max >= 0),
    output_tokens_max bigint NOT NULL CHECK (output_tokens_max >= 0),
    fee_bps int NOT NULL CHECK (fee_bps BETWEEN 0 AND 10000),
    settled_at timestamptz,
    quote smallint,
    input_tokens bigint,
    output_tokens bigint,
    gross_nanos bigint,
    fee_nanos bigint,
    net_nanos bigint,
    payable_nanos bigint,
    matures_at timestamptz,
    void_reason text,
    CONSTRAINT billing_charge_quotes CHECK (
        cardinality(payee) >= 1 AND cardinality(price_in) = cardinality(payee)
        AND cardinality(price_out) = cardinality(payee)),
    CONSTRAINT billing_charge_held_is_open CHECK (
        (state = 'held') = (settled_at IS NULL) AND (state = 'voided') = (void_reason IS NOT NULL)),
    CONSTRAINT billing_charge_posted_is_exact CHECK (
        (state <> 'posted' AND gross_nanos IS NULL) OR coalesce(
            state = 'posted'
            AND quote BETWEEN 1 AND cardinality(payee)
            AND input_tokens BETWEEN 0 AND input_tokens_max
            AND output_tokens BETWEEN 0 AND output_tokens_max
            AND gross_nanos = input_tokens * price_in[quote] + output_tokens * price_out[quote]
            AND gross_nanos <= hold_nanos
            AND fee_nanos = CASE payee[quote] WHEN 0 THEN gross_nanos ELSE gross_nanos * fee_bps / 10000 END
            AND net_nanos = gross_nanos - fee_nanos
            AND payable_nanos BETWEEN 0 AND net_nanos
            AND (matures_at IS NULL) = (net_nanos = 0), false))
) PARTITION BY RANGE (id);
CREATE TABLE billing_charge_default PARTITION OF billing_charge DEFAULT;
SELECT make_partitions('billing_charge', 3);
CREATE INDEX billing_charge_held ON billing_charge (expires_at, boot) WHERE state = 'held';

-- Rows that change with every request: room on the page keeps their updates off the indexes.
ALTER TABLE billing_ledgeraccount SET (fillfactor = 50);
ALTER TABLE billing_ratewindow SET (fillfactor = 50);
ALTER TABLE billing_spendwindow SET (fillfactor = 50);
ALTER TABLE billing_maturity SET (fillfactor = 50);
"""

TRIGGERS = """
CREATE FUNCTION billing_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the books are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER billing_transfer_append_only BEFORE UPDATE OR DELETE ON billing_transfer
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_transfer_no_truncate BEFORE TRUNCATE ON billing_transfer EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_charge_no_delete BEFORE DELETE ON billing_charge
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_charge_no_truncate BEFORE TRUNCATE ON billing_charge EXECUTE FUNCTION billing_refuse();
-- A charge changes once, from held to posted or voided, and what was promised at the start never changes.
CREATE TRIGGER billing_charge_settles_once BEFORE UPDATE ON billing_charge FOR EACH ROW
    WHEN (OLD.state <> 'held' OR NEW.state = 'held' OR (OLD.id, OLD.account_id, OLD.key_id, OLD.created_at,
          OLD.hold_nanos, OLD.price_in, OLD.price_out, OLD.payee, OLD.input_tokens_max, OLD.output_tokens_max,
          OLD.fee_bps, OLD.spend_window) IS DISTINCT FROM (NEW.id, NEW.account_id, NEW.key_id, NEW.created_at,
          NEW.hold_nanos, NEW.price_in, NEW.price_out, NEW.payee, NEW.input_tokens_max, NEW.output_tokens_max,
          NEW.fee_bps, NEW.spend_window))
    EXECUTE FUNCTION billing_refuse();
"""

FUNCTIONS = """
-- A transfer's id is its charge's, with the last byte (which the gateway leaves 0) saying what for.
CREATE FUNCTION billing_transfer_id(charge uuid, tag int) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT encode(set_byte(uuid_send(charge), 15, tag), 'hex')::uuid $$;

-- When what was earned now is released: never before hold_s, in buckets of a minute (a second for short holds).
CREATE FUNCTION billing_matures_at(hold_s int) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT date_bin(make_interval(secs => b), app_now() + make_interval(secs => hold_s + b), 'epoch')
      FROM (SELECT CASE WHEN hold_s >= 600 THEN 60 ELSE 1 END) AS bucket (b)
$$;

-- When the running spending period of a key began.
CREATE FUNCTION billing_spend_window(period text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE period WHEN 'day' THEN date_trunc('day', app_now(), 'UTC')
                       WHEN 'month' THEN date_trunc('month', app_now(), 'UTC') ELSE 'epoch'::timestamptz END
$$;

-- Write holds that the admission decided; the rows of the accounts are locked already. Overdrafts fail the check.
CREATE FUNCTION billing_hold(
    ids uuid[], accounts bigint[], keys bigint[], windows timestamptz[], holds bigint[],
    prices_in text[], prices_out text[], payees text[], inputs_max bigint[], outputs_max bigint[],
    fee_bps int, boot uuid, expiry_s int
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_ledgeraccount a SET held_nanos = a.held_nanos + h.total
      FROM (SELECT account, sum(hold)::bigint AS total FROM unnest(accounts, holds) AS u (account, hold)
             GROUP BY account) AS h
     WHERE a.id = h.account AND h.total > 0;
    INSERT INTO billing_charge (id, state, account_id, key_id, boot, created_at, expires_at, spend_window,
                                hold_nanos, price_in, price_out, payee, input_tokens_max, output_tokens_max, fee_bps)
    SELECT u.id, 'held', u.account, u.key, boot, app_now(), app_now() + make_interval(secs => expiry_s),
           u.spend_window, u.hold, u.price_in::bigint[], u.price_out::bigint[], u.payee::bigint[],
           u.input_max, u.output_max, billing_hold.fee_bps
      FROM unnest(ids, accounts, keys, windows, holds, prices_in, prices_out, payees, inputs_max, outputs_max)
           AS u (id, account, key, spend_window, hold, price_in, price_out, payee, input_max, output_max);
END $$;

-- Settle charges: quote >= 1 posts at that quote's prices, quote 0 voids for the reason given. One winner each:
-- what is settled already keeps its outcome. `status` is posted | voided (by this call), already_posted |
-- already_voided (before it), or missing.
CREATE FUNCTION billing_settle(
    ids uuid[], quotes int[], inputs bigint[], outputs bigint[], reasons text[], hold_s int
) RETURNS TABLE (charge uuid, status text, customer bigint, key bigint, gross bigint, fee bigint, net bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    matures timestamptz := billing_matures_at(hold_s);
    fees_account bigint := (SELECT a.id FROM billing_ledgeraccount a WHERE a.kind = 'platform_fees');
BEGIN
    PERFORM 1 FROM billing_charge c WHERE c.id = ANY (ids) ORDER BY c.id FOR UPDATE;
    PERFORM 1 FROM billing_ledgeraccount a
      WHERE a.id IN (SELECT c.account_id FROM billing_charge c WHERE c.id = ANY (ids)) ORDER BY a.id FOR UPDATE;
    RETURN QUERY
    WITH asked AS (
        SELECT DISTINCT ON (u.id) u.*
          FROM unnest(ids, quotes, inputs, outputs, reasons) WITH ORDINALITY
               AS u (id, quote, input, output, reason, ord) ORDER BY u.id, u.ord
    ), priced AS (
        SELECT k.*, c.state, c.account_id, c.key_id, c.spend_window, c.hold_nanos, a.customer_id,
               c.gross_nanos AS gross_before, c.fee_nanos AS fee_before, c.net_nanos AS net_before,
               nullif(c.payee[k.quote], 0) AS payee, g.gross,
               CASE c.payee[k.quote] WHEN 0 THEN g.gross ELSE g.gross * c.fee_bps / 10000 END AS fee,
               a.posted_nanos - a.earned_nanos - a.bought_nanos AS promotional, a.bought_nanos AS bought,
               sum(g.gross) OVER (PARTITION BY c.account_id ORDER BY k.ord)::bigint - g.gross AS spent_before
          FROM asked k
          JOIN billing_charge c ON c.id = k.id
          JOIN billing_ledgeraccount a ON a.id = c.account_id,
       LATERAL (SELECT CASE WHEN k.quote = 0 OR c.state <> 'held' THEN 0
                       ELSE k.input * c.price_in[k.quote] + k.output * c.price_out[k.quote] END AS gross) AS g
    ), parts AS (  -- promotional credit is spent first, then bought, then earned
        SELECT p.*, p.gross - p.fee AS net,
               least(greatest(p.spent_before + p.gross - p.promotional, 0), p.bought)
               - least(greatest(p.spent_before - p.promotional, 0), p.bought) AS bought_part,
               greatest(p.spent_before + p.gross - p.promotional - p.bought, 0)
               - greatest(p.spent_before - p.promotional - p.bought, 0) AS earned_part
          FROM priced p WHERE p.state = 'held'
    ), shares AS (  -- the platform's share of the money that somebody paid, rounded up
        SELECT p.*, CASE WHEN p.gross = 0 THEN 0
               ELSE div((p.bought_part + p.earned_part)::numeric * p.fee + p.gross - 1, p.gross)::bigint END AS fee_paid
          FROM parts p
    ), split AS (
        SELECT s.*, least(s.bought_part, s.fee_paid) AS fee_bought,
               s.fee_paid - least(s.bought_part, s.fee_paid) AS fee_earned,
               s.bought_part + s.earned_part - s.fee_paid AS payable
          FROM shares s
    ), charged AS (
        UPDATE billing_charge c
           SET state = CASE s.quote WHEN 0 THEN 'voided' ELSE 'posted' END, settled_at = app_now(),
               quote = nullif(s.quote, 0), void_reason = CASE s.quote WHEN 0 THEN s.reason END,
               input_tokens = CASE WHEN s.quote > 0 THEN s.input END,
               output_tokens = CASE WHEN s.quote > 0 THEN s.output END,
               gross_nanos = CASE WHEN s.quote > 0 THEN s.gross END, fee_nanos = CASE WHEN s.quote > 0 THEN s.fee END,
               net_nanos = CASE WHEN s.quote > 0 THEN s.net END,
               payable_nanos = CASE WHEN s.quote > 0 AND s.payee IS NOT NULL THEN s.payable
                                    WHEN s.quote > 0 THEN 0 END,
               matures_at = CASE WHEN s.net > 0 THEN matures END
          FROM split s WHERE c.id = s.id
    ), transferred AS (
        INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge)
        SELECT billing_transfer_id(s.id, 1), 'charge', s.account_id, s.payee, s.net,
               s.earned_part - s.fee_earned, s.bought_part - s.fee_bought, s.id FROM split s WHERE s.net > 0
        UNION ALL
        SELECT billing_transfer_id(s.id, 2), 'fee', s.account_id, fees_account, s.fee,
               s.fee_earned, s.fee_bought, s.id FROM split s WHERE s.fee > 0
    ), debited AS (
        UPDATE billing_ledgeraccount a
           SET posted_nanos = a.posted_nanos - d.gross, held_nanos = a.held_nanos - d.hold,
               bought_nanos = a.bought_nanos - d.bought, earned_nanos = a.earned_nanos - d.earned
          FROM (SELECT s.account_id, sum(s.gross)::bigint AS gross, sum(s.hold_nanos)::bigint AS hold,
                       sum(s.bought_part)::bigint AS bought, sum(s.earned_part)::bigint AS earned
                  FROM split s GROUP BY s.account_id) AS d
         WHERE a.id = d.account_id AND (d.hold > 0 OR d.gross > 0)
    ), windowed AS (
        UPDATE billing_spendwindow w SET spent_nanos = w.spent_nanos + d.gross, held_nanos = w.held_nanos - d.hold
          FROM (SELECT s.key_id, s.spend_window, sum(s.gross)::bigint AS gross, sum(s.hold_nanos)::bigint AS hold
                  FROM split s WHERE s.spend_window IS NOT NULL GROUP BY s.key_id, s.spend_window) AS d
         WHERE w.key_id = d.key_id AND w.starts_at = d.spend_window
    ), rated AS (
        INSERT INTO billing_ratewindow (customer_id, span, starts_at, requests, tokens)
        SELECT s.customer_id, 'minute', date_trunc('minute', app_now()), 0, sum(s.input + s.output)
          FROM split s WHERE s.quote > 0 GROUP BY s.customer_id
        ON CONFLICT (customer_id, span, starts_at) DO UPDATE SET tokens = billing_ratewindow.tokens + EXCLUDED.tokens
    ), matured AS (
        INSERT INTO billing_maturity (account_id, matures_at, amount_nanos, payable_nanos)
        SELECT s.payee, matures, sum(s.net), sum(s.payable) FROM split s WHERE s.net > 0
         GROUP BY s.payee ORDER BY s.payee
        ON CONFLICT (account_id, matures_at) DO UPDATE
           SET amount_nanos = billing_maturity.amount_nanos + EXCLUDED.amount_nanos,
               payable_nanos = billing_maturity.payable_nanos + EXCLUDED.payable_nanos
    )
    SELECT k.id, CASE p.state WHEN 'held' THEN CASE k.quote WHEN 0 THEN 'voided' ELSE 'posted' END
                              WHEN 'posted' THEN 'already_posted' WHEN 'voided' THEN 'already_voided'
                              ELSE 'missing' END,
           p.customer_id, p.key_id, coalesce(p.gross_before, p.gross), coalesce(p.fee_before, p.fee, 0),
           coalesce(p.net_before, p.gross - p.fee, 0)
      FROM asked k LEFT JOIN priced p ON p.id = k.id;
END $$;

-- Release matured earnings to the customers they belong to: one transfer for each maturity, and the row is gone.
CREATE FUNCTION billing_release(rows_max int) RETURNS TABLE (released int, amount bigint) LANGUAGE plpgsql AS $$
DECLARE
    due_ids bigint[] := ARRAY(SELECT m.id FROM billing_maturity m WHERE m.matures_at <= app_now()
                               ORDER BY m.matures_at LIMIT rows_max);
BEGIN
    PERFORM 1 FROM billing_ledgeraccount a WHERE a.kind = 'customer' AND a.customer_id IN (
        SELECT p.customer_id FROM billing_maturity m JOIN billing_ledgeraccount p ON p.id = m.account_id
         WHERE m.id = ANY (due_ids)) ORDER BY a.id FOR UPDATE;
    RETURN QUERY
    WITH due AS (
        SELECT m.* FROM billing_maturity m WHERE m.id = ANY (due_ids) ORDER BY m.id FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM billing_maturity m USING due WHERE m.id = due.id
        RETURNING m.id, m.account_id, m.amount_nanos, m.payable_nanos
    ), owned AS (
        SELECT g.*, a.id AS customer_account
          FROM gone g JOIN billing_ledgeraccount p ON p.id = g.account_id
          JOIN billing_ledgeraccount a ON a.customer_id = p.customer_id AND a.kind = 'customer'
    ), transferred AS (
        INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos)
        SELECT encode(substring(sha256(convert_to('release:' || o.id, 'UTF8')) FOR 16), 'hex')::uuid, 'release',
               o.account_id, o.customer_account, o.amount_nanos, o.payable_nanos, 0 FROM owned o
    ), credited AS (
        UPDATE billing_ledgeraccount a
           SET posted_nanos = a.posted_nanos + d.amount, earned_nanos = a.earned_nanos + d.payable
          FROM (SELECT o.customer_account, sum(o.amount_nanos)::bigint AS amount, sum(o.payable_nanos)::bigint AS payable
                  FROM owned o GROUP BY o.customer_account) AS d
         WHERE a.id = d.customer_account
    )
    SELECT count(*)::int, coalesce(sum(o.amount_nanos), 0)::bigint FROM owned o;
END $$;
"""

PLATFORM_ACCOUNTS = """
INSERT INTO billing_ledgeraccount (kind) VALUES
    ('platform_fees'), ('platform_promotions'), ('platform_sales'), ('platform_loss');
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("accounts", "0001_initial")]
    operations = [migrations.RunSQL(part) for part in (PARTITIONS, TABLES, TRIGGERS, FUNCTIONS, PLATFORM_ACCOUNTS)]
