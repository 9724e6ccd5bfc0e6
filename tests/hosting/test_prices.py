"""A new price waits, is shown while it waits, and comes once."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from hosting import prices, tasks
from hosting.models import HostedModel, Server
from hosting.terms import TermsRefused
from tests import bookings, factories
from tests.staff import signed_in

DELAY = dt.timedelta(seconds=600)
Travel = Callable[[dt.timedelta], None]


def offered() -> HostedModel:
    return factories.server()[1]


def price_of(offer: HostedModel) -> tuple[int, int]:
    offer.refresh_from_db()
    return offer.price_per_input_token, offer.price_per_output_token


def version_of(offer: HostedModel) -> int:
    return Server.objects.get(pk=offer.server_id).version


def test_a_new_price_comes_after_its_wait(travel: Travel):
    offer = offered()
    prices.set_price(model=offer, price_in=7, price_out=8)
    assert price_of(offer) == (100, 300)
    assert (offer.next_price_per_input_token, offer.next_price_per_output_token) == (7, 8)
    travel(DELAY - dt.timedelta(seconds=5))
    prices.apply_due()
    assert price_of(offer) == (100, 300)
    travel(DELAY)
    prices.apply_due()
    assert price_of(offer) == (7, 8)
    assert (offer.next_price_per_input_token, offer.price_changes_at) == (None, None)


def test_only_the_price_that_comes_acts_on_the_next_request(travel: Travel):
    offer = offered()
    before = version_of(offer)
    prices.set_price(model=offer, price_in=7, price_out=8)
    assert version_of(offer) == before
    travel(DELAY)
    prices.apply_due()
    assert version_of(offer) == before + 1


def test_a_running_request_keeps_the_price_it_began_with(travel: Travel):
    alice, offer = factories.person(), offered()
    prices.set_price(model=offer, price_in=7, price_out=8)
    call = bookings.admit(alice, offer, input_tokens=10, output_tokens=10)
    travel(DELAY)
    prices.apply_due()
    before = alice.account.posted_nanos
    bookings.settle(call, input_tokens=10, output_tokens=10)
    assert before - alice.account.posted_nanos == 10 * 100 + 10 * 300


def test_another_price_replaces_the_waiting_one_and_waits_anew(travel: Travel):
    offer = offered()
    prices.set_price(model=offer, price_in=7, price_out=8)
    travel(DELAY - dt.timedelta(seconds=5))
    prices.set_price(model=offer, price_in=9, price_out=10)
    travel(DELAY)
    prices.apply_due()
    assert price_of(offer) == (100, 300)
    travel(2 * DELAY)
    prices.apply_due()
    assert price_of(offer) == (9, 10)


def test_the_price_of_now_cancels_the_waiting_one():
    offer = offered()
    prices.set_price(model=offer, price_in=7, price_out=8)
    prices.set_price(model=offer, price_in=100, price_out=300)
    assert price_of(offer) == (100, 300)
    assert offer.price_changes_at is None


def test_without_a_delay_a_price_comes_at_once(settings):
    settings.PRICE_DELAY_S = 0
    offer = offered()
    prices.set_price(model=offer, price_in=7, price_out=8)
    assert price_of(offer) == (7, 8)
    assert offer.price_changes_at is None


def test_a_price_out_of_range_changes_nothing():
    offer = offered()
    with pytest.raises(TermsRefused):
        prices.set_price(model=offer, price_in=-1, price_out=8)
    offer.refresh_from_db()
    assert offer.price_changes_at is None


def test_due_prices_come_once_however_often_the_job_runs(travel: Travel):
    prices.apply_due()
    offers = [offered() for _ in range(4)]
    for offer in offers:
        prices.set_price(model=offer, price_in=7, price_out=8)
    travel(DELAY)

    def run(_: int) -> int:
        try:
            return tasks.apply_prices()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(run, range(3))) == len(offers)
    assert tasks.apply_prices() == 0


# ---------------------------------------------------------------------------------------- with the linked key


def post(who: factories.Person, offer: HostedModel, **body: object):
    path = f"/v1/hosters/servers/{offer.server_id}/models/{offer.model_id}/price"
    return Client().post(path, body, content_type="application/json", headers=who.headers)


def test_a_hoster_sets_a_price_with_the_key_and_customers_see_it_coming():
    bob, hoster = factories.hoster()
    name = "org/" + factories.unique("m") + ":7b"
    _, offer = factories.server(of=hoster, model=name)
    answer = post(bob, offer, price_per_input_token=7, price_per_output_token=8)
    assert answer.status_code == 200, answer.content
    offer.refresh_from_db()
    coming = answer.json()["price_changes_at"]
    assert dt.datetime.fromisoformat(coming) == offer.price_changes_at
    assert answer.json() == {
        "id": name,
        "price_per_input_token": 100,
        "price_per_output_token": 300,
        "next_price_per_input_token": 7,
        "next_price_per_output_token": 8,
        "price_changes_at": coming,
    }
    (listed,) = Client().get(f"/v1/models/{name}", headers=factories.person().headers).json()["servers"]
    assert (listed["price_per_input_token"], listed["next_price_per_input_token"]) == (100, 7)
    assert listed["price_changes_at"] == coming


@pytest.mark.parametrize("price", [-1, 10**12, "dear", None])
def test_a_nonsensical_price_is_named(price: object):
    bob, hoster = factories.hoster()
    _, offer = factories.server(of=hoster)
    answer = post(bob, offer, price_per_input_token=7, price_per_output_token=price)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "price_per_output_token")


def test_carol_sets_no_price_of_bobs():
    offer = offered()
    for carol in (factories.person("carol"), factories.hoster("carol")[0]):
        assert post(carol, offer, price_per_input_token=7, price_per_output_token=8).status_code == 404
    offer.refresh_from_db()
    assert offer.price_changes_at is None


# ------------------------------------------------------------------------------------------------ in the admin


def test_a_price_written_in_the_admin_waits_like_any_other():
    admin = signed_in()
    offer = offered()
    form = {
        **{"model_id": offer.model_id, "upstream_name": "theirs", "context_window": "4096", "enabled": "on"},
        **{"price_per_input_token": "900", "price_per_output_token": "901"},
    }
    page = admin.post(f"/admin/hosting/hostedmodel/{offer.pk}/change/", form, follow=True)
    assert "for 1M output tokens from" in page.content.decode()
    assert price_of(offer) == (100, 300)
    assert (offer.next_price_per_input_token, offer.next_price_per_output_token) == (900, 901)
    assert (offer.upstream_name, offer.context_window) == ("theirs", 4_096)
    inline = admin.get(f"/admin/hosting/server/{offer.server_id}/change/").content.decode()
    assert 'name="models-0-upstream_name"' in inline
    assert 'name="models-0-price_per_input_token"' not in inline
