"""What must always be true of the books.

Each invariant is one statement that gives no row while it holds; a row is (what differs, how), in words and
nanodollars. They read whole tables and rely on no index; `billing.audit` runs them in one snapshot.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invariant:
    name: str
    sql: str


BALANCES = Invariant(
    "a customer's stored balance is the sum of its transfers",
    """
    SELECT 'account ' || a.id,
           format('stored posted %s, earned %s, bought %s; its transfers say %s, %s, %s',
                  a.posted_nanos, a.earned_nanos, a.bought_nanos,
                  coalesce(t.posted, 0), coalesce(t.earned, 0), coalesce(t.bought, 0))
      FROM billing_ledgeraccount a
      LEFT JOIN (SELECT account, sum(amount) AS posted, sum(earned) AS earned, sum(bought) AS bought
                   FROM (SELECT credit_id, amount_nanos, earned_nanos, bought_nanos FROM billing_transfer
                         UNION ALL
                         SELECT debit_id, -amount_nanos, -earned_nanos, -bought_nanos FROM billing_transfer)
                        AS side (account, amount, earned, bought) GROUP BY account) AS t ON t.account = a.id
     WHERE a.kind = 'customer' AND (a.posted_nanos, a.earned_nanos, a.bought_nanos)
           IS DISTINCT FROM (coalesce(t.posted, 0), coalesce(t.earned, 0), coalesce(t.bought, 0))
    """,
)
NOT_OVERDRAWN = Invariant(
    "no customer is overdrawn, and no part of a balance is negative",
    """
    SELECT 'account ' || a.id,
           format('posted %s, held %s, earned %s, bought %s',
                  a.posted_nanos, a.held_nanos, a.earned_nanos, a.bought_nanos)
      FROM billing_ledgeraccount a
     WHERE a.kind = 'customer' AND NOT coalesce(
           a.held_nanos >= 0 AND a.posted_nanos >= a.held_nanos
           AND a.earned_nanos >= 0 AND a.bought_nanos >= 0
           AND a.posted_nanos - a.earned_nanos - a.bought_nanos >= 0, false)
    """,
)
HELD = Invariant(
    "what a customer's account holds is the sum of its held charges",
    """
    SELECT 'account ' || a.id, format('holds %s; its held charges say %s', a.held_nanos, coalesce(c.held, 0))
      FROM billing_ledgeraccount a
      LEFT JOIN (SELECT account_id, sum(hold_nanos) AS held FROM billing_charge WHERE state = 'held'
                  GROUP BY account_id) AS c ON c.account_id = a.id
     WHERE a.kind = 'customer' AND a.held_nanos <> coalesce(c.held, 0)
    """,
)
# The transfers that posted charges must have, and no other charge may.
DUE_TRANSFERS = """
    due AS (
        SELECT billing_transfer_id(c.id, 1) AS id, 'charge' AS kind, c.account_id AS debit,
               c.payee[c.quote] AS credit, c.net_nanos AS amount, c.payable_nanos AS payable, c.id AS charge
          FROM billing_charge c WHERE c.state = 'posted' AND c.net_nanos > 0
        UNION ALL
        SELECT billing_transfer_id(c.id, 2), 'fee', c.account_id, f.id, c.fee_nanos, NULL, c.id
          FROM billing_charge c, billing_ledgeraccount f
         WHERE c.state = 'posted' AND c.fee_nanos > 0 AND f.kind = 'platform_fees'
    )
