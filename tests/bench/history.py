"""A long history in the books, for measuring what reads them, not how they are booked: see history.sql."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from django.db import connection, transaction

from accounts.models import Customer
from billing import ledger
from tests import factories
from tests.site import MODEL, Market

STATEMENTS = Path(__file__).with_suffix(".sql")
DAYS = 60
OTHERS = 20  # customers beside Alice
CREDIT_NANOS = 10**15


def write(market: Market, rows: int) -> None:
    """So many requests of the last DAYS days, in the tables that pages read, as if they had been booked one by one."""
    for customer in (market.alice.customer, *_others()):
        ledger.sell(
            customer=customer, amount_nanos=CREDIT_NANOS, reference="bench", reason="credit for the bench"
        )
    names = {"alice": market.alice.customer.pk, "model": MODEL, "rows": rows, "days": DAYS, "others": OTHERS}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(STATEMENTS.read_text().format(**names))
        cursor.execute(import_module("billing.migrations.0007_statements").HISTORY)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as autovacuum would


def _others() -> Iterator[Customer]:
    for _ in range(OTHERS):
        one = factories.person("payer")
        one.customer.api_keys.update(name="bench")
        yield one.customer
