"""Disputes: once for each request, while its earning waits; decided once, exactly, with words for both sides."""

import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from billing import disputes, ledger
from billing.disputes import DisputeRefused, Undecidable
from billing.ledger import Reversal
from billing.models import Dispute, Notice
from tests import bookings, factories
from tests.billing.test_reversals import Market, market, release_all, reverse
from tests.routing.test_usage_api import address

Travel = Callable[[dt.timedelta], None]


def open_(shop: Market, call: bookings.Call) -> Dispute:
    return disputes.open_(customer=shop.alice.customer, charge=call.id, reason="incomplete", detail="cut off")


def staff() -> object:
    return factories.person("staff").customer.user


def refused(code: str, **dispute: object) -> None:
    with pytest.raises(DisputeRefused) as refusal:
        disputes.open_(**{"reason": "other", **dispute})
    assert refusal.value.code == code
    assert str(refusal.value)


def frozen(shop: Market) -> int:
    accounts = shop.bob.customer.ledger_accounts.filter(kind="hoster_disputed")
    return sum(
        sum(a.credits.values_list("amount_nanos", flat=True))
        - sum(a.debits.values_list("amount_nanos", flat=True))
        for a in accounts
    )


def test_an_open_dispute_freezes_what_was_earned_and_nothing_else():
    shop = market()
    bookings.book(shop.alice, shop.offer)
    before = shop.figures
    open_(shop, bookings.book(shop.alice, shop.offer))
    assert frozen(shop) == 80_000
    assert shop.figures[3:5] == before[3:5]
    assert shop.differences() == []


def test_upheld_everybody_is_as_before_the_request():
    shop = market()
    before = shop.figures
    dispute = open_(shop, bookings.book(shop.alice, shop.offer))
    done = disputes.decide(dispute=dispute, upheld=True, verdict="It was cut off.", actor=staff())
    assert (done.state, done.verdict) == ("upheld", "It was cut off.")
    assert shop.figures == before
    assert frozen(shop) == 0
    assert shop.differences() == []


def test_rejected_in_time_the_earning_matures_as_if_nothing_had_been():
    shop = market()
    call = bookings.book(shop.alice, shop.offer)
    before, due = shop.figures, shop.pending.maturity_set.get().matures_at
    dispute = open_(shop, call)
    disputes.decide(dispute=dispute, upheld=False, verdict="It is complete.", actor=staff())
    assert shop.figures == before
    assert shop.pending.maturity_set.get().matures_at == due
    assert shop.differences() == []


def test_rejected_late_the_earning_is_released_by_the_next_sweep(travel: Travel):
    shop = market()
    dispute = open_(shop, bookings.book(shop.alice, shop.offer))
    earned = shop.bob.account.posted_nanos
    travel(dt.timedelta(days=3))
    release_all()
    assert shop.bob.account.posted_nanos == earned
    disputes.decide(dispute=dispute, upheld=False, verdict="It is complete.", actor=staff())
    travel(dt.timedelta(days=3, seconds=2))
    release_all()
    assert shop.bob.account.posted_nanos == earned + 80_000
    assert shop.differences() == []


def test_the_rest_of_a_minute_is_released_while_a_part_of_it_is_frozen(travel: Travel):
    shop = market()
    calls = [bookings.book(shop.alice, shop.offer) for _ in range(3)]
    open_(shop, calls[1])
    earned = shop.bob.account.posted_nanos
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    assert shop.bob.account.posted_nanos == earned + 160_000
    assert frozen(shop) == 80_000


def test_a_request_that_the_platform_served_can_be_disputed_too():
    alice = factories.person()
    _, offer = factories.server(address(), kind="cloud")
    call = bookings.book(alice, offer)
    dispute = disputes.open_(customer=alice.customer, charge=call.id, reason="other")
    assert (dispute.payee, dispute.net_nanos, dispute.gross_nanos) == (None, 0, 100_000)
    assert ledger.reverse(reversals=[Reversal(call.id)], reason="test")[0].status == "disputed"
    disputes.decide(dispute=dispute, upheld=True, verdict="Our fault.", actor=staff())
    assert alice.account.posted_nanos == 5_000_000_000


def test_what_the_platform_served_can_be_disputed_for_a_day_too(travel: Travel):
    """No maturity tells that it is late."""
    alice = factories.person()
    _, offer = factories.server(address(), kind="cloud")
    call = bookings.book(alice, offer)
    travel(dt.timedelta(hours=24, seconds=1))
    refused("late", customer=alice.customer, charge=call.id)


