"""A statement adds up: opening + received − sent = closing, page after page, for every kind of account."""

import datetime as dt

import pytest
from django.utils import timezone

from billing import account_statement
from billing.models import LedgerAccount
from tests import bookings, factories

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def sold() -> tuple[factories.Person, factories.Person]:
    """Alice bought three answers from Bob, 100,000 nanodollars each; he gets 80 %."""
    alice = factories.person()
    bob, hoster = factories.hoster()
    _, offer = factories.server(of=hoster)
    for _ in range(3):
        bookings.book(alice, offer)
    return alice, bob


def of(account: LedgerAccount, *, start: dt.timedelta = -HOUR, end: dt.timedelta = HOUR, page: int = 1):
    now = timezone.now()
    return account_statement.statement(account, start=now + start, end=now + end, page=page)


def test_a_customers_statement_closes_with_its_balance(sold: tuple[factories.Person, factories.Person]):
    alice, _ = sold
    found = of(alice.account)
    assert (found.opening_nanos, found.received_nanos, found.sent_nanos) == (0, 5_000_000_000, 300_000)
    assert found.closing_nanos == alice.account.posted_nanos == 4_999_700_000
    assert found.entries_all == len(found.entries)
    assert sum(entry.amount_nanos for entry in found.entries) == found.closing_nanos
    assert found.entries[-1].balance_nanos == found.closing_nanos
    assert found.entries[0].kind == "grant"
    assert found.entries[0].other_words == "credit given away"


def test_what_came_before_the_period_is_its_opening_balance(sold: tuple[factories.Person, factories.Person]):
    alice, _ = sold
    later = of(alice.account, start=HOUR, end=2 * HOUR)
    assert (later.opening_nanos, later.closing_nanos) == (4_999_700_000, 4_999_700_000)
    assert later.entries == []
    earlier = of(alice.account, start=-2 * HOUR, end=-HOUR)
    assert (earlier.opening_nanos, earlier.closing_nanos, earlier.entries_all) == (0, 0, 0)


def test_an_account_without_a_stored_balance_has_a_statement_too(
    sold: tuple[factories.Person, factories.Person],
):
    alice, bob = sold
    found = of(LedgerAccount.objects.get(kind="hoster_pending", customer=bob.customer))
    assert found.closing_nanos == 240_000
    assert {entry.other_words for entry in found.entries} == {alice.customer.user.email}


def test_pages_follow_on_from_each_other(
    sold: tuple[factories.Person, factories.Person], monkeypatch: pytest.MonkeyPatch
):
    alice, _ = sold
    whole = of(alice.account).entries
    monkeypatch.setattr(account_statement, "PAGE_ROWS", 2)
    pages = -(-len(whole) // 2)
    shown = [of(alice.account, page=page) for page in range(1, pages + 1)]
    assert [entry for one in shown for entry in one.entries] == whole
    assert of(alice.account, page=99).page == pages
    assert of(alice.account, page=0).page == 1
