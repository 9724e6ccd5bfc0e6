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
    debit_id bigint NOT NULL,   -- both are checked by billing_transfer_accounts, once for each statement
    credit_id bigint NOT NULL,
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
    account_id bigint NOT NULL,  -- both are checked by billing_charge_owners, once for each statement
    key_id bigint NOT NULL,
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
-- References are checked for all rows of a statement at once: a foreign key's check of each row was half the cost of
-- an insert. What they point to can never be deleted, so a reference that was right stays right.
CREATE FUNCTION billing_check_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT debit_id FROM added UNION SELECT credit_id FROM added) AS t (account)
                WHERE NOT EXISTS (SELECT FROM billing_ledgeraccount a WHERE a.id = t.account)) THEN
        RAISE EXCEPTION 'a transfer names an account that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_transfer_accounts AFTER INSERT ON billing_transfer REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION billing_check_accounts();
CREATE FUNCTION billing_check_owners() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT account_id, key_id FROM added) AS c
                WHERE NOT EXISTS (SELECT FROM billing_ledgeraccount a JOIN accounts_apikey k USING (customer_id)
                                   WHERE a.id = c.account_id AND k.id = c.key_id)) THEN
        RAISE EXCEPTION 'a charge names an account or a key that does not exist, or a key of another customer'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_charge_owners AFTER INSERT ON billing_charge REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION billing_check_owners();
CREATE TRIGGER billing_ledgeraccount_stays BEFORE DELETE ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_apikey_stays BEFORE DELETE ON accounts_apikey FOR EACH ROW EXECUTE FUNCTION billing_refuse();
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

