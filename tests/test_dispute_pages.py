"""Disputes from the customer's side: opened on a receipt, refused in words, decided, listed; nobody else's."""

import datetime as dt
from collections.abc import Callable

from django.test import Client

from billing import disputes, ledger
from billing.ledger import Reversal
from billing.models import Dispute
from routing.models import InferenceRequest
from tests import bookings, factories
from tests.accounts.test_pages import signed_in
from tests.test_account_pages import few_queries, served

CUT_OFF = {"reason": "incomplete", "detail": "It stops in the middle."}


def receipt(client: Client, call: bookings.Call) -> str:
    with few_queries():
        return client.get(f"/account/requests/{call.id}").content.decode()


def test_a_request_is_disputed_decided_and_both_are_told_on_pages():
    alice, call, hoster = served()
    client = signed_in(alice)
    assert "Dispute this request" in receipt(client, call)
    page = client.post(f"/account/requests/{call.id}/dispute", CUT_OFF, follow=True).content.decode()
    assert "It is disputed." in page
    assert "Dispute this request" not in page
    assert "It stops in the middle." in page
    dispute = Dispute.objects.get(charge=call.id)
    assert (dispute.reason, dispute.payee) == ("incomplete", hoster.customer)
    disputes.decide(dispute=dispute, upheld=True, verdict="It was <b>cut</b> off.", actor=None)
    page = receipt(client, call)
    assert "It was &lt;b&gt;cut&lt;/b&gt; off." in page
    assert "upheld: the charge was given back" in page
    listed = client.get("/account/disputes").content.decode()
    assert f"/account/requests/{call.id}#dispute" in listed
    assert InferenceRequest.objects.get(pk=call.id).model_id in listed
    assert "It was &lt;b&gt;cut&lt;/b&gt; off." in listed


def test_what_is_refused_keeps_what_was_written(travel: Callable[[dt.timedelta], None]):
    alice, call, _ = served()
    client = signed_in(alice)
    path = f"/account/requests/{call.id}/dispute"
    page = client.post(path, {"reason": "", "detail": "Kept."}).content.decode()
    assert "Choose one from the list" in page
    assert "Kept." in page
    travel(dt.timedelta(hours=25))
    assert "Dispute this request" not in receipt(client, call)
    page = client.post(path, CUT_OFF).content.decode()
    assert "The time for a dispute is over" in page
    assert "It stops in the middle." in page
    assert not alice.customer.disputes.exists()


def test_what_was_free_or_came_back_cannot_be_disputed():
    alice, call, _ = served(price_in=0, price_out=0)
    client = signed_in(alice)
    assert "Dispute this request" not in receipt(client, call)
    assert (
        "This request was free"
        in client.post(f"/account/requests/{call.id}/dispute", CUT_OFF).content.decode()
    )
    alice, call, _ = served()
    assert ledger.reverse(reversals=[Reversal(call.id)], reason="test")
    assert "Dispute this request" not in receipt(signed_in(alice), call)


def test_the_address_of_a_disputes_form_leads_to_its_receipt():
    alice, call, _ = served()
    path = f"/account/requests/{call.id}/dispute"
    assert signed_in(alice).get(path)["Location"] == f"/account/requests/{call.id}"
    assert signed_in(factories.person("carol")).get(path).status_code == 404


def test_carol_disputes_nothing_of_alices():
    _, call, _ = served()
    for carol in (factories.person("carol"), factories.hoster("carol")[0]):
        assert signed_in(carol).post(f"/account/requests/{call.id}/dispute", CUT_OFF).status_code == 404
        assert str(call.id) not in signed_in(carol).get("/account/disputes").content.decode()
    assert not Dispute.objects.filter(charge=call.id).exists()


def test_disputes_are_listed_page_by_page():
    alice, _, _ = served()
    _, offer = factories.server()
    for number in range(26):
        call = bookings.book(alice, offer)
        dispute = Dispute.objects.create(
            charge=call.id,
            customer=alice.customer,
            reason="other",
            gross_nanos=1,
            net_nanos=0,
            detail=str(number),
        )
    client = signed_in(alice)
    with few_queries():
        first = client.get("/account/disputes").content.decode()
    assert (first.count("#dispute"), str(dispute.charge) in first) == (25, True)
    second = client.get("/account/disputes?page=2").content.decode()
    assert second.count("#dispute") == 1
    assert 'rel="prev"' in second
