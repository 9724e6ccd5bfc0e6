"""/v1/models: what is for sale, each model once, without what customers must not see."""

import pytest
from django.test import Client
from django.utils import timezone

from hosting.models import HostedModel
from tests import factories
from tests.routing.test_usage_api import address, get

LISTING_FIELDS = {
    "id", "object", "created", "owned_by", "price_per_input_token", "price_per_output_token", "pricing",
    "context_window", "servers", "health", "trust", "consistency", "status", "uptime", "tokens_per_s",
    "ttft_ms_p50", "ttft_ms_p95", "latency_ms_p50", "latency_ms_p95",
}  # fmt: skip


def listed(model_id: str) -> dict | None:
    answer = get("/v1/models", factories.person())
    return next((model for model in answer["data"] if model["id"] == model_id), None)


def test_auto_is_first_and_the_platforms():
    answer = get("/v1/models", factories.person())
    assert set(answer) == {"object", "data"}
    assert answer["object"] == "list"
    first = answer["data"][0]
    assert (first["id"], first["object"], first["owned_by"]) == ("auto", "model", "neuralgate")
    assert first["price_per_input_token"] is None
    assert get("/v1/models/auto", factories.person())["id"] == "auto"


def test_a_model_of_two_hosters_is_listed_once_with_the_cheapest_in_front():
    bob, carol = factories.hoster("bob", trust=0.9)[1], factories.hoster("carol", trust=0.4)[1]
    _, dear = factories.server(
        address(), of=bob, price_in=100, price_out=300, context_window=4_000, health=0.7
    )
    factories.server(
        address(), of=carol, model=dear.model_id, price_in=50, price_out=400, context_window=9_000, health=0.9
    )
    factories.server(address(), of=carol, model=dear.model_id, price_in=50, price_out=50)
    answer = get("/v1/models", factories.person())
    (model,) = [model for model in answer["data"] if model["id"] == dear.model_id]
    assert set(model) == LISTING_FIELDS
    assert model["owned_by"] == f"hoster:{carol.name}"
    assert (model["price_per_input_token"], model["price_per_output_token"]) == (50, 50)
    assert model["pricing"] == {"input": {"min": 50, "max": 100}, "output": {"min": 50, "max": 400}}
    assert (model["context_window"], model["servers"], model["health"], model["trust"]) == (
        100_000,
        3,
        1.0,
        0.9,
    )
    assert abs(model["created"] - timezone.now().timestamp()) < 60


@pytest.mark.parametrize("kind", ["local", "cloud"])
def test_the_platforms_own_models_are_owned_by_it(kind: str):
    _, offer = factories.server(address(), kind=kind)
    assert listed(offer.model_id)["owned_by"] == "neuralgate"


@pytest.mark.parametrize("status", ["suspended", "deactivated"])
def test_a_suspended_hosters_models_are_gone(status: str):
    _, hoster = factories.hoster("bob", status=status)
    _, offer = factories.server(address(), of=hoster)
    assert listed(offer.model_id) is None
    assert Client().get(f"/v1/models/{offer.model_id}", headers=factories.person().headers).status_code == 404


@pytest.mark.parametrize("status", ["warned", "probation"])
def test_a_warned_hosters_models_stay(status: str):
    _, hoster = factories.hoster("bob", status=status)
    _, offer = factories.server(address(), of=hoster)
    assert listed(offer.model_id) is not None


@pytest.mark.parametrize(
    "change", [{"verified_at": None}, {"draining": True}, {"waiting_since": timezone.now()}]
)
def test_unverified_and_draining_servers_sell_nothing(change: dict):
    server, offer = factories.server(address())
    for field, value in change.items():
        setattr(server, field, value)
    server.save()
    assert listed(offer.model_id) is None


def test_a_deactivated_model_is_gone():
    _, offer = factories.server(address())
    HostedModel.objects.filter(pk=offer.pk).update(deactivated_at=timezone.now())
    assert listed(offer.model_id) is None


def test_a_model_that_was_switched_off_is_gone():
    _, offer = factories.server(address())
    HostedModel.objects.filter(pk=offer.pk).update(enabled=False)
    assert listed(offer.model_id) is None


MEASURES = [
    {"ttft_ms_p50": 100, "latency_ms_p50": 900, "tokens_per_s": 20.0, "consistency": 0.9},
    {"ttft_ms_p50": 300, "latency_ms_p50": 700, "tokens_per_s": 60.0, "consistency": 0.5},
]


def test_a_model_shows_the_best_of_its_servers_and_null_for_what_none_has():
    name = factories.unique("m")
    for status, measured in zip(("probation", "warned"), MEASURES, strict=True):
        _, hoster = factories.hoster("bob", status=status)
        _, offer = factories.server(address(), of=hoster, model=name)
        HostedModel.objects.filter(pk=offer.pk).update(**measured, consistency_at=timezone.now())
    model = listed(name)
    assert model is not None
    best = {"ttft_ms_p50": 100, "latency_ms_p50": 700, "tokens_per_s": 60.0, "consistency": 0.9}
    assert {field: model[field] for field in best} == best
    assert (model["uptime"], model["latency_ms_p95"], model["status"]) == (None, None, "warned")


def test_consistency_is_null_before_the_first_test():
    _, offer = factories.server(address())
    model = listed(offer.model_id)
    assert model is not None
    assert model["consistency"] is None


@pytest.mark.parametrize("shape", ["org/{}", "{}:free", "org/{}/v2:7b q4"])
def test_names_may_contain_slashes_and_colons(shape: str):
    name = shape.format(factories.unique("m"))
    factories.server(address(), model=name)
    assert get(f"/v1/models/{name}", factories.person())["id"] == name


def test_a_models_servers_are_shown_without_address_or_token():
    _, hoster = factories.hoster("bob", trust=0.85)
    server, offer = factories.server(
        address(), of=hoster, token="very-secret", price_in=1, price_out=2, health=0.75
    )
    response = Client().get(f"/v1/models/{offer.model_id}", headers=factories.person().headers)
    assert response.json()["servers"] == [
        {
            "owner": hoster.name,
            "kind": "hoster",
            "price_per_input_token": 1,
            "price_per_output_token": 2,
            "next_price_per_input_token": None,
            "next_price_per_output_token": None,
            "price_changes_at": None,
            "context_window": 100_000,
            "ttft_ms_p50": None,
            "ttft_ms_p95": None,
            "latency_ms_p50": None,
            "latency_ms_p95": None,
            "tokens_per_s": None,
            "uptime": None,
            "health": 0.75,
            "trust": 0.85,
            "consistency": None,
            "status": "active",
        }
    ]
    text = response.content.decode()
    assert server.base_url not in text
    assert "very-secret" not in text


def test_an_unknown_model_says_where_the_known_ones_are():
    response = Client().get("/v1/models/no/such:model", headers=factories.person().headers)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "/v1/models" in response.json()["error"]["message"]


def test_models_need_a_key():
    assert Client().get("/v1/models").status_code == 401
    assert Client().get("/v1/models/auto").status_code == 401
