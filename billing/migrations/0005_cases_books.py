"""The bookings of disputes, refunds after a release, debts and payouts.

Lock order everywhere: charges, accounts, spend windows, rate windows, maturities, debts; each by id.
"""

from django.db import migrations

TABLES = """
ALTER TABLE billing_transfer DROP CONSTRAINT billing_transfer_kind_check;
ALTER TABLE billing_transfer DROP CONSTRAINT billing_transfer_check;
ALTER TABLE billing_transfer ADD CONSTRAINT billing_transfer_kind_check CHECK (kind IN (
    'grant', 'sale', 'charge', 'fee', 'release', 'refund', 'dispute', 'verdict', 'recovery', 'payout', 'return', 'paid',
    'clawback')) NOT VALID;
ALTER TABLE billing_transfer ADD CONSTRAINT billing_transfer_of_charge CHECK (
    (charge IS NOT NULL) = (kind IN ('charge', 'fee', 'refund', 'dispute', 'verdict'))) NOT VALID;
ALTER TABLE billing_transfer VALIDATE CONSTRAINT billing_transfer_kind_check;
ALTER TABLE billing_transfer VALIDATE CONSTRAINT billing_transfer_of_charge;
INSERT INTO billing_ledgeraccount (kind) VALUES ('platform_payouts'), ('platform_paid');
"""

WEEKS = """
-- When the running spending period of a key began; weeks begin on Mondays.
CREATE OR REPLACE FUNCTION billing_spend_window(period text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN period IN ('day', 'week', 'month') THEN date_trunc(period, app_now(), 'UTC')
                ELSE 'epoch'::timestamptz END
$$;
"""

GIVE_BACK = """
-- Transfers of a charge by the last byte of their id: 1 charge, 2 fee, 3 and 4 the refunds of these two, 5 dispute,
-- 6 verdict (a rejected dispute's earning is pending again).

-- When a charge's earning matures: as it was booked, or after the verdict when that came later.
CREATE FUNCTION billing_matures_of(of_charge uuid, booked timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT greatest(booked, date_bin('1 second', t.created_at + interval '1 second', 'epoch'))
                       FROM billing_transfer t WHERE t.id = billing_transfer_id(of_charge, 6)), booked)
$$;

-- Book a reversal that was decided; the charge's row and its payer's account are locked. The net part comes from
-- `source`, the fee from where it went. payable_back is the part of net_back that somebody had paid for.
CREATE FUNCTION billing_give_back(
    c billing_charge, gross_left bigint, source bigint, reason text, actor bigint,
    OUT gross_back bigint, OUT net_back bigint, OUT payable_back bigint
) LANGUAGE plpgsql AS $$
DECLARE
    fee_left bigint := CASE c.payee[c.quote] WHEN 0 THEN gross_left ELSE gross_left * c.fee_bps / 10000 END;
    earned_back bigint;   -- the part of gross_back that is earned money
    bought_back bigint;
BEGIN
    -- What stays is split as if no more had ever been charged. Either part comes back the way it went, and
    -- in the opposite order of spending: earned money first, then bought, then promotional.
    gross_back := c.gross_nanos - gross_left;
    net_back := gross_back - (c.fee_nanos - fee_left);
    WITH given AS (
        INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos,
                                      charge, reason, actor_id)
        SELECT billing_transfer_id(c.id, part.tag + 2), 'refund',
               CASE part.tag WHEN 1 THEN source ELSE t.credit_id END, t.debit_id, part.back,
               least(part.back, t.earned_nanos),
               least(greatest(part.back - t.earned_nanos, 0), t.bought_nanos),
               c.id, billing_give_back.reason, actor
          FROM (VALUES (1, net_back), (2, gross_back - net_back)) AS part (tag, back)
          JOIN billing_transfer t ON t.id = billing_transfer_id(c.id, part.tag)
         WHERE part.back > 0
        RETURNING id, earned_nanos, bought_nanos
    )
    SELECT sum(g.earned_nanos), sum(g.bought_nanos),
           coalesce(sum(g.earned_nanos + g.bought_nanos) FILTER (WHERE g.id = billing_transfer_id(c.id, 3)), 0)
      INTO earned_back, bought_back, payable_back FROM given g;
    UPDATE billing_ledgeraccount a
       SET posted_nanos = a.posted_nanos + gross_back, earned_nanos = a.earned_nanos + earned_back,
           bought_nanos = a.bought_nanos + bought_back
     WHERE a.id = c.account_id;
    UPDATE billing_spendwindow w SET spent_nanos = w.spent_nanos - gross_back
     WHERE w.key_id = c.key_id AND w.starts_at = c.spend_window;
END $$;
"""

