"""Registering a server with nothing but a key."""

import pytest
from django.test import Client

from hosting.models import Server
from tests import factories, fakes


def post(who: factories.Person, path: str, body: object = None):  # type: ignore[no-untyped-def]
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