"""
BOOKED = Invariant(
    "every posted charge has exactly its transfers",
    f"""
    WITH {DUE_TRANSFERS}
    SELECT 'charge ' || d.charge,
           CASE WHEN t.id IS NULL THEN format('no %s transfer of %s', d.kind, d.amount)
                ELSE format('its %s transfer moves %s (earned %s, bought %s) from %s to %s, '
                            'not %s (paid for: %s) from %s to %s',
                            t.kind, t.amount_nanos, t.earned_nanos, t.bought_nanos, t.debit_id, t.credit_id,
                            d.amount, d.payable, d.debit, d.credit) END
      FROM due d LEFT JOIN billing_transfer t ON t.id = d.id
     WHERE (t.kind, t.debit_id, t.credit_id, t.amount_nanos, t.charge)
           IS DISTINCT FROM (d.kind, d.debit, d.credit, d.amount, d.charge)
        OR t.earned_nanos + t.bought_nanos <> d.payable
    """,
)
NOT_BOOKED_OTHERWISE = Invariant(
    "no charge has a transfer beside its own; held and voided ones have none",
    f"""
    WITH {DUE_TRANSFERS}
    SELECT 'transfer ' || t.id,
           format('%s of %s for charge %s, which is %s',
                  t.kind, t.amount_nanos, t.charge, coalesce(c.state, 'not there'))
      FROM billing_transfer t LEFT JOIN due d ON d.id = t.id LEFT JOIN billing_charge c ON c.id = t.charge
     WHERE t.kind IN ('charge', 'fee') AND d.id IS NULL
    """,
)
EXACT = Invariant(
    "a charge is tokens times the price at its start, fee and net add up to it, and the hold covers it",
    """
    SELECT 'charge ' || c.id,
           format('gross %s, fee %s, net %s, paid for %s, hold %s; %s + %s tokens at %s and %s',
                  c.gross_nanos, c.fee_nanos, c.net_nanos, c.payable_nanos, c.hold_nanos,
                  c.input_tokens, c.output_tokens, c.price_in[c.quote], c.price_out[c.quote])
      FROM billing_charge c
     WHERE c.state = 'posted' AND NOT coalesce(
           c.gross_nanos = c.input_tokens * c.price_in[c.quote] + c.output_tokens * c.price_out[c.quote]
           AND c.input_tokens BETWEEN 0 AND c.input_tokens_max
           AND c.output_tokens BETWEEN 0 AND c.output_tokens_max
           AND c.gross_nanos = c.fee_nanos + c.net_nanos AND c.gross_nanos BETWEEN 0 AND c.hold_nanos
           AND c.fee_nanos = CASE c.payee[c.quote] WHEN 0 THEN c.gross_nanos
                                                   ELSE c.gross_nanos * c.fee_bps / 10000 END
           AND c.payable_nanos BETWEEN 0 AND c.net_nanos
           AND (c.matures_at IS NULL) = (c.net_nanos = 0), false)
        OR c.state <> 'posted' AND coalesce(c.gross_nanos, c.fee_nanos, c.net_nanos, 0) <> 0
    """,
)
PAYER = Invariant(
    "a charge is paid by the customer whose key made the call",
    """
    SELECT 'charge ' || c.id,
           format('paid by account %s (customer %s), called with a key of customer %s',
                  c.account_id, a.customer_id, k.customer_id)
      FROM billing_charge c LEFT JOIN billing_ledgeraccount a ON a.id = c.account_id AND a.kind = 'customer'
      LEFT JOIN accounts_apikey k ON k.id = c.key_id
     WHERE a.customer_id IS DISTINCT FROM k.customer_id OR a.customer_id IS NULL
    """,
)
# What posted charges come to after their reversals; `payable` is what somebody had paid for of `net`. `matured` is what
# leaves the pending account at `matures_at`, whoever paid a refund after that; a frozen one waits for its verdict.
STANDING = """
    standing AS (
        SELECT c.id, c.key_id, c.spend_window, c.payee[c.quote] AS payee, c.fee_bps,
               coalesce(greatest(c.matures_at, date_bin('1 second', v.created_at + interval '1 second', 'epoch')),
                        c.matures_at) AS matures_at,
               d.charge IS NOT NULL AS frozen,
               c.gross_nanos - coalesce(b.net + b.fee, 0) AS gross, c.fee_nanos - coalesce(b.fee, 0) AS fee,
               c.net_nanos - coalesce(b.net, 0) AS net, c.payable_nanos - coalesce(b.payable, 0) AS payable,
               c.net_nanos - coalesce(b.net - b.lost, 0) AS matured
          FROM billing_charge c
          LEFT JOIN billing_transfer v ON v.id = billing_transfer_id(c.id, 6)
          LEFT JOIN billing_dispute d ON d.charge = c.id AND d.state = 'open'
          LEFT JOIN (SELECT charge,
                            coalesce(sum(amount_nanos) FILTER (WHERE tag = 3), 0) AS net,
                            coalesce(sum(earned_nanos + bought_nanos) FILTER (WHERE tag = 3), 0) AS payable,
                            coalesce(sum(amount_nanos) FILTER (WHERE tag = 4), 0) AS fee,
                            coalesce(sum(amount_nanos) FILTER (WHERE tag = 3 AND lost), 0) AS lost
                       FROM (SELECT t.*, get_byte(uuid_send(t.id), 15) AS tag, l.kind = 'platform_loss' AS lost
                               FROM billing_transfer t JOIN billing_ledgeraccount l ON l.id = t.debit_id
                              WHERE t.kind = 'refund') AS refund
                      GROUP BY charge) AS b ON b.charge = c.id
         WHERE c.state = 'posted'
    )
