"""The landing page shows the market as it is, and nothing of anybody's requests."""

import re

from django.db.models import Count, Max
from django.test import Client

from accounts.models import Customer
from hosting import market, showcase
from hosting.models import HostedModel
from neuralgate import network
from routing import preview, tester
from routing.models import InferenceRequest
from tests import bookings, factories


def page(path: str = "/") -> str:
    response = Client().get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_visitors_see_the_figures_of_the_last_day():
    alice = factories.person()
    _, offer = factories.server()
    before = network.pulse.last_day()
    bookings.book(alice, offer)
    after = network.pulse.last_day()
    assert after.requests == before.requests + 1
    assert after.tokens == before.tokens + 500
    assert "Requests, 24 h" in page()


def test_the_platforms_own_tests_are_no_traffic_of_customers():
    tester.fund()
    own = Customer.objects.get(user__email=tester.email())
    key, row = factories.new_key(own)
    _, offer = factories.server()
    before = network.pulse.last_day()
    for _ in range(3):
        call = bookings.book(factories.Person(own, key, row), offer)
        InferenceRequest.objects.filter(pk=call.id).update(streamed=True, ttft_ms=10**8)
    assert network.pulse.last_day() == before


def test_what_the_operator_gives_away_is_not_the_markets_lowest_price(monkeypatch):
    _, own = factories.server(kind="local", price_in=0, price_out=0)
    _, hosted = factories.server(price_in=100, price_out=300)
    these = {own.model_id, hosted.model_id}
    every = market._offers(None)
    monkeypatch.setattr(market, "_offers", lambda _: [offer for offer in every if offer.model_id in these])
    found = showcase.now()
    assert (found.models, found.price_in_min, found.price_out_min) == (2, 100, 300)
    assert not re.search(r"\$0\.00(?!\d)", page())
    assert "free" in page()


def test_the_preview_says_who_gets_a_request_and_the_cheaper_of_two_alike_gets_more(monkeypatch):
    model = factories.unique("zzz-model")
    counts = HostedModel.objects.values("model_id").annotate(servers=Count("pk"))
    most = counts.aggregate(most=Max("servers", default=0))["most"]
    for price in (100, 200, *[400] * most):  # more servers than any other model has
        factories.server(model=model, price_in=price, price_out=price)
    shown = preview.busiest()
    assert shown is not None
    assert shown.model == model
    assert shown.servers == most + 2
    assert [one.price_in for one in shown.candidates[:2]] == [100, 200]
    assert shown.candidates[0].share > shown.candidates[1].share > 0
    assert shown.candidates[0].cost_nanos == 50_000
    listing = page("/live")
    assert model in listing
    assert shown.candidates[0].owner in listing


def test_a_server_that_may_not_serve_is_not_in_the_preview():
    _, bob = factories.hoster(status="suspended")
    factories.server(of=bob)
    factories.server(health=0.1)
    assert {one.owner for one in (preview.busiest() or preview.Preview("", (), 0)).candidates} & {
        bob.name
    } == set()


def test_every_page_leads_to_the_operator_as_far_as_he_says_where_he_is(settings):
    foot = page("/models").partition('<footer class="bottom">')[2]
    assert not {"Terms", "Privacy", "Contact"} & set(re.findall(r">(\w+)<", foot))
    settings.CONTACT_EMAIL, settings.TERMS_URL, settings.PRIVACY_URL = (
        "me@example.org",
        "/terms",
        "https://example.org",
    )
    foot = page("/models").partition('<footer class="bottom">')[2]
    for link in (
        '<a href="/terms">Terms</a>', '<a href="https://example.org">Privacy</a>',
        '<a href="mailto:me@example.org">Contact</a>',
    ):  # fmt: skip
        assert link in foot


def test_the_moving_part_can_be_asked_for_alone():
    part = page("/live")
    assert 'hx-get="/live"' in part
    assert "<html" not in part
    assert part.strip() in page().replace("\n\n", "\n") or 'id="live"' in page()


def test_a_crowd_of_visitors_reads_the_figures_once(django_assert_num_queries):
    page()
    with django_assert_num_queries(0):
        page()
