"""Carol is a stranger: what belongs to Alice and Bob does not exist for her. From the URL list, none left out."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from accounts.models import ApiKey
from billing.models import Dispute, Payout
from hosting.models import HostedModel, ModerationAction, Server
from tests import factories, site
from tests.site import Market, Route

ROUTES = site.routes()
OWNED = [
    route
    for route in ROUTES
    if route.parameters
    and not route.of_the_admin
    and route.template not in site.PUBLIC_IDS | site.SECRETS | site.CALLERS_OWN
]
PLAIN = [
    route
    for route in ROUTES
    if (not route.parameters or route.template in site.CALLERS_OWN) and not route.of_the_admin
]
ADMIN = [route for route in ROUTES if route.of_the_admin]
FILLERS = {"app_label": "billing"}  # of the admin's routes; every other parameter is 1
HIDDEN = {404, 405}  # 405: the route has no such method, for nobody
MODELS = (ApiKey, Server, HostedModel, ModerationAction)


@pytest.fixture(scope="module")
def market(django_db_setup: None, django_db_blocker) -> Market:
    with django_db_blocker.unblock():
        return site.open_market()


@pytest.fixture(scope="module", params=["customer", "hoster"])
def carol(request, django_db_setup: None, django_db_blocker) -> factories.Person:
    """Once as a mere customer, once as a hoster of her own."""
    with django_db_blocker.unblock():
        return factories.person("carol") if request.param == "customer" else factories.hoster("carol")[0]


@pytest.fixture(scope="module")
def signed_in(carol: factories.Person, django_db_blocker) -> Client:
    """Carol's browser, signed in once: hundreds of routes are asked."""
    with django_db_blocker.unblock():
        return browser(carol)


def browser(carol: factories.Person) -> Client:
    return site.signed_in(carol.customer.user)


def caller(carol: factories.Person) -> Client:
    return Client(headers=carol.headers)


def text(answer: Any) -> str:
    async def read() -> bytes:
        return b"".join([piece async for piece in answer])

    content: bytes = async_to_sync(read)() if answer.streaming else answer.content
    return content.decode(errors="replace")


def belongings(market: Market) -> str:
    """Everything of Alice's and Bob's that a route of theirs could change."""
    rows = {
        "keys": ApiKey.objects.filter(customer__in=[market.alice.customer, market.bob.customer]),
        "servers": Server.objects.filter(hoster=market.hoster),
        "models": HostedModel.objects.filter(server__hoster=market.hoster),
        "payouts": Payout.objects.filter(customer=market.bob.customer),
        "disputes": Dispute.objects.filter(customer=market.alice.customer),
        "actions": ModerationAction.objects.filter(hoster=market.hoster),
    }
    return json.dumps(
        {name: list(found.order_by("pk").values()) for name, found in rows.items()}, default=str
    )


def test_the_urls_were_found():
    assert len(ROUTES) > 60
    assert len(OWNED) >= 8


@pytest.mark.parametrize("route", OWNED, ids=str)
def test_what_is_alices_or_bobs_is_not_there_for_carol(route: Route, market: Market, carol: factories.Person):
    path, before = market.path(route), belongings(market)
    client = caller(carol) if route.of_the_api else browser(carol)
    answers = {
        method: getattr(client, method)(path).status_code for method in ("get", "post", "put", "delete")
    }
    assert set(answers.values()) <= HIDDEN, f"{path}: {answers}"
    assert 404 in answers.values(), f"{path}: {answers}"
    full = {
        "name": "x",
        "draining": "1",
        "offered": "0",
        "price_in": "1",
        "price_out": "1",
        "answer": "x",
        "reason": "x",
    }
    assert client.post(path, full).status_code in HIDDEN
    prices = {"price_per_input_token": 1, "price_per_output_token": 1}
    assert client.post(path, prices, content_type="application/json").status_code in HIDDEN
    assert belongings(market) == before


@pytest.mark.parametrize("route", OWNED, ids=str)
def test_the_owner_finds_it(route: Route, market: Market):
    """Otherwise the test above would pass for a route that is broken for everybody."""
    path = market.path(route)
    found = set()
    for owner in (market.alice, market.bob):
        client = caller(owner) if route.of_the_api else browser(owner)
        found.add(client.get(path).status_code)
    assert found - {404}, path


@pytest.mark.parametrize("route", PLAIN, ids=str)
def test_no_page_of_carols_says_anything_of_alice_or_bob(
    route: Route, market: Market, carol: factories.Person
):
    client = caller(carol) if route.of_the_api else browser(carol)
    content = text(client.get(market.path(route)))
    assert [mark for mark in market.marks if mark in content] == []


@pytest.mark.parametrize("route", [route for route in PLAIN if route.of_the_api], ids=str)
def test_a_key_is_asked_for(route: Route, market: Market):
    if route.template in {"v1/openapi.json", "v1/docs"}:
        pytest.skip("the description of the API is public")
    assert Client().get(market.path(route)).status_code in {401, 405}


@pytest.mark.parametrize("route", OWNED, ids=str)
def test_who_is_not_signed_in_sees_nothing(route: Route, market: Market):
    for answer in (Client().get(market.path(route)), Client().post(market.path(route))):
        assert answer.status_code in {401, 404, 405} or answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("template", sorted(site.SECRETS))
def test_a_guessed_secret_opens_nothing(template: str, market: Market):
    path = "/" + site.PARAMETER.sub("guess", template).replace("^", "").replace("$", "")
    client = Client()
    for answer in (client.get(path), client.get(path, follow=True), client.post(path)):
        assert not [mark for mark in market.marks if mark in answer.content.decode()]
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.parameters and not route.of_the_admin], ids=str
)
def test_a_nul_byte_in_a_path_leads_nowhere(route: Route, signed_in: Client, carol: factories.Person):
    path = "/" + site.PARAMETER.sub("%00", route.template).replace("^", "").replace("$", "")
    client = caller(carol) if route.of_the_api else signed_in
    assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("route", ADMIN, ids=str)
def test_the_admin_is_not_there_for_customers(
    route: Route, market: Market, carol: factories.Person, signed_in: Client
):
    client = browser(carol) if route.template == "admin/logout/" else signed_in
    path = "/" + route.template
    for parameter in site.PARAMETER.finditer(path):
        name = parameter["name"] or parameter["group"]
        path = path.replace(parameter[0], FILLERS.get(name, "1"))
    path = path.replace("^", "").replace("$", "")
    for method in ("get", "post"):
        answer = getattr(client, method)(path)
        if route.template in {"admin/login/", "admin/logout/"}:
            assert not [mark for mark in market.marks if mark in answer.content.decode()]
        else:
            assert answer.status_code in {302, 301, 403, *HIDDEN}, path
            assert "login" in answer.get("Location", "login"), path


def test_a_parameter_that_nobody_explained_fails(market: Market):
    with pytest.raises(site.UnknownParameter, match="invoice_id"):
        market.path(Route("account/invoices/<int:invoice_id>", "invoice"))