def test_what_cannot_be_disputed_and_why(travel: Travel):
    shop = market()
    alice = shop.alice.customer
    refused("missing", customer=alice, charge=uuid.uuid4())
    call = bookings.book(shop.alice, shop.offer)
    refused("missing", customer=shop.bob.customer, charge=call.id)
    held = bookings.admit(shop.alice, shop.offer)
    refused("not_posted", customer=alice, charge=held.id)
    bookings.void(held)
    refused("not_posted", customer=alice, charge=held.id)
    refused("nothing", customer=alice, charge=bookings.book(shop.alice, shop.offer, free=True).id)
    reverse(call)
    refused("reversed", customer=alice, charge=call.id)
    again = bookings.book(shop.alice, shop.offer)
    open_(shop, again)
    refused("already", customer=alice, charge=again.id)
    late = bookings.book(shop.alice, shop.offer)
    travel(dt.timedelta(hours=24, minutes=2))
    refused("late", customer=alice, charge=late.id)
    release_all()
    refused("late", customer=alice, charge=late.id)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_a_dispute_is_decided_once(first: bool, second: bool):
    shop = market()
    dispute = open_(shop, bookings.book(shop.alice, shop.offer))
    disputes.decide(dispute=dispute, upheld=first, verdict="So it is.", actor=staff())
    figures = shop.figures
    with pytest.raises(Undecidable, match="already"):
        disputes.decide(dispute=dispute, upheld=second, verdict="No, so.", actor=staff())
    assert shop.figures == figures
    refused("already", customer=shop.alice.customer, charge=dispute.charge)


def test_a_verdict_needs_words():
    shop = market()
    dispute = open_(shop, bookings.book(shop.alice, shop.offer))
    with pytest.raises(Undecidable, match="Say why"):
        disputes.decide(dispute=dispute, upheld=True, verdict=" ", actor=None)


def test_a_rejected_charge_can_still_be_given_back_and_never_twice():
    shop = market()
    before = shop.figures
    call = bookings.book(shop.alice, shop.offer)
    disputes.decide(dispute=open_(shop, call), upheld=False, verdict="Complete.", actor=None)
    assert reverse(call) == ("reversed", 100_000, 80_000)
    assert reverse(call) == ("already", 0, 0)
    assert shop.figures == before
    assert shop.differences() == []


def test_at_most_five_in_a_day_even_at_once():
    shop = market()
    calls = [bookings.book(shop.alice, shop.offer) for _ in range(8)]

    def attempt(call: bookings.Call) -> str:
        try:
            open_(shop, call)
        except DisputeRefused as refusal:
            return refusal.code
        finally:
            connection.close()
        return "opened"

    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(attempt, calls))
    assert found == ["opened"] * 5 + ["too_many"] * 3
    assert shop.differences() == []


def test_a_dispute_and_a_release_at_once_take_it_once(travel: Travel):
    shop = market()
    call = bookings.book(shop.alice, shop.offer)
    earned = shop.bob.account.posted_nanos
    travel(dt.timedelta(hours=24, seconds=-1))

    def dispute(_: int) -> None:
        try:
            open_(shop, call)
        except DisputeRefused:
            pass
        finally:
            connection.close()

    def release(_: int) -> None:
        try:
            release_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (dispute if n % 2 else release)(n), range(8)))
    assert frozen(shop) + (shop.bob.account.posted_nanos or 0) - (earned or 0) + shop.figures[3] == 80_000
    assert Dispute.objects.filter(charge=call.id).count() == 1


def test_both_sides_are_told_what_happened_and_why():
    shop = market()
    dispute = open_(shop, bookings.book(shop.alice, shop.offer))
    disputes.decide(dispute=dispute, upheld=True, verdict="It was cut off.", actor=staff())
    told = {
        (notice.customer_id, notice.kind): notice.facts
        for notice in Notice.objects.filter(customer__in=[shop.alice.customer, shop.bob.customer])
    }
    assert set(told) == {
        (shop.bob.customer.pk, "dispute_opened"),
        (shop.bob.customer.pk, "dispute_decided"),
        (shop.alice.customer.pk, "dispute_decided"),
    }
    assert told[shop.bob.customer.pk, "dispute_decided"]["verdict"] == "It was cut off."
    assert "cut off" not in str(told[shop.bob.customer.pk, "dispute_opened"]), (
        "the customer's words are not the hoster's"
    )


@pytest.mark.parametrize("side", ["alice", "bob"])
def test_nobody_decides_a_dispute_of_his_own(side: str):
    shop = market()
    dispute = open_(shop, bookings.book(shop.alice, shop.offer))
    with pytest.raises(Undecidable, match="his own"):
        disputes.decide(
            dispute=dispute, upheld=True, verdict="Mine.", actor=getattr(shop, side).customer.user
        )
