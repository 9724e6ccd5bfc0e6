"""Where everything is that a hoster ever earned, to the nanodollar. Only reads.

    earned = pending + frozen + available + spent + in payout + paid out + reversed + kept back

Released earnings and other credit are one balance. What is left of the released is told by two rules: earned money is
only ever earned by hosting, and of promotional credit what was given is spent before what was earned.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

from accounts.models import Customer

LIFETIME = """
-- one customer: its accounts (billing_ledgeraccount_owner), what left its pending account (billing_releaseday_once: a
-- row for each day; billing_transfer_out: the few reversals), its maturities, open disputes and payouts
WITH own AS (
    SELECT max(a.id) FILTER (WHERE a.kind = 'hoster_pending') AS pending,
           max(a.id) FILTER (WHERE a.kind = 'hoster_disputed') AS disputed,
           max(a.posted_nanos - a.held_nanos) FILTER (WHERE a.kind = 'customer') AS spendable,
           max(a.earned_nanos) AS earned, max(a.posted_nanos - a.earned_nanos - a.bought_nanos) AS promotional
      FROM billing_ledgeraccount a WHERE a.customer_id = %(customer)s
), gone AS (
    SELECT coalesce(sum(r.released_nanos), 0) AS released, coalesce(sum(r.payable_nanos), 0) AS payable,
           coalesce(sum(r.kept_back_nanos), 0) AS kept_back,
           (SELECT coalesce(sum(t.amount_nanos), 0) FROM billing_transfer t, own
             WHERE t.debit_id = ANY (ARRAY[own.pending, own.disputed]) AND t.kind = 'refund') AS reversed
      FROM billing_releaseday r, own WHERE r.account_id = own.pending
), paid AS (
    SELECT coalesce(sum(p.amount_nanos) FILTER (WHERE p.state IN ('requested', 'approved')), 0) AS open,
           coalesce(sum(p.amount_nanos) FILTER (WHERE p.state = 'paid'), 0) AS paid
      FROM billing_payout p WHERE p.customer_id = %(customer)s
)
SELECT (SELECT coalesce(sum(m.amount_nanos), 0) FROM billing_maturity m WHERE m.account_id = own.pending)::bigint,
       (SELECT coalesce(sum(d.net_nanos), 0) FROM billing_dispute d
         WHERE d.payee_id = %(customer)s AND d.state = 'open')::bigint,
       (coalesce(own.earned, 0) + least(coalesce(own.promotional, 0), gone.released - gone.payable))::bigint,
       gone.released::bigint, paid.open::bigint, paid.paid::bigint, gone.reversed::bigint, gone.kept_back::bigint,
       (SELECT coalesce(sum(d.owed_nanos), 0) FROM billing_debt d WHERE d.account_id = own.pending)::bigint,
       (gone.released - gone.payable)::bigint, coalesce(own.spendable, 0)::bigint,
       (SELECT min(m.matures_at) FROM billing_maturity m WHERE m.account_id = own.pending)
  FROM own, gone, paid
"""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Nanodollars since the hoster's first request. owed is what later earnings will pay back first.

    promotional is the part of released that customers paid with credit that was given to them. spendable is the whole
    balance, with credit from elsewhere.
    """

    pending_nanos: int = 0
    frozen_nanos: int = 0
    available_nanos: int = 0
    released_nanos: int = 0
    in_payout_nanos: int = 0
    paid_out_nanos: int = 0
    reversed_nanos: int = 0
    kept_back_nanos: int = 0
    owed_nanos: int = 0
    promotional_nanos: int = 0
    spendable_nanos: int = 0
    next_release_at: dt.datetime | None = None

    @property
    def spent_nanos(self) -> int:
        """What is gone of the released, on requests."""
        return self.released_nanos - self.available_nanos - self.in_payout_nanos - self.paid_out_nanos

    @property
    def earned_nanos(self) -> int:
        return (
            self.pending_nanos
            + self.frozen_nanos
            + self.released_nanos
            + self.reversed_nanos
            + self.kept_back_nanos
        )


def of(customer: Customer) -> Lifetime:
    """In one snapshot; zeros for who never hosted."""
    with connection.cursor() as cursor:
        cursor.execute(LIFETIME, {"customer": customer.pk})
        return Lifetime(*cursor.fetchone())
