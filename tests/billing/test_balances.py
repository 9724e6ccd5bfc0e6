"""What a balance is made of, and how amounts are written on pages and read from forms."""

from decimal import Decimal

import pytest
from django.template import Context, Template

from accounts.templatetags.figures import context, count, duration, seconds
from billing import balances, money
from tests import bookings, factories


def test_the_parts_of_a_balance_add_up_while_a_request_runs():
    alice = factories.person(sold_nanos=3_000_000_000)
    _, offer = factories.server()
    call = bookings.admit(alice, offer)
    balance = balances.of(alice.customer)
    assert (balance.promotional_nanos, balance.bought_nanos) == (5_000_000_000, 3_000_000_000)
    assert balance.held_nanos == call.hold_nanos == balance.posted_nanos - balance.spendable_nanos
    bookings.settle(call)
    spent = balances.of(alice.customer)
    assert spent.held_nanos == 0
    assert spent.promotional_nanos == 5_000_000_000 - 100_000  # the free part goes first
    assert spent.bought_nanos == 3_000_000_000


@pytest.mark.parametrize(
    ("amount_nanos", "words"),
    [
        (5_000_000_000, "$5.00"),
        (4_999_999_999, "$4.99"),
        (999, "$0.000000999"),
        (939_999, "$0.000939"),
        (9_999_999, "$0.00999"),
        (0, "$0.00"),
        (-1, "-$0.01"),
    ],
)
def test_a_headline_never_shows_more_than_there_is(amount_nanos: int, words: str):
    assert money.rounded(amount_nanos) == words


def test_dollars_of_a_form_are_read_exactly():
    assert money.nanos(Decimal("0.000001")) == 1_000
    assert money.nanos(Decimal("1000000")) == 10**15
    with pytest.raises(ValueError, match="smaller"):
        money.nanos(Decimal("0.0000000001"))


def test_the_filters_write_what_people_read():
    shown = Template(
        "{% load money %}{{ n|usd }} {{ n|per_million }} {{ n|price }} {{ n|usd_rounded }}"
    ).render(Context({"n": 100}))
    assert shown == "$0.0000001 $0.10 $0.10 per 1M tokens $0.0000001"
    assert [context(tokens) for tokens in (131_072, 100_000, 6_500, 500)] == ["128k", "100k", "6,500", "500"]
    assert [duration(ms) for ms in (None, 850, 1_240)] == ["–", "850 ms", "1.24 s"]
    assert count(1_234_567) == "1,234,567"
    waits = [seconds(one) for one in (600, 60, 90, 1, 2.5)]
    assert waits == ["10 minutes", "1 minute", "90 seconds", "1 second", "2.5 seconds"]
