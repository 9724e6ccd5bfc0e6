"""A customer's balance at the start of calendar months, as the database kept it: no sum over history."""

import datetime as dt
from dataclasses import dataclass

from django.db import connection

from accounts.models import Customer
from billing.balances import Balance
from billing.models import LedgerAccount, OpeningBalance
from billing.months import Month

ROWS = """
-- one account (customer, kind) and its rows of billing_openingbalance_once (account, starts_at), one a month
SELECT o.starts_at, o.posted_nanos, o.earned_nanos, o.bought_nanos
  FROM billing_openingbalance o WHERE o.account_id = %(account)s AND o.starts_at >= %(since)s
UNION ALL
SELECT NULL, a.posted_nanos, a.earned_nanos, a.bought_nanos FROM billing_ledgeraccount a WHERE a.id = %(account)s
 ORDER BY 1 NULLS LAST
"""


@dataclass(frozen=True, slots=True)
class Openings:
    """kept: balances at the start of months, oldest first; now: after everything that was booked."""

    kept: tuple[tuple[dt.datetime, Balance], ...]
    now: Balance

    def at(self, start: dt.datetime) -> Balance:
        """The balance at the start of a month: that of the next booking's month, since none came between."""
        return next((balance for starts_at, balance in self.kept if starts_at >= start), self.now)


def since(account_id: int, start: dt.datetime) -> Openings:
    """Those of a customer's account at the start of this month and of later ones; zeros without an account."""
    with connection.cursor() as cursor:
        cursor.execute(ROWS, {"account": account_id, "since": start})
        found = [(row[0], Balance(row[1], 0, row[2], row[3])) for row in cursor.fetchall()]
    return Openings(tuple(found[:-1]), found[-1][1] if found else Balance())


def first_month(customer: Customer) -> Month | None:
    """The month of the customer's first booking; None before it."""
    account = customer.ledger_accounts.filter(kind=LedgerAccount.Kind.CUSTOMER)
    first = OpeningBalance.objects.filter(account__in=account).order_by("starts_at").first()
    return Month.of(first.starts_at) if first else None
