"""Through the running gateway: what a customer may wish for, and why a server was chosen."""

import json

import httpx
import openai
import pytest

from billing.models import Charge
from hosting.models import AutoModel, HostedModel
from routing.models import InferenceRequest
from tests import factories, fakes
from tests.gateway import RunningGateway

HELLO = [{"role": "user", "content": "Hello"}]


def offer(
    gateway: RunningGateway, script: fakes.Script | None = None, **fields: object
) -> tuple[fakes.FakeServer, HostedModel]:
    fake = fakes.FakeServer(script or fakes.model())
    row, offered = factories.server(fake.base_url, **fields)
    gateway.wait_for(row)
    return fake, offered


def post(
    gateway: RunningGateway, who: factories.Person, headers: dict | None = None, **body: object
) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}/v1/chat/completions", headers={**who.headers, **(headers or {})},
        json={"messages": HELLO, **body}, timeout=20,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ fallback_models


def test_another_model_serves_when_no_server_of_the_first_is_left(gateway: RunningGateway) -> None:
    alice = factories.person()
    down, first = offer(gateway, fakes.plain(500, {}))
    up, second = offer(gateway)
    answer = post(gateway, alice, model=first.model_id, fallback_models=[second.model_id])
    assert answer.status_code == 200
    assert answer.json()["model"] == second.model_id
    assert len(down.asked) == len(up.asked) == 1
    request = InferenceRequest.objects.get(customer=alice.customer, success=True)
    assert (request.model_asked, request.model_id) == (first.model_id, second.model_id)


def test_an_unknown_model_falls_back_and_without_a_known_one_is_not_found(gateway: RunningGateway) -> None:
    alice = factories.person()
    _, known = offer(gateway)
    assert (
        post(gateway, alice, model="no-such", fallback_models=["nor-this", known.model_id]).status_code == 200
    )
    assert post(gateway, alice, model="no-such", fallback_models=["nor-this"]).status_code == 404


def test_a_key_must_be_allowed_every_model_that_it_may_fall_back_to(gateway: RunningGateway) -> None:
    alice = factories.person()
    _, first = offer(gateway)
    _, second = offer(gateway)
    key, _ = factories.new_key(alice.customer, allowed_models=[first.model_id])
    headers = {"Authorization": f"Bearer {key}"}
    assert post(gateway, alice, headers, model=first.model_id).status_code == 200
    wide = post(gateway, alice, headers, model=first.model_id, fallback_models=[second.model_id])
    assert wide.json()["error"]["code"] == "model_not_allowed"


def test_a_request_goes_on_to_servers_beyond_the_first_three_and_is_billed_once(
    gateway: RunningGateway,
) -> None:
    """Five servers of a model are gone at once, one is there."""
    alice, name = factories.person(), factories.unique("model")
    for _ in range(5):
        fake, _ = offer(gateway, model=name)
        fake.stop()
    up, _ = offer(gateway, model=name)
    for stream in (False, True):
        answer = post(gateway, alice, model=name, stream=stream)
        assert answer.status_code == 200, answer.text
    assert len(up.asked) == 2
    assert Charge.objects.filter(account=alice.account, state="posted").count() == 2
    assert alice.account.held_nanos == 0


def test_when_all_are_down_it_says_so_and_holds_nothing(gateway: RunningGateway) -> None:
    alice, name = factories.person(), factories.unique("model")
    for _ in range(4):
        fake, _ = offer(gateway, model=name)
        fake.stop()
    statuses = []
    for _ in range(12):
        answer = post(gateway, alice, model=name)
        statuses.append(answer.status_code)
        assert answer.headers["retry-after"]
    assert set(statuses[:1]) <= {502, 503}
    assert statuses[-1] == 503
    assert alice.account.held_nanos == 0
    assert alice.account.posted_nanos == 5 * 10**9


# --------------------------------------------------------------------------------------------------------- auto


def test_auto_draws_from_the_list_of_the_admin(gateway: RunningGateway) -> None:
    alice = factories.person()
    question = [{"role": "user", "content": "Write an essay on the history of Rome, please, in three parts."}]
    _, wanted = offer(gateway, price_in=1, price_out=1)
    other, _ = offer(gateway, price_in=0, price_out=0)
    AutoModel.objects.create(model_id=wanted.model_id)
    try:
        gateway.refresh()
        for _ in range(5):
            answer = post(gateway, alice, model="auto", messages=question)
            assert answer.json()["model"] == wanted.model_id
        assert not other.asked
    finally:
        AutoModel.objects.all().delete()
        gateway.refresh()


def test_a_model_for_embeddings_is_no_choice_for_a_conversation(gateway: RunningGateway) -> None:
    alice = factories.person()
    embeds, embedder = offer(gateway, price_in=0, price_out=0, chats=False)
    _, chatter = offer(gateway, price_in=1, price_out=1)
    for row in (embedder, chatter):
        AutoModel.objects.create(model_id=row.model_id)
    try:
        gateway.refresh()
        for _ in range(5):
            assert post(gateway, alice, model="auto").json()["model"] == chatter.model_id
        refused = post(gateway, alice, model=embedder.model_id)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_by_model")
        helped = post(gateway, alice, model=embedder.model_id, fallback_models=[chatter.model_id])
        assert helped.json()["model"] == chatter.model_id
        assert not embeds.asked
        body = {"model": embedder.model_id, "input": "Rome"}
        answer = httpx.post(f"{gateway.url}/v1/embeddings", json=body, headers=alice.headers, timeout=20)
        assert answer.status_code == 200, answer.text
        HostedModel.objects.filter(pk=embedder.pk).update(chats=True)
        gateway.refresh()
        assert post(gateway, alice, model=embedder.model_id).status_code == 200, "at the next request"
    finally:
        AutoModel.objects.all().delete()
        gateway.refresh()


