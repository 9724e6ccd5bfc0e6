"""Who moves money in these tests, and the Stripe that they move it with."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from tests import bookings, factories
from tests.billing.test_reversals import release_all
from tests.factories import Person
from tests.fake_stripe import FakeStripe, running
from tests.routing.test_usage_api import address

USD = 10**9


@pytest.fixture
def stripe(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    with running(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def bob(travel: Callable[[dt.timedelta], None]) -> Person:
    """He has earned 80 USD of bought money, and has his 5 USD of welcome credit."""
    alice = factories.person("alice", sold_nanos=100 * USD)
    bookings.spend(alice, 5 * USD)
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=1_000_000, price_out=0)
    bookings.book(alice, offer, input_tokens=100_000, output_tokens=0)
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    assert bob.account.earned_nanos == 80 * USD
    return bob