REVERSE = """
DROP FUNCTION billing_reverse(uuid[], bigint[], bigint[], text, bigint);
-- Give back charges: all of each, or down to the tokens that the customer keeps paying for. The hoster's part comes out
-- of its pending earnings; where they are released already, out of the platform's pocket when `at_our_loss` says so, and
-- the hoster owes it. Answers are rows in the order of `ids`, nanodollars given back by this call; `status` says
--     reversed    by this call,
--     already     by an earlier one: a charge is reversed once, whatever the reason,
--     nothing     no money would come back: it was free, or all of its tokens are kept,
--     disputed    its dispute decides,
--     released    the earning is the hoster's to spend by now: nothing moves,
--     not_posted  held or voided, or
--     missing.
-- To keep more than was billed is the caller's error: it refuses the whole call.
CREATE FUNCTION billing_reverse(
    ids uuid[], kept_inputs bigint[], kept_outputs bigint[], reason text, actor bigint, at_our_loss boolean
) RETURNS TABLE (status text, gross_back bigint, net_back bigint) LANGUAGE plpgsql AS $$
DECLARE
    c billing_charge;
    maturity bigint;
    back record;
    loss_account bigint;
    gross_left bigint;    -- what the customer keeps paying
BEGIN
    -- Charges, accounts, spend windows (their accounts' locks keep them), maturities in the order in which
    -- billing_settle writes them, debts. billing_release waits for none of these maturities, it skips them: what it
    -- took first is gone here, and what is locked here it takes later, and smaller.
    PERFORM 1 FROM billing_charge k WHERE k.id = ANY (ids) ORDER BY k.id FOR UPDATE;
    PERFORM 1 FROM billing_ledgeraccount a
      WHERE a.id IN (SELECT k.account_id FROM billing_charge k WHERE k.id = ANY (ids)) ORDER BY a.id FOR UPDATE;
    PERFORM 1 FROM billing_maturity m
      WHERE (m.account_id, m.matures_at) IN (
            SELECT k.payee[k.quote], billing_matures_of(k.id, k.matures_at) FROM billing_charge k WHERE k.id = ANY (ids))
      ORDER BY m.account_id, m.matures_at FOR UPDATE;

    FOR n IN 1..cardinality(ids) LOOP
        SELECT * INTO c FROM billing_charge k WHERE k.id = ids[n];
        IF c.state = 'posted' AND NOT coalesce(kept_inputs[n] BETWEEN 0 AND c.input_tokens
                                               AND kept_outputs[n] BETWEEN 0 AND c.output_tokens, false) THEN
            RAISE EXCEPTION 'charge % was billed % + % tokens and cannot keep % + %',
                c.id, c.input_tokens, c.output_tokens, kept_inputs[n], kept_outputs[n]
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        SELECT m.id INTO maturity FROM billing_maturity m
         WHERE m.account_id = c.payee[c.quote] AND m.matures_at = billing_matures_of(c.id, c.matures_at);
        gross_left := CASE c.state WHEN 'posted' THEN
            kept_inputs[n] * c.price_in[c.quote] + kept_outputs[n] * c.price_out[c.quote] END;
        gross_back := 0;
        net_back := 0;
        status := CASE
            WHEN c.id IS NULL THEN 'missing'
            WHEN c.state <> 'posted' THEN 'not_posted'
            WHEN EXISTS (SELECT FROM billing_transfer t
                          WHERE t.id IN (billing_transfer_id(c.id, 3), billing_transfer_id(c.id, 4))) THEN 'already'
            WHEN gross_left = c.gross_nanos THEN 'nothing'
            WHEN EXISTS (SELECT FROM billing_dispute d WHERE d.charge = c.id AND d.state = 'open') THEN 'disputed'
            WHEN c.net_nanos > 0 AND maturity IS NULL AND NOT at_our_loss THEN 'released'
            ELSE 'reversed' END;
        IF status = 'reversed' THEN
            IF c.net_nanos > 0 AND maturity IS NULL THEN
                SELECT l.id INTO loss_account FROM billing_ledgeraccount l WHERE l.kind = 'platform_loss';
            ELSE
                loss_account := NULL;
            END IF;
            back := billing_give_back(c, gross_left, coalesce(loss_account, c.payee[c.quote]), reason, actor);
            gross_back := back.gross_back;
            net_back := back.net_back;
            IF loss_account IS NULL THEN
                DELETE FROM billing_maturity m WHERE m.id = maturity AND m.amount_nanos = net_back;
                UPDATE billing_maturity m
                   SET amount_nanos = m.amount_nanos - net_back, payable_nanos = m.payable_nanos - back.payable_back
                 WHERE m.id = maturity AND net_back > 0;
            ELSIF net_back > 0 THEN
                INSERT INTO billing_debt AS d (account_id, owed_nanos) VALUES (c.payee[c.quote], net_back)
                ON CONFLICT (account_id) DO UPDATE SET owed_nanos = d.owed_nanos + EXCLUDED.owed_nanos;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
"""

