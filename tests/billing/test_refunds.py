"""Refunds by hand: whole, once, out of pending earnings or at our loss, with words for both sides."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.urls import reverse

from billing import disputes, refunds
from billing.models import Debt
from billing.refunds import RefundRefused
from routing.models import InferenceRequest
from tests import bookings, factories
from tests.billing.test_reversals import market, release_all
from tests.staff import signed_in

Travel = Callable[[dt.timedelta], None]


def test_a_pending_charge_goes_back_exactly_and_both_are_told():
    shop = market()
    before, staff = shop.figures, factories.person("staff").customer.user
    call = bookings.book(shop.alice, shop.offer)
    done = refunds.refund(charge=call.id, reason="The answer was nonsense.", actor=staff)
    assert (done.gross_back_nanos, done.net_back_nanos) == (100_000, 80_000)
    assert shop.figures == before
    assert shop.differences() == []
    assert [n.facts["reason"] for n in shop.alice.customer.notices.all()] == ["The answer was nonsense."]
    assert [n.kind for n in shop.bob.customer.notices.all()] == ["earning_taken_back"]
    with pytest.raises(RefundRefused, match="before"):
        refunds.refund(charge=call.id, reason="Again.", actor=staff)


def test_after_the_release_it_goes_back_at_our_loss_and_later_earnings_pay(travel: Travel):
    shop = market()
    staff = factories.person("staff").customer.user
    call = bookings.book(shop.alice, shop.offer)
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    refunds.refund(charge=call.id, reason="Late, but right.", actor=staff)
    assert Debt.objects.get(account=shop.pending).owed_nanos == 80_000
    released = shop.bob.account.posted_nanos
    bookings.book(shop.alice, shop.offer)
    travel(dt.timedelta(hours=48, minutes=4))
    release_all()
    assert shop.bob.account.posted_nanos == released
    assert Debt.objects.get(account=shop.pending).owed_nanos == 0
    assert shop.differences() == []


def test_an_open_dispute_decides():
    shop = market()
    call = bookings.book(shop.alice, shop.offer)
    disputes.open_(customer=shop.alice.customer, charge=call.id, reason="other")
    with pytest.raises(RefundRefused, match="dispute"):
        refunds.refund(charge=call.id, reason="No.", actor=factories.person("staff").customer.user)


def test_the_admin_refunds_with_a_reason():
    shop = market()
    before = shop.figures
    call = bookings.book(shop.alice, shop.offer)
    request = InferenceRequest.objects.get(pk=call.id)
    page = reverse("admin:routing_inferencerequest_changelist")
    staff, data = signed_in(), {"action": "refund", "_selected_action": str(request.pk)}
    assert "both read it" in staff.post(page, data).content.decode()
    assert shop.figures != before
    assert "$0.0001 given back" in staff.post(page, data | {"reason": "Ours."}, follow=True).content.decode()
    assert shop.figures == before


def test_nobody_refunds_to_himself():
    shop = market()
    call = bookings.book(shop.alice, shop.offer)
    with pytest.raises(RefundRefused, match="himself"):
        refunds.refund(charge=call.id, reason="Mine.", actor=shop.alice.customer.user)
    assert shop.figures[3] == 80_000, "nothing moved"