# ------------------------------------------------------------------------------------------------------ explain


def test_the_answer_says_why_when_it_is_asked(gateway: RunningGateway) -> None:
    alice, name = factories.person(), factories.unique("model")
    bad, refused = offer(gateway, fakes.plain(503, {}), model=name, price_in=1, price_out=1)
    good, served = offer(gateway, model=name)
    _, dear = offer(gateway, model=name, price_in=10**6, price_out=10**6)
    wish = {"max_price": {"input": 1_000}}
    answer = post(gateway, alice, {"X-NeuralGate-Explain": "1"}, model=name, tier="cheapest", **wish).json()
    why = answer["neuralgate"]["explanation"]
    assert why["filters"] == {str(dear.server_id): "max_price"}
    assert {row["server"] for row in why["factors"]} == {refused.server_id, served.server_id}
    assert {"trust", "health", "consistency", "expected_ms", "expected_cost_nanos", "share"} <= set(
        why["factors"][0]
    )
    assert why["draw"]["servers"] == [refused.server_id, served.server_id]
    assert [(row["server"], row["outcome"]) for row in why["attempts"]] == [
        (refused.server_id, "status 503"),
        (served.server_id, "served"),
    ]
    text = json.dumps(answer)
    assert bad.base_url not in text
    assert good.token not in text


def test_a_stream_and_an_error_say_why_too_and_without_the_header_nothing_is_added(
    gateway: RunningGateway,
) -> None:
    alice = factories.person()
    _, served = offer(gateway)
    streamed = post(gateway, alice, {"X-NeuralGate-Explain": "1"}, model=served.model_id, stream=True).text
    last = json.loads(streamed.split("\n\n")[-3].removeprefix("data: "))
    assert last["choices"] == []
    assert last["neuralgate"]["explanation"]["attempts"][0]["outcome"] == "served"
    assert "usage" not in last
    _, broken = offer(gateway, fakes.plain(500, {}))
    failed = post(gateway, alice, {"X-NeuralGate-Explain": "1"}, model=broken.model_id).json()
    assert failed["neuralgate"]["explanation"]["attempts"][0]["outcome"] == "status 500"
    for stream in (False, True):
        assert "neuralgate" not in post(gateway, alice, model=served.model_id, stream=stream).text


def test_when_every_server_is_left_out_the_error_says_why_each_one(gateway: RunningGateway) -> None:
    alice = factories.person()
    _, dear = offer(gateway, price_in=10**6)
    wish = {"max_price": {"input": 5}}
    why = {"X-NeuralGate-Explain": "1"}
    answer = post(gateway, alice, why, model=dear.model_id, **wish)
    assert answer.status_code == 503
    assert answer.json()["neuralgate"]["explanation"]["filters"] == {str(dear.server_id): "max_price"}
    assert "max_price" in answer.json()["error"]["message"]
    assert "neuralgate" not in post(gateway, alice, model=dear.model_id, **wish).json()


def test_the_reasons_of_a_failure_are_kept_and_those_of_most_successes_are_not(
    gateway: RunningGateway,
) -> None:
    alice = factories.person()
    _, broken = offer(gateway, fakes.plain(500, {}))
    post(gateway, alice, model=broken.model_id)
    request = InferenceRequest.objects.get(customer=alice.customer)
    assert request.explanation["attempts"][0]["server"] == broken.server_id
    assert "Hello" not in json.dumps(request.explanation)


def test_a_kept_success_says_how_was_asked_and_not_what(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routing import booking

    monkeypatch.setattr(booking, "EXPLAINED_ONE_IN", 1)
    alice = factories.person()
    _, served = offer(gateway)
    messages = [
        {"role": "system", "content": "Be a pirate."},
        {"role": "user", "content": "A very secret word"},
    ]
    post(gateway, alice, model=served.model_id, messages=messages, temperature=0.3, max_tokens=100)
    request = InferenceRequest.objects.get(customer=alice.customer)
    shape = json.loads(request.explanation["shape"])
    assert shape["temperature"] == 0.3
    assert shape["sizes"] == [12, 18]
    kept = json.dumps(request.explanation)
    assert "pirate" not in kept
    assert "secret" not in kept


def test_the_official_client_reads_explained_answers(gateway: RunningGateway) -> None:
    alice = factories.person()
    _, served = offer(gateway)
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=alice.key, max_retries=0)
    explain = {"X-NeuralGate-Explain": "1"}
    whole = client.chat.completions.create(model=served.model_id, messages=HELLO, extra_headers=explain)
    assert whole.model_extra["neuralgate"]["explanation"]["draw"]["servers"] == [served.server_id]
    chunks = list(
        client.chat.completions.create(
            model=served.model_id, messages=HELLO, stream=True, extra_headers=explain
        )
    )
    assert chunks[-1].model_extra["neuralgate"]
