"""What must always be true of what statements are read from; in the form of `billing.invariants`."""

from billing.invariants import Invariant

OPENINGS = Invariant(
    "a customer's opening balance of a month is the sum of all its transfers before",
    """
    WITH moved AS MATERIALIZED (
        SELECT s.account, date_trunc('month', s.created_at, 'UTC') AS month, sum(s.amount) AS posted,
               sum(s.earned) AS earned, sum(s.bought) AS bought
          FROM (SELECT credit_id, created_at, amount_nanos, earned_nanos, bought_nanos FROM billing_transfer
                UNION ALL
                SELECT debit_id, created_at, -amount_nanos, -earned_nanos, -bought_nanos FROM billing_transfer)
               AS s (account, created_at, amount, earned, bought)
          JOIN billing_ledgeraccount a ON a.id = s.account AND a.kind = 'customer'
         GROUP BY 1, 2
    )
    SELECT 'account ' || o.account_id,
           format('at %s posted %s, earned %s, bought %s; its transfers say %s, %s, %s', o.starts_at, o.posted_nanos,
                  o.earned_nanos, o.bought_nanos, coalesce(sum(m.posted), 0), coalesce(sum(m.earned), 0),
                  coalesce(sum(m.bought), 0))
      FROM billing_openingbalance o LEFT JOIN moved m ON m.account = o.account_id AND m.month < o.starts_at
     GROUP BY o.id
    HAVING (o.posted_nanos, o.earned_nanos, o.bought_nanos)
           IS DISTINCT FROM (coalesce(sum(m.posted), 0), coalesce(sum(m.earned), 0), coalesce(sum(m.bought), 0))
    UNION ALL
    SELECT 'account ' || m.account, format('no opening balance of %s', m.month)
      FROM moved m LEFT JOIN billing_openingbalance o ON o.account_id = m.account AND o.starts_at = m.month
     WHERE o.id IS NULL
    """,
)
RELEASES = Invariant(
    "what a hoster was released on a day is the sum of its releases",
    """
    SELECT 'account ' || coalesce(r.account_id, t.account),
           format('on %s stored %s, %s, %s, %s; its transfers say %s, %s, %s, %s', coalesce(r.starts_at, t.day),
                  r.releases, r.released_nanos, r.payable_nanos, r.kept_back_nanos,
                  t.releases, t.released, t.payable, t.kept_back)
      FROM billing_releaseday r
      FULL JOIN (SELECT debit_id AS account, date_trunc('day', created_at, 'UTC') AS day,
                        count(*) FILTER (WHERE kind = 'release') AS releases,
                        coalesce(sum(amount_nanos) FILTER (WHERE kind = 'release'), 0) AS released,
                        coalesce(sum(earned_nanos) FILTER (WHERE kind = 'release'), 0) AS payable,
                        coalesce(sum(amount_nanos) FILTER (WHERE kind = 'recovery'), 0) AS kept_back
                   FROM billing_transfer WHERE kind IN ('release', 'recovery') GROUP BY 1, 2) AS t
        ON t.account = r.account_id AND t.day = r.starts_at
     WHERE (r.releases, r.released_nanos, r.payable_nanos, r.kept_back_nanos)
           IS DISTINCT FROM (t.releases, t.released, t.payable, t.kept_back)
    """,
)

INVARIANTS = (OPENINGS, RELEASES)
