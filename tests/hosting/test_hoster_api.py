"""Registering a server with nothing but a key."""

from typing import Any

import pytest
from django.test import Client

from hosting.models import Server
from tests import factories, fakes


def post(who: factories.Person, path: str, body: object = None):
    return Client().post(path, body or {}, content_type="application/json", headers=who.headers)


def terms(**fields: object) -> dict[str, object]:
    return {"id": factories.unique("m"), "price_per_input_token": 50, "price_per_output_token": 100, **fields}


def test_a_server_is_registered_checked_and_then_for_sale():
    bob = factories.person("bob")
    fake = fakes.FakeServer(fakes.model())
    model = terms()
    answer = post(
        bob,
        "/v1/hosters",
        {"name": factories.unique("gpu"), "base_url": fake.base_url + "/v1", "models": [model]},
    )
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert (made["base_url"], made["verified"]) == (fake.base_url, False)
    check = f"/v1/hosters/servers/{made['server_id']}/check"
    refused = post(bob, check).json()
    assert refused["verified"] is False
    assert refused["problems"]
    fake.token = made["server_token"]
    assert post(bob, check).json() == {"verified": True, "problems": []}
    listed = (
        Client()
        .get(f"/v1/models/{model['id']}", headers={"Authorization": f"Bearer {made['api_key']}"})
        .json()
    )
    assert listed["price_per_output_token"] == 100
    rotated = post(bob, f"/v1/hosters/servers/{made['server_id']}/token").json()["server_token"]
    assert rotated != made["server_token"]
    assert Server.objects.get(pk=made["server_id"]).token_version == 2


def test_a_stranger_gets_404():
    bob, carol = factories.person("bob"), factories.person("carol")
    fields = {
        "name": factories.unique("gpu"),
        "base_url": fakes.FakeServer(fakes.model()).base_url,
        "models": [terms()],
    }
    server_id = post(bob, "/v1/hosters", fields).json()["server_id"]
    for action in ("check", "token"):
        assert post(carol, f"/v1/hosters/servers/{server_id}/{action}").status_code == 404
    assert Client().post("/v1/hosters", fields, content_type="application/json").status_code == 401


def test_a_model_is_not_sold_under_a_commercial_name():
    fields = {
        "name": factories.unique("gpu"),
        "base_url": fakes.FakeServer(fakes.model()).base_url,
        "models": [terms(id="gpt-4o", upstream_name="mistral-7b-instruct")],
    }
    refused = post(factories.person("bob"), "/v1/hosters", fields)
    assert refused.status_code == 400
    assert "'gpt-4o' is the name of a commercial model" in refused.json()["error"]["message"]
    assert not Server.objects.filter(base_url=fields["base_url"]).exists()


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"models": []}, "models"),
        ({"models": [{"id": "x"}]}, "models.0.price_per_input_token"),
        (
            {"models": [{"id": "x", "price_per_input_token": -1, "price_per_output_token": 1}]},
            "models.0.price_per_input_token",
        ),
        ({"slots": 0}, "slots"),
        ({"name": ""}, "name"),
        ({"base_url": "ftp://x"}, None),
        ({"base_url": "http://user@127.0.0.1:9999"}, None),
    ],
)
def test_wrong_fields_are_named(change: dict[str, object], param: str | None):
    fields = {
        "name": factories.unique("gpu"),
        "base_url": "http://127.0.0.1:9998",
        "models": [terms()],
        **change,
    }
    answer = post(factories.person("bob"), "/v1/hosters", fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


# ---------------------------------------------------------------------------------------------------- drain


def bobs_two() -> tuple[factories.Person, Server, Server]:
    bob, hoster = factories.hoster()
    (one, _), (two, _) = (factories.server(of=hoster) for _ in "12")
    return bob, one, two


def states(answer: Any) -> dict[int, tuple[bool, str]]:
    return {row["server_id"]: (row["draining"], row["state"]) for row in answer.json()["servers"]}


def test_all_servers_drain_with_the_key_and_come_back():
    bob, one, two = bobs_two()
    strict = Client(enforce_csrf_checks=True)
    answer = strict.generic("POST", "/hosters/drain", headers=bob.headers)
    assert answer.status_code == 200, answer.content
    assert states(answer) == {one.pk: (True, "draining"), two.pk: (True, "draining")}
    assert not answer.cookies
    back = post(bob, "/hosters/drain", {"draining": False})
    assert states(back) == {one.pk: (False, "in traffic"), two.pk: (False, "in traffic")}


def test_one_server_drains_without_a_penalty():
    bob, one, two = bobs_two()
    assert states(post(bob, "/hosters/drain", {"server_id": one.pk})) == {one.pk: (True, "draining")}
    two.refresh_from_db()
    one.refresh_from_db()
    assert (one.draining, two.draining, one.health) == (True, False, 1.0)


def test_who_hosts_nothing_is_told_so():
    answer = post(factories.person(), "/hosters/drain")
    assert answer.status_code == 404
    assert "You host nothing yet" in answer.json()["error"]["message"]


def test_carol_drains_nothing_of_bobs():
    _, one, _ = bobs_two()
    carol, hoster = factories.hoster("carol")
    factories.server(of=hoster)
    assert post(carol, "/hosters/drain", {"server_id": one.pk}).status_code == 404
    post(carol, "/hosters/drain")
    one.refresh_from_db()
    assert not one.draining


@pytest.mark.parametrize(
    ("body", "param"), [({"draining": "maybe"}, "draining"), ({"server_id": "x"}, "server_id")]
)
def test_a_nonsensical_drain_is_refused_in_the_envelope(body: dict[str, object], param: str):
    answer = post(factories.hoster()[0], "/hosters/drain", body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_drain_needs_a_key_and_not_a_cookie():
    bob, _, _ = bobs_two()
    client = Client()
    client.force_login(bob.customer.user)
    answer = client.post("/hosters/drain")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_api_key")
    assert client.get("/hosters/drain", headers=bob.headers).json()["error"]["code"] == "method_not_allowed"


def test_drain_is_in_the_openapi_document():
    paths = Client().get("/v1/openapi.json").json()["paths"]
    assert "post" in paths["/hosters/drain"]
    assert "post" in paths["/v1/hosters/servers/{server_id}/models/{model_id}/price"]