"""
REVERSED = Invariant(
    "a refund is a part of one transfer of its charge, from who must give it back, earned money first",
    """
    SELECT 'transfer ' || r.id,
           format('%s (earned %s, bought %s) from %s to %s for charge %s; what it gives back moved %s',
                  r.amount_nanos, r.earned_nanos, r.bought_nanos, r.debit_id, r.credit_id, r.charge,
                  coalesce(format('%s (earned %s, bought %s) from %s to %s', t.amount_nanos, t.earned_nanos,
                                  t.bought_nanos, t.debit_id, t.credit_id), 'nothing'))
      FROM billing_transfer r
      LEFT JOIN billing_transfer t ON t.id = CASE r.id
                WHEN billing_transfer_id(r.charge, 3) THEN billing_transfer_id(r.charge, 1)
                WHEN billing_transfer_id(r.charge, 4) THEN billing_transfer_id(r.charge, 2) END
      LEFT JOIN billing_ledgeraccount p ON p.id = t.credit_id
      LEFT JOIN billing_ledgeraccount s ON s.id = r.debit_id
     WHERE r.kind = 'refund' AND NOT coalesce(
           r.credit_id = t.debit_id AND r.amount_nanos <= t.amount_nanos
           AND (r.debit_id = t.credit_id OR t.kind = 'charge' AND (s.kind = 'platform_loss'
                OR s.kind = 'hoster_disputed' AND s.customer_id = p.customer_id))
           AND r.earned_nanos = least(r.amount_nanos, t.earned_nanos)
           AND r.bought_nanos = least(r.amount_nanos - r.earned_nanos, t.bought_nanos), false)
    """,
)
SPLIT = Invariant(
    "what stays of a reversed charge is split like any charge",
    f"""
    WITH {STANDING}
    SELECT 'charge ' || s.id, format('gross %s, fee %s, net %s are left', s.gross, s.fee, s.net)
      FROM standing s
     WHERE s.fee <> CASE s.payee WHEN 0 THEN s.gross ELSE div(s.gross * s.fee_bps, 10000) END
        OR s.payable NOT BETWEEN 0 AND s.net
    """,
)
DIRECTIONS = Invariant(
    "money moves only between the kinds of accounts that its transfer allows",
    """
    SELECT 'transfer ' || t.id,
           format('%s of %s from %s %s to %s %s', t.kind, t.amount_nanos, d.kind, d.id, c.kind, c.id)
      FROM billing_transfer t
      JOIN billing_ledgeraccount d ON d.id = t.debit_id JOIN billing_ledgeraccount c ON c.id = t.credit_id
     WHERE (t.kind, d.kind, c.kind) NOT IN (
            ('grant', 'platform_promotions', 'customer'), ('sale', 'platform_sales', 'customer'),
            ('charge', 'customer', 'hoster_pending'), ('fee', 'customer', 'platform_fees'),
            ('release', 'hoster_pending', 'customer'),
            ('refund', 'hoster_pending', 'customer'), ('refund', 'platform_fees', 'customer'),
            ('refund', 'hoster_disputed', 'customer'), ('refund', 'platform_loss', 'customer'),
            ('dispute', 'hoster_pending', 'hoster_disputed'), ('verdict', 'hoster_disputed', 'hoster_pending'),
            ('recovery', 'hoster_pending', 'platform_loss'),
            ('payout', 'customer', 'platform_payouts'), ('return', 'platform_payouts', 'customer'),
            ('return', 'platform_paid', 'customer'), ('paid', 'platform_payouts', 'platform_paid'),
            ('clawback', 'customer', 'platform_sales'), ('clawback', 'platform_loss', 'platform_sales'))
        OR t.kind IN ('release', 'dispute', 'verdict') AND d.customer_id IS DISTINCT FROM c.customer_id
        OR t.amount_nanos <= 0 OR t.earned_nanos < 0 OR t.bought_nanos < 0
        OR t.earned_nanos + t.bought_nanos > t.amount_nanos
    """,
)
PENDING = Invariant(
    "a hoster's pending money is the sum of its maturities",
    """
    SELECT 'account ' || a.id,
           format('transfers leave %s (paid for: %s); maturities say %s (%s)',
                  coalesce(t.amount, 0), coalesce(t.payable, 0),
                  coalesce(m.amount, 0), coalesce(m.payable, 0))
      FROM billing_ledgeraccount a
      LEFT JOIN (SELECT account, sum(amount) AS amount, sum(payable) AS payable
                   FROM (SELECT credit_id, amount_nanos, earned_nanos + bought_nanos FROM billing_transfer
                         UNION ALL
                         SELECT debit_id, -amount_nanos, -earned_nanos - bought_nanos FROM billing_transfer)
                        AS side (account, amount, payable) GROUP BY account) AS t ON t.account = a.id
      LEFT JOIN (SELECT account_id, sum(amount_nanos) AS amount, sum(payable_nanos) AS payable
                   FROM billing_maturity GROUP BY account_id) AS m ON m.account_id = a.id
     WHERE a.kind = 'hoster_pending' AND (coalesce(t.amount, 0), coalesce(t.payable, 0))
           IS DISTINCT FROM (coalesce(m.amount, 0), coalesce(m.payable, 0))
    """,
)
MATURITIES = Invariant(
    "a maturity is the sum of what stays of the charges of its minute",
    f"""
    WITH {STANDING}
    SELECT 'account ' || m.account_id,
           format('at %s: %s (paid for: %s); its charges say %s (%s)',
                  m.matures_at, m.amount_nanos, m.payable_nanos, coalesce(c.net, 0), coalesce(c.payable, 0))
      FROM billing_maturity m
      LEFT JOIN (SELECT payee, matures_at, sum(net) AS net, sum(payable) AS payable FROM standing
                  WHERE matures_at IS NOT NULL AND NOT frozen GROUP BY payee, matures_at) AS c
             ON c.payee = m.account_id AND c.matures_at = m.matures_at
     WHERE (m.amount_nanos, m.payable_nanos) IS DISTINCT FROM (coalesce(c.net, 0), coalesce(c.payable, 0))
    """,
)
NOT_EARLY = Invariant(
    "nothing was released before it matured",
    f"""
    WITH {STANDING}
    SELECT 'account ' || e.account,
           format('at %s it had released %s more than had matured', e.at, -min(e.rest))
      FROM (SELECT account, at, sum(amount) OVER (PARTITION BY account ORDER BY at, amount DESC) AS rest
              FROM (SELECT payee, matures_at, matured FROM standing WHERE matures_at IS NOT NULL AND NOT frozen
                    UNION ALL
                    SELECT debit_id, created_at, -amount_nanos FROM billing_transfer
                     WHERE kind IN ('release', 'recovery'))
                   AS event (account, at, amount)) AS e
     WHERE e.rest < 0 GROUP BY e.account, e.at
    """,
)
NOT_OVERDUE = Invariant(
    "no earning waits longer than 15 minutes after it matured",
    """
    SELECT 'account ' || m.account_id, format('%s nanodollars since %s', m.amount_nanos, m.matures_at)
      FROM billing_maturity m WHERE m.matures_at < app_now() - interval '15 minutes'
    """,
)
NO_STALE_HOLD = Invariant(
    "no hold is open 2 minutes after it expired",
    """
    SELECT 'charge ' || c.id,
           format('holds %s of account %s, expired at %s', c.hold_nanos, c.account_id, c.expires_at)
      FROM billing_charge c WHERE c.state = 'held' AND c.expires_at < app_now() - interval '2 minutes'
    """,
)
SPEND_WINDOWS = Invariant(
    "what a key has spent and holds in a period is the sum of what stays of its charges",
    f"""
    WITH {STANDING}
    SELECT 'key ' || coalesce(w.key_id, c.key_id),
           format('from %s: spent %s, holds %s; its charges say %s, %s',
                  coalesce(w.starts_at, c.spend_window), w.spent_nanos, w.held_nanos,
                  coalesce(c.spent, 0), coalesce(c.held, 0))
      FROM billing_spendwindow w
      FULL JOIN (SELECT key_id, spend_window, sum(s.gross) AS spent,
                        sum(c.hold_nanos) FILTER (WHERE c.state = 'held') AS held
                   FROM billing_charge c LEFT JOIN standing s USING (id, key_id, spend_window)
                  WHERE spend_window IS NOT NULL GROUP BY key_id, spend_window) AS c
             ON c.key_id = w.key_id AND c.spend_window = w.starts_at
     WHERE (w.spent_nanos, w.held_nanos) IS DISTINCT FROM (coalesce(c.spent, 0), coalesce(c.held, 0))
    """,
)
FEES = Invariant(
    "the platform earned the fees of what stays of the posted charges, nothing else",
    f"""
    WITH {STANDING}
    SELECT 'account ' || a.id, format('transfers say %s, charges say %s', t.amount, c.fees)
      FROM billing_ledgeraccount a,
           (SELECT coalesce(sum(fee), 0) AS fees FROM standing) AS c,
   LATERAL (SELECT coalesce(sum(amount_nanos) FILTER (WHERE credit_id = a.id), 0)
                   - coalesce(sum(amount_nanos) FILTER (WHERE debit_id = a.id), 0) AS amount
              FROM billing_transfer WHERE a.id IN (credit_id, debit_id)) AS t
     WHERE a.kind = 'platform_fees' AND t.amount <> c.fees
    """,
)
GUARDS = Invariant(
    "the triggers, functions and constraints that keep the books are in place",
    """
    SELECT 'trigger ' || g.name, 'missing or disabled on ' || g.relation
      FROM (VALUES ('billing_transfer_append_only', 'billing_transfer'),
                   ('billing_transfer_no_truncate', 'billing_transfer'),
                   ('billing_charge_no_delete', 'billing_charge'),
                   ('billing_charge_no_truncate', 'billing_charge'),
                   ('billing_charge_settles_once', 'billing_charge'),
                   ('billing_transfer_accounts', 'billing_transfer'),
                   ('billing_charge_owners', 'billing_charge'),
                   ('billing_ledgeraccount_stays', 'billing_ledgeraccount'),
                   ('billing_ledgeraccount_month', 'billing_ledgeraccount'),
                   ('billing_apikey_stays', 'accounts_apikey')) AS g (name, relation)
     WHERE NOT EXISTS (SELECT 1 FROM pg_trigger t
                        WHERE t.tgname = g.name AND t.tgrelid = to_regclass(g.relation)
                          AND t.tgenabled IN ('O', 'A'))
    UNION ALL
    SELECT 'trigger ' || t.tgname, 'disabled on ' || t.tgrelid::regclass
      FROM pg_trigger t WHERE t.tgparentid <> 0 AND t.tgname LIKE 'billing\\_%'
        AND t.tgenabled NOT IN ('O', 'A')
    UNION ALL
    SELECT 'function ' || g.name, 'missing'
      FROM unnest(ARRAY['app_now', 'billing_refuse', 'billing_transfer_id', 'billing_matures_at',
                        'billing_spend_window', 'billing_hold', 'billing_settle', 'billing_release', 'billing_reverse',
                        'billing_matures_of', 'billing_give_back', 'billing_freeze', 'billing_decide',
                        'billing_open_month'])
           AS g (name)
     WHERE NOT EXISTS (SELECT 1 FROM pg_proc p WHERE p.proname = g.name AND pg_function_is_visible(p.oid))
    UNION ALL
    SELECT 'constraint ' || g.name, 'missing or not validated on ' || g.relation
      FROM (VALUES ('billing_ledgeraccount_owner', 'billing_ledgeraccount'),
                   ('billing_ledgeraccount_has_owner', 'billing_ledgeraccount'),
                   ('billing_ledgeraccount_stores_balance', 'billing_ledgeraccount'),
                   ('billing_ledgeraccount_not_overdrawn', 'billing_ledgeraccount'),
                   ('billing_transfer_pkey', 'billing_transfer'),
                   ('billing_transfer_two_accounts', 'billing_transfer'),
                   ('billing_transfer_parts', 'billing_transfer'),
                   ('billing_charge_pkey', 'billing_charge'),
                   ('billing_charge_held_is_open', 'billing_charge'),
                   ('billing_charge_posted_is_exact', 'billing_charge'),
                   ('billing_maturity_once', 'billing_maturity'),
                   ('billing_maturity_amounts', 'billing_maturity'),
                   ('billing_spendwindow_once', 'billing_spendwindow'),
                   ('billing_transfer_kind_check', 'billing_transfer'),
                   ('billing_transfer_of_charge', 'billing_transfer'),
                   ('billing_debt_not_negative', 'billing_debt'),
                   ('billing_payout_closed', 'billing_payout'),
                   ('billing_payout_two_people', 'billing_payout'),
                   ('billing_topup_amounts', 'billing_topup')) AS g (name, relation)
     WHERE NOT EXISTS (SELECT 1 FROM pg_constraint c
                        WHERE c.conname = g.name AND c.conrelid = to_regclass(g.relation) AND c.convalidated)
    """,
)

INVARIANTS = (
    BALANCES, NOT_OVERDRAWN, HELD, BOOKED, NOT_BOOKED_OTHERWISE, EXACT, PAYER, REVERSED, SPLIT, DIRECTIONS,
    PENDING, MATURITIES, NOT_EARLY, NOT_OVERDUE, NO_STALE_HOLD, SPEND_WINDOWS, FEES, GUARDS,
)  # fmt: skip
