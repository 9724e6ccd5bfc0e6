"""A customer's balance at the start of each month is kept by the database, whoever books and in whatever order."""

import datetime as dt
from importlib import import_module

import pytest
from django.db import connection, transaction

from billing import audit, ledger, statement_invariants
from billing.models import LedgerAccount, OpeningBalance
from tests import bookings, factories
from tests.factories import Person

USD = 10**9


@pytest.fixture
def in_month(travel):
    """`in_month(-1)`: the books are in the middle of last month."""

    def go(months: int) -> dt.datetime:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT date_trunc('month', now(), 'UTC') + make_interval(months => %s), now()", [months]
            )
            start, now = cursor.fetchone()
        travel(start + dt.timedelta(days=14) - now)
        return start.astimezone(dt.UTC)

    return go


def openings(alice: Person) -> list[tuple[dt.datetime, int, int]]:
    return list(
        OpeningBalance.objects.filter(account=alice.account)
        .order_by("starts_at")
        .values_list("starts_at", "posted_nanos", "bought_nanos")
    )


def test_a_month_opens_with_what_was_there_before_its_first_booking(in_month):
    first = in_month(-5)
    alice = factories.person(sold_nanos=USD)
    third = in_month(-3)
    ledger.sell(customer=alice.customer, amount_nanos=USD, reference="a", reason="test")
    ledger.sell(customer=alice.customer, amount_nanos=USD, reference="b", reason="test")
    assert openings(alice) == [(first, 0, 0), (third, 6 * USD, USD)]


def test_a_booking_that_comes_late_is_put_in_before_the_later_months(in_month):
    """Its transaction began before midnight and waited for the account until after."""
    first = in_month(-5)
    alice = factories.person()
    last = in_month(-1)
    ledger.sell(customer=alice.customer, amount_nanos=USD, reference="in time", reason="test")
    late = in_month(-2)
    ledger.sell(customer=alice.customer, amount_nanos=2 * USD, reference="late", reason="test")
    ledger.sell(customer=alice.customer, amount_nanos=3 * USD, reference="late too", reason="test")
    assert openings(alice) == [(first, 0, 0), (late, 5 * USD, 0), (last, 10 * USD, 5 * USD)]


def test_a_hold_opens_no_month(in_month):
    in_month(-5)
    alice = factories.person()
    in_month(-3)
    LedgerAccount.objects.filter(pk=alice.account.pk).update(held_nanos=USD)
    assert len(openings(alice)) == 1
    LedgerAccount.objects.filter(pk=alice.account.pk).update(held_nanos=0)


def test_what_was_booked_before_there_were_openings_is_counted_by_the_migration(in_month):
    in_month(-5)
    alice, (bob, hoster) = factories.person(sold_nanos=USD), factories.hoster()
    in_month(-3)
    bookings.earn(hoster, 10 * USD)
    ledger.sell(customer=alice.customer, amount_nanos=USD, reference="a", reason="test")
    history = import_module("billing.migrations.0007_statements").HISTORY
    people = (alice, bob)
    before = [openings(who) for who in people]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_openingbalance; DELETE FROM billing_releaseday")
        cursor.execute(history)
        assert [openings(who) for who in people] == before
        assert audit.differences(cursor, statement_invariants.INVARIANTS) == []
        transaction.set_rollback(True)
