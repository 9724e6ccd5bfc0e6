"""Recompute every invariant of the books from the transfers and charges, and report what differs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db.backends.utils import CursorWrapper

from billing import case_invariants, invariants, snapshots, statement_invariants
from billing.invariants import Invariant
from billing.models import LedgerAccount

INVARIANTS = (*invariants.INVARIANTS, *case_invariants.INVARIANTS, *statement_invariants.INVARIANTS)
STATEMENT_TIMEOUT_S = 600
ROWS_MAX = 1_000  # differences of one invariant that are brought back

SUMS = """
-- every transfer, twice, as the invariants do. The customers' sum is that of the balances they spend from, so that the
-- whole adds up to zero only where those are right.
WITH moved AS (
    SELECT account, sum(amount) AS amount
      FROM (SELECT credit_id, sum(amount_nanos) FROM billing_transfer GROUP BY 1
            UNION ALL
            SELECT debit_id, -sum(amount_nanos) FROM billing_transfer GROUP BY 1) AS side (account, amount)
     GROUP BY account
)
SELECT a.kind, coalesce(sum(coalesce(a.posted_nanos, m.amount)), 0)::bigint
  FROM billing_ledgeraccount a LEFT JOIN moved m ON m.account = a.id GROUP BY a.kind
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that breaks an invariant: `subject` names it (`account 17`), `detail` says the amounts."""

    invariant: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.subject}: {self.detail}"


def audit() -> list[Difference]:
    """Every difference in the books now; empty when they are sound."""
    with snapshot() as cursor:
        return differences(cursor, INVARIANTS)


@contextmanager
def snapshot() -> Iterator[CursorWrapper]:
    """A cursor whose statements all see the same moment, can change nothing and may take long."""
    with snapshots.one_moment() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        yield cursor


def differences(cursor: CursorWrapper, invariants: Sequence[Invariant]) -> list[Difference]:
    """What these invariants find, at most ROWS_MAX of each."""
    found = []
    for invariant in invariants:
        cursor.execute(invariant.sql)
        found += [
            Difference(invariant.name, subject, detail) for subject, detail in cursor.fetchmany(ROWS_MAX)
        ]
    return found


def sums(cursor: CursorWrapper) -> dict[str, int]:
    """What the accounts of each kind hold together, in nanodollars: all kinds, and they add up to zero."""
    cursor.execute(SUMS)
    return dict.fromkeys(LedgerAccount.Kind.values, 0) | dict(cursor.fetchall())
