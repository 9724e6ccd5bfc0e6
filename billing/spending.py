"""What keys with a spending limit have spent of it in the running day, month or in all. Only reads; nanodollars."""

from dataclasses import dataclass

from django.db import connection

from accounts.models import Customer

SPENT = """
-- the customer's keys (a hundred or so), and of each at most one row of billing_spendwindow_once (key, start)
SELECT k.id, coalesce(w.spent_nanos, 0), coalesce(w.held_nanos, 0) FROM accounts_apikey k
  LEFT JOIN billing_spendwindow w ON w.key_id = k.id AND w.starts_at = billing_spend_window(k.spend_period)
 WHERE k.customer_id = %(customer)s AND k.revoked_at IS NULL AND k.spend_limit_nanos IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """held is reserved for requests that run now, and counts against the limit too."""

    spent_nanos: int = 0
    held_nanos: int = 0

    @property
    def used_nanos(self) -> int:
        return self.spent_nanos + self.held_nanos


def by_key(customer: Customer) -> dict[int, Spent]:
    """Of each key in use that has a limit, by the key's id."""
    with connection.cursor() as cursor:
        cursor.execute(SPENT, {"customer": customer.pk})
        return {key: Spent(spent, held) for key, spent, held in cursor.fetchall()}
