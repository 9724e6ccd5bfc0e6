"""`billing_reverse`, which gives posted charges back, and the index by which a hoster's reversals are found."""

from django.db import migrations

REVERSE = """
-- Give back charges whose earning is still pending: all of each, or down to the tokens that the customer keeps paying
-- for. Answers are rows in the order of `ids`, nanodollars given back by this call; `status` says
--     reversed    by this call,
--     already     by an earlier one: a charge is reversed once, whatever the reason,
--     nothing     no money would come back: it was free, or all of its tokens are kept,
--     released    the earning is the hoster's to spend by now: nothing moves,
--     not_posted  held or voided, or
--     missing.
-- To keep more than was billed is the caller's error: it refuses the whole call.
CREATE FUNCTION billing_reverse(
    ids uuid[], kept_inputs bigint[], kept_outputs bigint[], reason text, actor bigint
) RETURNS TABLE (status text, gross_back bigint, net_back bigint) LANGUAGE plpgsql AS $$
DECLARE
    c billing_charge;
    maturity bigint;
    gross_left bigint;    -- what the customer keeps paying
    fee_left bigint;
    earned_back bigint;   -- the part of gross_back that is earned money
    bought_back bigint;
    payable_back bigint;  -- the part of net_back that somebody had paid for
BEGIN
    -- Charges, accounts, spend windows (their accounts' locks keep them), maturities in the order in which
    -- billing_settle writes them. billing_release waits for none of these maturities, it skips them: what it took
    -- first is gone here, and what is locked here it takes later, and smaller.
    PERFORM 1 FROM billing_charge k WHERE k.id = ANY (ids) ORDER BY k.id FOR UPDATE;
    PERFORM 1 FROM billing_ledgeraccount a
      WHERE a.id IN (SELECT k.account_id FROM billing_charge k WHERE k.id = ANY (ids)) ORDER BY a.id FOR UPDATE;
    PERFORM 1 FROM billing_maturity m
      WHERE (m.account_id, m.matures_at) IN (
            SELECT k.payee[k.quote], k.matures_at FROM billing_charge k WHERE k.id = ANY (ids))
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
         WHERE m.account_id = c.payee[c.quote] AND m.matures_at = c.matures_at;
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
            WHEN c.net_nanos > 0 AND maturity IS NULL THEN 'released'
            ELSE 'reversed' END;
        IF status = 'reversed' THEN
            -- What stays is split as if no more had ever been charged. Either part comes back the way it went, and
            -- in the opposite order of spending: earned money first, then bought, then promotional.
            fee_left := CASE c.payee[c.quote] WHEN 0 THEN gross_left ELSE gross_left * c.fee_bps / 10000 END;
            gross_back := c.gross_nanos - gross_left;
            net_back := gross_back - (c.fee_nanos - fee_left);
            WITH given AS (
                INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos,
                                              charge, reason, actor_id)
                SELECT billing_transfer_id(c.id, part.tag + 2), 'refund', t.credit_id, t.debit_id, part.back,
                       least(part.back, t.earned_nanos),
                       least(greatest(part.back - t.earned_nanos, 0), t.bought_nanos),
                       c.id, billing_reverse.reason, actor
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
            DELETE FROM billing_maturity m WHERE m.id = maturity AND m.amount_nanos = net_back;
            UPDATE billing_maturity m
               SET amount_nanos = m.amount_nanos - net_back, payable_nanos = m.payable_nanos - payable_back
             WHERE m.id = maturity AND net_back > 0;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE INDEX billing_transfer_refund ON billing_transfer (debit_id, created_at) WHERE kind = 'refund';
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_books")]
    operations = [migrations.RunSQL(REVERSE)]
