"""What must always be true of disputes, debts, payouts and top-ups; in the form of `billing.invariants`."""

from billing.invariants import Invariant

FROZEN = Invariant(
    "a hoster's frozen money is the sum of its open disputes",
    """
    SELECT 'account ' || a.id,
           format('transfers leave %s, open disputes say %s', coalesce(t.amount, 0), coalesce(d.net, 0))
      FROM billing_ledgeraccount a
      LEFT JOIN (SELECT account, sum(amount) AS amount
                   FROM (SELECT credit_id, amount_nanos FROM billing_transfer
                         UNION ALL
                         SELECT debit_id, -amount_nanos FROM billing_transfer) AS side (account, amount)
                  GROUP BY account) AS t ON t.account = a.id
      LEFT JOIN (SELECT payee_id, sum(net_nanos) AS net FROM billing_dispute WHERE state = 'open' GROUP BY payee_id)
                AS d ON d.payee_id = a.customer_id
     WHERE a.kind = 'hoster_disputed' AND coalesce(t.amount, 0) <> coalesce(d.net, 0)
    """,
)
DECIDED = Invariant(
    "a dispute of a charge moved what its state says",
    """
    SELECT 'dispute ' || d.id,
           format('%s, gross %s, net %s; charge %s, %s; frozen %s, pending again %s, given back %s', d.state,
                  d.gross_nanos, d.net_nanos, c.gross_nanos, c.net_nanos, f.amount_nanos, v.amount_nanos, r.back)
      FROM billing_dispute d LEFT JOIN billing_charge c ON c.id = d.charge AND c.state = 'posted'
      LEFT JOIN billing_ledgeraccount a ON a.id = c.account_id
      LEFT JOIN billing_transfer f ON f.id = billing_transfer_id(d.charge, 5)
      LEFT JOIN billing_transfer v ON v.id = billing_transfer_id(d.charge, 6),
   LATERAL (SELECT sum(t.amount_nanos) AS back FROM billing_transfer t
             WHERE t.id IN (billing_transfer_id(d.charge, 3), billing_transfer_id(d.charge, 4))) AS r
     WHERE NOT coalesce(
           (d.gross_nanos, d.net_nanos, d.customer_id) = (c.gross_nanos, c.net_nanos, a.customer_id)
           AND coalesce(f.amount_nanos, 0) = d.net_nanos
           AND CASE d.state WHEN 'open' THEN v.id IS NULL AND r.back IS NULL
                            WHEN 'upheld' THEN v.id IS NULL AND r.back = d.gross_nanos
                            ELSE coalesce(v.amount_nanos, 0) = d.net_nanos END, false)
    """,
)
DEBTS = Invariant(
    "a hoster owes what was given back at our loss and not kept back yet",
    """
    SELECT 'account ' || coalesce(b.account_id, l.payee),
           format('owes %s; refunds at our loss less recoveries are %s', b.owed_nanos, coalesce(l.owed, 0))
      FROM billing_debt b
      FULL JOIN (SELECT payee, sum(amount) AS owed
                   FROM (SELECT c.payee[c.quote], t.amount_nanos FROM billing_transfer t
                           JOIN billing_ledgeraccount a ON a.id = t.debit_id AND a.kind = 'platform_loss'
                           JOIN billing_charge c ON c.id = t.charge WHERE t.kind = 'refund'
                         UNION ALL
                         SELECT t.debit_id, -t.amount_nanos FROM billing_transfer t WHERE t.kind = 'recovery')
                        AS side (payee, amount) GROUP BY payee) AS l ON l.payee = b.account_id
     WHERE b.owed_nanos IS DISTINCT FROM l.owed
    """,
)
PAYOUTS = Invariant(
    "a payout's money is where its state says: on its way, paid or back",
    """
    SELECT 'payout ' || p.id,
           format('%s of %s; on its way %s, paid %s', p.state, p.amount_nanos, coalesce(t.way, 0), coalesce(t.paid, 0))
      FROM billing_payout p
      LEFT JOIN (SELECT x.payout, sum(x.sign * x.amount) FILTER (WHERE x.kind = 'platform_payouts') AS way,
                        sum(x.sign * x.amount) FILTER (WHERE x.kind = 'platform_paid') AS paid
                   FROM (SELECT t.reason AS payout, a.kind, 1 AS sign, t.amount_nanos AS amount FROM billing_transfer t
                           JOIN billing_ledgeraccount a ON a.id = t.credit_id WHERE t.kind IN ('payout', 'paid')
                         UNION ALL
                         SELECT t.reason, a.kind, -1, t.amount_nanos FROM billing_transfer t
                           JOIN billing_ledgeraccount a ON a.id = t.debit_id WHERE t.kind IN ('paid', 'return')) AS x
                  GROUP BY x.payout) AS t ON t.payout = 'payout ' || p.id
     WHERE coalesce(t.way, 0) <> CASE WHEN p.state IN ('requested', 'approved') THEN p.amount_nanos ELSE 0 END
        OR coalesce(t.paid, 0) <> CASE p.state WHEN 'paid' THEN p.amount_nanos ELSE 0 END
    """,
)
CASH = Invariant(
    "only earned money is paid out, and no more is on its way or paid than payouts say",
    """
    SELECT 'account ' || a.id, format('transfers leave %s, payouts say %s', t.amount, p.amount)
      FROM billing_ledgeraccount a,
   LATERAL (SELECT coalesce(sum(amount_nanos) FILTER (WHERE credit_id = a.id), 0)
                   - coalesce(sum(amount_nanos) FILTER (WHERE debit_id = a.id), 0) AS amount
              FROM billing_transfer WHERE kind IN ('payout', 'paid', 'return')) AS t,
   LATERAL (SELECT coalesce(sum(amount_nanos), 0) AS amount FROM billing_payout
             WHERE state = ANY (CASE a.kind WHEN 'platform_paid' THEN '{paid}' ELSE '{requested,approved}' END::text[])
           ) AS p
     WHERE a.kind IN ('platform_payouts', 'platform_paid') AND t.amount <> p.amount
    UNION ALL
    SELECT 'transfer ' || t.id, format('%s of %s moves %s of earned money', t.kind, t.amount_nanos, t.earned_nanos)
      FROM billing_transfer t WHERE t.kind IN ('payout', 'return', 'paid') AND t.earned_nanos <> t.amount_nanos
    """,
)
TOPUPS = Invariant(
    "a top-up that was paid is booked once, and what was taken back of it too",
    """
    SELECT 'top-up ' || u.id,
           format('%s of %s, taken back %s; sold %s, clawed back %s', u.state, u.amount_nanos, u.taken_back_nanos,
                  coalesce(t.sold, 0), coalesce(t.back, 0))
      FROM billing_topup u
      LEFT JOIN (SELECT reason, sum(amount_nanos) FILTER (WHERE kind = 'sale') AS sold,
                        sum(amount_nanos) FILTER (WHERE kind = 'clawback') AS back
                   FROM billing_transfer WHERE kind IN ('sale', 'clawback') AND reason LIKE 'top-up %'
                  GROUP BY reason) AS t ON t.reason = 'top-up ' || u.id
     WHERE coalesce(t.sold, 0) <> CASE u.state WHEN 'paid' THEN u.amount_nanos ELSE 0 END
        OR coalesce(t.back, 0) <> u.taken_back_nanos
    """,
)

INVARIANTS = (FROZEN, DECIDED, DEBTS, PAYOUTS, CASH, TOPUPS)
