"""`manage.py audit`: recompute every invariant of the books; exit 0 only when all of them hold."""

from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.backends.utils import CursorWrapper

from billing import audit as books
from routing import audit as requests

SHOWN_MAX = 20  # differences of one invariant that are printed

COUNTS = """
SELECT (SELECT count(*) FROM billing_ledgeraccount), (SELECT count(*) FROM billing_charge),
       (SELECT count(*) FROM billing_transfer)
"""


class Command(BaseCommand):
    help = "Recompute every invariant of the books and report differences (exit code 1)."

    def handle(self, *args: Any, **options: Any) -> None:
        invariants = (*books.INVARIANTS, *requests.INVARIANTS)
        with books.snapshot() as cursor:
            found = books.differences(cursor, invariants)
            counts = _counts(cursor)
        if not found:
            self.stdout.write(f"The books are sound: {len(invariants)} invariants hold over {counts}.")
            return
        for name, group in groupby(found, key=lambda difference: difference.invariant):
            rows = list(group)
            self.stdout.write(f"Not true: {name}. {_how_many(len(rows))}:")
            for difference in rows[:SHOWN_MAX]:
                self.stdout.write(f"  {difference.subject}: {difference.detail}")
            if len(rows) > SHOWN_MAX:
                self.stdout.write(f"  … and {len(rows) - SHOWN_MAX} more")
        raise CommandError(f"{len(found)} differences over {counts}.")


def _counts(cursor: CursorWrapper) -> str:
    cursor.execute(COUNTS)
    accounts, charges, transfers = cursor.fetchone()
    return f"{accounts:,} accounts, {charges:,} charges and {transfers:,} transfers"


def _how_many(rows: int) -> str:
    return f"{rows} or more rows differ" if rows >= books.ROWS_MAX else f"{rows} rows differ"