DISPUTE = """
-- Freeze what a hoster earned by a charge. `status` says
--     frozen      by this call (or nothing had to be: the platform itself served),
--     already     there is or was a dispute of it,
--     reversed    the charge was given back before,
--     nothing     it cost nothing,
--     late        the earning is released, or the window (of seconds since it was booked) is over,
--     not_posted  held or voided, or
--     missing     there is none of this payer.
CREATE FUNCTION billing_freeze(
    disputed uuid, payer bigint, window_s int,
    OUT status text, OUT payee bigint, OUT gross bigint, OUT net bigint
) LANGUAGE plpgsql AS $$
DECLARE
    c billing_charge;
    due billing_maturity;
    frozen bigint;
    t billing_transfer;
BEGIN
    SELECT * INTO c FROM billing_charge k WHERE k.id = disputed FOR UPDATE;
    SELECT * INTO due FROM billing_maturity m
     WHERE m.account_id = c.payee[c.quote] AND m.matures_at = billing_matures_of(c.id, c.matures_at) FOR UPDATE;
    payee := nullif(c.payee[c.quote], 0);
    gross := c.gross_nanos;
    net := c.net_nanos;
    status := CASE
        WHEN c.id IS NULL OR c.account_id <> payer THEN 'missing'
        WHEN c.state <> 'posted' THEN 'not_posted'
        WHEN c.gross_nanos = 0 THEN 'nothing'
        WHEN EXISTS (SELECT FROM billing_dispute d WHERE d.charge = c.id) THEN 'already'
        WHEN EXISTS (SELECT FROM billing_transfer r
                      WHERE r.id IN (billing_transfer_id(c.id, 3), billing_transfer_id(c.id, 4))) THEN 'reversed'
        WHEN c.settled_at + make_interval(secs => window_s) <= app_now() THEN 'late'
        WHEN c.net_nanos > 0 AND due.id IS NULL THEN 'late'
        ELSE 'frozen' END;
    IF status <> 'frozen' OR net = 0 THEN
        RETURN;
    END IF;
    INSERT INTO billing_ledgeraccount (kind, customer_id)
    SELECT 'hoster_disputed', p.customer_id FROM billing_ledgeraccount p WHERE p.id = c.payee[c.quote]
    ON CONFLICT DO NOTHING;
    SELECT f.id INTO frozen FROM billing_ledgeraccount f JOIN billing_ledgeraccount p USING (customer_id)
     WHERE f.kind = 'hoster_disputed' AND p.id = c.payee[c.quote];
    SELECT * INTO t FROM billing_transfer x WHERE x.id = billing_transfer_id(c.id, 1);
    INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge)
    VALUES (billing_transfer_id(c.id, 5), 'dispute', t.credit_id, frozen, t.amount_nanos, t.earned_nanos,
            t.bought_nanos, c.id);
    DELETE FROM billing_maturity m WHERE m.id = due.id AND m.amount_nanos = net;
    UPDATE billing_maturity m
       SET amount_nanos = m.amount_nanos - net, payable_nanos = m.payable_nanos - t.earned_nanos - t.bought_nanos
     WHERE m.id = due.id AND m.amount_nanos > net;
END $$;

-- Decide a dispute whose row is locked and open: upheld, both parts go back exactly; rejected, the earning is pending
-- again, until it would have matured or, when that is past, until the next sweep.
CREATE FUNCTION billing_decide(
    disputed uuid, upheld boolean, reason text, actor bigint, OUT gross_back bigint, OUT net_back bigint
) LANGUAGE plpgsql AS $$
DECLARE
    c billing_charge;
    t billing_transfer;
    back record;
BEGIN
    gross_back := 0;
    net_back := 0;
    SELECT * INTO c FROM billing_charge k WHERE k.id = disputed FOR UPDATE;
    SELECT * INTO t FROM billing_transfer x WHERE x.id = billing_transfer_id(c.id, 5);
    IF upheld THEN
        PERFORM 1 FROM billing_ledgeraccount a WHERE a.id = c.account_id FOR UPDATE;
        back := billing_give_back(c, 0, t.credit_id, reason, actor);
        gross_back := back.gross_back;
        net_back := back.net_back;
    ELSIF t.id IS NOT NULL THEN
        INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge,
                                      reason, actor_id)
        VALUES (billing_transfer_id(c.id, 6), 'verdict', t.credit_id, t.debit_id, t.amount_nanos, t.earned_nanos,
                t.bought_nanos, c.id, billing_decide.reason, actor);
        INSERT INTO billing_maturity AS m (account_id, matures_at, amount_nanos, payable_nanos)
        VALUES (t.debit_id, billing_matures_of(c.id, c.matures_at), t.amount_nanos, t.earned_nanos + t.bought_nanos)
        ON CONFLICT (account_id, matures_at) DO UPDATE
           SET amount_nanos = m.amount_nanos + EXCLUDED.amount_nanos,
               payable_nanos = m.payable_nanos + EXCLUDED.payable_nanos;
    END IF;
END $$;
"""

class Migration(migrations.Migration):
    dependencies = [("billing", "0004_cases"), ("accounts", "0003_weeks")]
    operations = [
        migrations.RunSQL(part) for part in (TABLES, WEEKS, GIVE_BACK, REVERSE, DISPUTE)
    ]
