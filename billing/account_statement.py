"""What one ledger account was at the start of a period, every transfer in it, and what it was at the end."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection

from billing.models import LedgerAccount

PAGE_ROWS = 100

TOTALS = """
-- billing_transfer_debit, billing_transfer_credit
SELECT coalesce(sum(amount) FILTER (WHERE created_at < %(start)s), 0)::bigint,
       coalesce(sum(amount) FILTER (WHERE created_at >= %(start)s AND amount > 0), 0)::bigint,
       coalesce(-sum(amount) FILTER (WHERE created_at >= %(start)s AND amount < 0), 0)::bigint,
       count(*) FILTER (WHERE created_at >= %(start)s)
  FROM (SELECT created_at, amount_nanos AS amount FROM billing_transfer
         WHERE credit_id = %(account)s AND created_at < %(end)s
        UNION ALL
        SELECT created_at, -amount_nanos FROM billing_transfer
         WHERE debit_id = %(account)s AND created_at < %(end)s) AS moved
"""
ENTRIES = """
-- billing_transfer_debit, billing_transfer_credit
SELECT e.id, e.created_at, e.kind, e.amount, e.charge, e.reason, other.id, other.kind, u.email,
       (%(opening)s + sum(e.amount) OVER (ORDER BY e.created_at, e.id))::bigint
  FROM (SELECT id, created_at, kind, amount_nanos AS amount, charge, reason, debit_id AS other FROM billing_transfer
         WHERE credit_id = %(account)s AND created_at >= %(start)s AND created_at < %(end)s
        UNION ALL
        SELECT id, created_at, kind, -amount_nanos, charge, reason, credit_id FROM billing_transfer
         WHERE debit_id = %(account)s AND created_at >= %(start)s AND created_at < %(end)s) AS e
  JOIN billing_ledgeraccount other ON other.id = e.other
  LEFT JOIN accounts_customer c ON c.id = other.customer_id LEFT JOIN accounts_user u ON u.id = c.user_id
 ORDER BY e.created_at, e.id LIMIT %(rows)s OFFSET %(skipped)s
"""
AFTER = """
-- the next rows of one account in the order of (created_at, id), from a range of billing_transfer_credit and one of
-- billing_transfer_debit (account, created_at)
SELECT * FROM (
    (SELECT id, created_at, kind, amount_nanos AS amount, earned_nanos AS earned, bought_nanos AS bought, charge, reason
       FROM billing_transfer
      WHERE credit_id = %(account)s AND created_at >= %(at)s AND created_at < %(until)s
        AND (created_at, id) > (%(at)s, %(after)s) ORDER BY created_at, id LIMIT %(rows)s)
    UNION ALL
    (SELECT id, created_at, kind, -amount_nanos, -earned_nanos, -bought_nanos, charge, reason FROM billing_transfer
      WHERE debit_id = %(account)s AND created_at >= %(at)s AND created_at < %(until)s
        AND (created_at, id) > (%(at)s, %(after)s) ORDER BY created_at, id LIMIT %(rows)s)
) AS page ORDER BY created_at, id LIMIT %(rows)s
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A transfer as this account sees it: the amount is negative when it went out."""

    transfer: uuid.UUID
    at: dt.datetime
    kind: str
    amount_nanos: int
    charge: uuid.UUID | None
    reason: str
    other: int
    other_kind: str
    other_email: str | None
    balance_nanos: int

    @property
    def other_words(self) -> str:
        """The account on the other side, as people call it."""
        return self.other_email or LedgerAccount.Kind(self.other_kind).label


@dataclass(frozen=True, slots=True)
class Statement:
    """From start (included) to end (excluded): opening + received − sent = closing. Entries are those of one page."""

    start: dt.datetime
    end: dt.datetime
    opening_nanos: int
    received_nanos: int
    sent_nanos: int
    entries: list[Entry]
    entries_all: int
    page: int
    pages: int

    @property
    def closing_nanos(self) -> int:
        return self.opening_nanos + self.received_nanos - self.sent_nanos


def statement(account: LedgerAccount, *, start: dt.datetime, end: dt.datetime, page: int = 1) -> Statement:
    """page: 1-based, PAGE_ROWS entries each; one past the last is the last. Oldest entries first."""
    period: dict[str, Any] = {"account": account.pk, "start": start, "end": end}
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, period)
        opening_nanos, received_nanos, sent_nanos, entries_all = cursor.fetchone()
        pages = max(-(-entries_all // PAGE_ROWS), 1)
        page = min(max(page, 1), pages)
        skipped = (page - 1) * PAGE_ROWS
        cursor.execute(ENTRIES, {**period, "opening": opening_nanos, "rows": PAGE_ROWS, "skipped": skipped})
        entries = [Entry(*row) for row in cursor.fetchall()]
    return Statement(
        start, end, opening_nanos, received_nanos, sent_nanos, entries, entries_all, page, pages
    )  # fmt: skip