-- Write holds that the admission decided; the accounts' rows are locked already. Overdrafts fail the check.
-- `totals` are what each of `held_accounts` is to hold more.
CREATE FUNCTION billing_hold(
    held_accounts bigint[], totals bigint[],
    ids uuid[], accounts bigint[], keys bigint[], windows timestamptz[], holds bigint[],
    prices_in text[], prices_out text[], payees text[], inputs_max bigint[], outputs_max bigint[],
    fee_bps int, boot uuid, expiry_s int
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_ledgeraccount a SET held_nanos = a.held_nanos + h.total
      FROM unnest(held_accounts, totals) AS h (account, total) WHERE a.id = h.account AND h.total > 0;
    INSERT INTO billing_charge (id, state, account_id, key_id, boot, created_at, expires_at, spend_window,
                                hold_nanos, price_in, price_out, payee, input_tokens_max, output_tokens_max, fee_bps)
    SELECT u.id, 'held', u.account, u.key, boot, app_now(), app_now() + make_interval(secs => expiry_s),
           u.spend_window, u.hold, u.price_in::bigint[], u.price_out::bigint[], u.payee::bigint[],
           u.input_max, u.output_max, billing_hold.fee_bps
      FROM unnest(ids, accounts, keys, windows, holds, prices_in, prices_out, payees, inputs_max, outputs_max)
           AS u (id, account, key, spend_window, hold, price_in, price_out, payee, input_max, output_max);
END $$;

-- Settle charges: quote >= 1 posts at that quote's prices, quote 0 voids for the reason given. One winner each:
-- what is settled already keeps its outcome, and of an id that comes twice the first wins. Answers are arrays in the
-- order of `ids`; `statuses` says posted | voided (by this call), already_posted | already_voided, or missing.
-- Rows are decided one by one in variables and written by one plain statement for each table: starting an executor
-- costs more than a row, so a single statement of many parts was three times as dear for small batches.
CREATE FUNCTION billing_settle(
    ids uuid[], quotes int[], inputs bigint[], outputs bigint[], reasons text[], hold_s int,
    OUT statuses text[], OUT customers bigint[], OUT keys bigint[], OUT grosses bigint[], OUT fees bigint[],
    OUT nets bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    asked int := cardinality(ids);
    matures timestamptz := billing_matures_at(hold_s);
    fees_account bigint;
    c billing_charge;
    a record;
    n int;             -- where the charge stands in `ids`
    p int;             -- where its account stands in the a_ arrays
    quote int;
    payee bigint;
    gross bigint;
    fee bigint;
    bought bigint;     -- the part of gross that is bought money
    earned bigint;     -- the part of gross that is earned money
    fee_bought bigint;
    fee_earned bigint;
    found billing_charge[] := '{}';
    -- accounts: what is left of each kind of money, and how they change
    a_id bigint[] := '{}'; a_customer bigint[] := '{}'; a_promotional bigint[] := '{}'; a_bought bigint[] := '{}';
    a_gross bigint[]; a_hold bigint[]; a_spent_bought bigint[]; a_spent_earned bigint[]; a_tokens bigint[];
    zeros bigint[];
    -- charges that this call settles
    c_id uuid[] := '{}'; c_quote int[] := '{}'; c_input bigint[] := '{}'; c_output bigint[] := '{}';
    c_gross bigint[] := '{}'; c_fee bigint[] := '{}'; c_payable bigint[] := '{}'; c_reason text[] := '{}';
    -- transfers, maturities and spending windows
    t_charge uuid[] := '{}'; t_tag int[] := '{}'; t_debit bigint[] := '{}'; t_credit bigint[] := '{}';
    t_amount bigint[] := '{}'; t_earned bigint[] := '{}'; t_bought bigint[] := '{}';
    m_account bigint[] := '{}'; m_amount bigint[] := '{}'; m_payable bigint[] := '{}';
    w_key bigint[] := '{}'; w_start timestamptz[] := '{}'; w_gross bigint[] := '{}'; w_hold bigint[] := '{}';
BEGIN
    statuses := array_fill('missing'::text, ARRAY[asked]);
    customers := array_fill(NULL::bigint, ARRAY[asked]);
    keys := customers; grosses := customers; fees := customers; nets := customers;

    FOR c IN SELECT * FROM billing_charge k WHERE k.id = ANY (ids) ORDER BY k.id FOR UPDATE LOOP
        found := found || c;
        IF NOT c.account_id = ANY (a_id) THEN
            a_id := a_id || c.account_id;
        END IF;
    END LOOP;
    IF found = '{}' THEN
        RETURN;
    END IF;
    FOR a IN SELECT l.id, l.customer_id, l.posted_nanos, l.earned_nanos, l.bought_nanos FROM billing_ledgeraccount l
              WHERE l.id = ANY (a_id) ORDER BY l.id FOR UPDATE LOOP
        p := array_position(a_id, a.id);
        a_customer[p] := a.customer_id;
        a_promotional[p] := a.posted_nanos - a.earned_nanos - a.bought_nanos;
        a_bought[p] := a.bought_nanos;
    END LOOP;
    zeros := array_fill(0::bigint, ARRAY[cardinality(a_id)]);
    a_gross := zeros; a_hold := zeros; a_spent_bought := zeros; a_spent_earned := zeros; a_tokens := zeros;

    FOREACH c IN ARRAY found LOOP
        n := array_position(ids, c.id);
        p := array_position(a_id, c.account_id);
        customers[n] := a_customer[p];
        keys[n] := c.key_id;
        IF c.state <> 'held' THEN
            statuses[n] := 'already_' || c.state;
            grosses[n] := coalesce(c.gross_nanos, 0);
            fees[n] := coalesce(c.fee_nanos, 0);
            nets[n] := coalesce(c.net_nanos, 0);
            CONTINUE;
        END IF;
        quote := quotes[n];
        gross := 0; fee := 0; bought := 0; earned := 0; fee_bought := 0; fee_earned := 0; payee := 0;
        IF quote > 0 THEN
            payee := c.payee[quote];
            gross := inputs[n] * c.price_in[quote] + outputs[n] * c.price_out[quote];
            fee := CASE payee WHEN 0 THEN gross ELSE gross * c.fee_bps / 10000 END;
            a_tokens[p] := a_tokens[p] + inputs[n] + outputs[n];
        END IF;
        IF gross > 0 THEN
            -- Promotional credit is spent first, then bought, then earned. The platform's share of the money that
            -- somebody paid is rounded up.
            bought := least(greatest(gross - a_promotional[p], 0), a_bought[p]);
            earned := greatest(gross - a_promotional[p] - a_bought[p], 0);
            fee_bought := div((bought + earned)::numeric * fee + gross - 1, gross);
            fee_earned := greatest(fee_bought - bought, 0);
            fee_bought := least(bought, fee_bought);
            a_promotional[p] := greatest(a_promotional[p] - gross, 0);
            a_bought[p] := a_bought[p] - bought;
            a_gross[p] := a_gross[p] + gross;
            a_spent_bought[p] := a_spent_bought[p] + bought;
            a_spent_earned[p] := a_spent_earned[p] + earned;
            IF gross > fee THEN
                t_charge := t_charge || c.id; t_tag := t_tag || 1; t_debit := t_debit || c.account_id;
                t_credit := t_credit || payee; t_amount := t_amount || gross - fee;
                t_earned := t_earned || earned - fee_earned; t_bought := t_bought || bought - fee_bought;
                m_account := m_account || payee; m_amount := m_amount || gross - fee;
                m_payable := m_payable || bought + earned - fee_bought - fee_earned;
            END IF;
            IF fee > 0 THEN
                IF fees_account IS NULL THEN
                    SELECT l.id INTO fees_account FROM billing_ledgeraccount l WHERE l.kind = 'platform_fees';
                END IF;
                t_charge := t_charge || c.id; t_tag := t_tag || 2; t_debit := t_debit || c.account_id;
                t_credit := t_credit || fees_account; t_amount := t_amount || fee;
                t_earned := t_earned || fee_earned; t_bought := t_bought || fee_bought;
            END IF;
        END IF;
        a_hold[p] := a_hold[p] + c.hold_nanos;
        IF c.spend_window IS NOT NULL THEN
            w_key := w_key || c.key_id; w_start := w_start || c.spend_window;
            w_gross := w_gross || gross; w_hold := w_hold || c.hold_nanos;
        END IF;
        c_id := c_id || c.id; c_quote := c_quote || quote; c_input := c_input || inputs[n];
        c_output := c_output || outputs[n]; c_gross := c_gross || gross; c_fee := c_fee || fee;
        c_payable := c_payable || CASE payee WHEN 0 THEN 0 ELSE bought + earned - fee_bought - fee_earned END;
        c_reason := c_reason || reasons[n];
        statuses[n] := CASE quote WHEN 0 THEN 'voided' ELSE 'posted' END;
        grosses[n] := gross;
        fees[n] := fee;
        nets[n] := gross - fee;
    END LOOP;
    -- The second mention of an id is settled by the first.
    FOR n IN 1..asked LOOP
        p := array_position(ids, ids[n]);
        IF p < n AND statuses[p] <> 'missing' THEN
            statuses[n] := 'already_' || replace(statuses[p], 'already_', '');
            customers[n] := customers[p]; keys[n] := keys[p];
            grosses[n] := grosses[p]; fees[n] := fees[p]; nets[n] := nets[p];
        END IF;
    END LOOP;
    IF c_id = '{}' THEN
        RETURN;
    END IF;

    UPDATE billing_charge k
       SET state = CASE u.quote WHEN 0 THEN 'voided' ELSE 'posted' END, settled_at = app_now(),
           quote = nullif(u.quote, 0), void_reason = CASE u.quote WHEN 0 THEN u.reason END,
           input_tokens = CASE WHEN u.quote > 0 THEN u.input END, output_tokens = CASE WHEN u.quote > 0 THEN u.output END,
           gross_nanos = CASE WHEN u.quote > 0 THEN u.gross END, fee_nanos = CASE WHEN u.quote > 0 THEN u.fee END,
           net_nanos = CASE WHEN u.quote > 0 THEN u.gross - u.fee END,
           payable_nanos = CASE WHEN u.quote > 0 THEN u.payable END,
           matures_at = CASE WHEN u.gross > u.fee THEN matures END
      FROM unnest(c_id, c_quote, c_input, c_output, c_gross, c_fee, c_payable, c_reason)
           AS u (id, quote, input, output, gross, fee, payable, reason)
     WHERE k.id = u.id AND k.id = ANY (c_id);  -- the array lets the planner leave other months out
    IF t_charge <> '{}' THEN
        INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge)
        SELECT billing_transfer_id(u.charge, u.tag), CASE u.tag WHEN 1 THEN 'charge' ELSE 'fee' END, u.debit, u.credit,
               u.amount, u.earned, u.bought, u.charge
          FROM unnest(t_charge, t_tag, t_debit, t_credit, t_amount, t_earned, t_bought)
               AS u (charge, tag, debit, credit, amount, earned, bought);
    END IF;
    UPDATE billing_ledgeraccount l
       SET posted_nanos = l.posted_nanos - u.gross, held_nanos = l.held_nanos - u.hold,
           bought_nanos = l.bought_nanos - u.bought, earned_nanos = l.earned_nanos - u.earned
      FROM unnest(a_id, a_gross, a_hold, a_spent_bought, a_spent_earned) AS u (id, gross, hold, bought, earned)
     WHERE l.id = u.id AND u.hold > 0;
    IF w_key <> '{}' THEN
        UPDATE billing_spendwindow w SET spent_nanos = w.spent_nanos + u.gross, held_nanos = w.held_nanos - u.hold
          FROM (SELECT x.key, x.start, sum(x.gross)::bigint AS gross, sum(x.hold)::bigint AS hold
                  FROM unnest(w_key, w_start, w_gross, w_hold) AS x (key, start, gross, hold)
                 GROUP BY 1, 2) AS u
         WHERE w.key_id = u.key AND w.starts_at = u.start;
    END IF;
    INSERT INTO billing_ratewindow (customer_id, span, starts_at, requests, tokens)
    SELECT u.customer, 'minute', date_trunc('minute', app_now()), 0, u.tokens
      FROM unnest(a_customer, a_tokens) AS u (customer, tokens) WHERE u.tokens > 0
    ON CONFLICT (customer_id, span, starts_at) DO UPDATE SET tokens = billing_ratewindow.tokens + EXCLUDED.tokens;
    IF m_account <> '{}' THEN
        INSERT INTO billing_maturity (account_id, matures_at, amount_nanos, payable_nanos)
        SELECT u.account, matures, sum(u.amount), sum(u.payable)
          FROM unnest(m_account, m_amount, m_payable) AS u (account, amount, payable)
         GROUP BY u.account ORDER BY u.account
        ON CONFLICT (account_id, matures_at) DO UPDATE
           SET amount_nanos = billing_maturity.amount_nanos + EXCLUDED.amount_nanos,
               payable_nanos = billing_maturity.payable_nanos + EXCLUDED.payable_nanos;
    END IF;
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
