"""The official client, unchanged, through the gateway."""

import asyncio

import openai
import pytest

from accounts.models import ApiKey, Tier
from billing.models import Charge
from tests import factories, fakes
from tests.gateway import RunningGateway

MESSAGES: list = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def client(gateway: RunningGateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=20)


def test_chat_and_streamed_chat_with_usage(gateway: RunningGateway):
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model(usage=(10, 8))).base_url)
    ask = client(gateway, alice.key).chat.completions
    answer = ask.create(model=offer.model_id, messages=MESSAGES)
    assert answer.choices[0].message.content == "Paris is the capital of France."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 18
    chunks = list(
        ask.create(
            model=offer.model_id, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert (
        "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        == "Paris is the capital of France."
    )
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8
    assert {c.id for c in chunks} == {chunks[0].id}


def test_tools_streamed_and_not(gateway: RunningGateway):
    alice = factories.person()
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": None}
    server = fakes.FakeServer(fakes.plain(200, whole))
    _, offer = factories.server(server.base_url)
    ask = client(gateway, alice.key).chat.completions
    answer = ask.create(model=offer.model_id, messages=MESSAGES, tools=[WEATHER])
    assert answer.choices[0].message.tool_calls
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"
    assert server.asked[-1].body["tools"] == [WEATHER]

    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"city"', ': "Paris"}')]
    server.script = fakes.stream(
        [fakes.sse(fakes.chunk({"tool_calls": [part]})) for part in (first, *pieces)]
        + [fakes.sse(fakes.chunk({}, "tool_calls")), fakes.sse(b"[DONE]")]
    )
    arguments = ""
    for chunk in ask.create(model=offer.model_id, messages=MESSAGES, tools=[WEATHER], stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            arguments += (part.function and part.function.arguments) or ""
    assert arguments == '{"city": "Paris"}'


def test_embeddings_and_completions(gateway: RunningGateway):
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model(usage=(4, 0))).base_url)
    answer = client(gateway, alice.key).embeddings.create(model=offer.model_id, input=["one", "two"])
    assert [row.embedding for row in answer.data] == [[0.25, -0.5]] * 2
    assert answer.usage.prompt_tokens == 4
    _, offer = factories.server(fakes.FakeServer(fakes.model("Paris", usage=(4, 1))).base_url)
    text = client(gateway, alice.key).completions.create(
        model=offer.model_id, prompt="The capital of France is"
    )
    assert text.choices[0].text == "Paris"


def test_models_are_listed_with_auto_first(gateway: RunningGateway):
    alice = factories.person()
    _, offer = factories.server(
        fakes.FakeServer(fakes.model()).base_url, model="org/family:7b-" + factories.unique("m")
    )
    models = client(gateway, alice.key).models
    listed = [model.id for model in models.list()]
    assert listed[0] == "auto"
    assert offer.model_id in listed
    assert models.retrieve(offer.model_id).id == offer.model_id


def test_typed_exceptions(gateway: RunningGateway):
    Tier.objects.get_or_create(name="once", defaults={"requests_per_day": 1})
    alice, poor = factories.person(), factories.person()
    server = fakes.FakeServer(fakes.plain(500, {}))
    _, offer = factories.server(server.base_url, price_in=10**6, price_out=10**6)
    ask = client(gateway, alice.key).chat.completions
    with pytest.raises(openai.BadRequestError) as bad:
        ask.create(model=offer.model_id, messages=[])
    assert bad.value.param == "messages"
    with pytest.raises(openai.AuthenticationError):
        client(gateway, "ngk_" + "0" * 40).chat.completions.create(model=offer.model_id, messages=MESSAGES)
    with pytest.raises(openai.NotFoundError) as missing:
        ask.create(model="no-such-model", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    assert "'no-such-model' does not exist here" in missing.value.message
    with pytest.raises(openai.NotFoundError, match=f"Did you mean {offer.model_id}"):
        ask.create(model=offer.model_id[1:].upper(), messages=MESSAGES)
    with pytest.raises(openai.APIStatusError) as broke:
        client(gateway, poor.key).chat.completions.create(
            model=offer.model_id, messages=MESSAGES, max_tokens=10_000
        )
    assert (broke.value.status_code, broke.value.code) == (402, "insufficient_credit")
    assert "$5.00 is free" in broke.value.message
    limited = factories.person(tier="once")
    _, well = factories.server(fakes.FakeServer(fakes.model()).base_url)
    hurried = client(gateway, limited.key).chat.completions
    hurried.create(model=well.model_id, messages=MESSAGES)
    with pytest.raises(openai.RateLimitError) as slower:
        hurried.create(model=well.model_id, messages=MESSAGES)
    assert int(slower.value.response.headers["retry-after"]) > 0
    for _ in range(3):
        with pytest.raises(openai.InternalServerError):
            ask.create(model=offer.model_id, messages=MESSAGES, max_tokens=1)
    with pytest.raises(openai.InternalServerError) as down:
        ask.create(model=offer.model_id, messages=MESSAGES, max_tokens=1)
    assert down.value.status_code == 503
    assert int(down.value.response.headers["retry-after"]) > 0


def test_two_hundred_calls_at_once_on_one_key_are_each_booked_once(gateway: RunningGateway):
    alice = factories.person()
    _, offer = factories.server(
        fakes.FakeServer(fakes.model(usage=(10, 8), pause_s=0.01)).base_url, slots=500
    )

    async def calls() -> int:
        async with openai.AsyncOpenAI(api_key=alice.key, base_url=f"{gateway.url}/v1", max_retries=0) as ask:
            answers = await asyncio.gather(
                *(ask.chat.completions.create(model=offer.model_id, messages=MESSAGES) for _ in range(200))
            )
        return sum(
            answer.choices[0].message.content == "Paris is the capital of France." for answer in answers
        )

    assert asyncio.run(calls()) == 200
    assert Charge.objects.filter(account=alice.account, state="posted").count() == 200
    assert alice.account.posted_nanos == 5_000_000_000 - 200 * 3_400
    assert alice.account.held_nanos == 0


def test_a_revoked_key_is_refused_on_the_next_request(gateway: RunningGateway):
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model()).base_url)
    ask = client(gateway, alice.key).chat.completions
    ask.create(model=offer.model_id, messages=MESSAGES)
    ApiKey.objects.filter(pk=alice.api_key.pk).update(revoked_at="2026-01-01T00:00:00Z")
    with pytest.raises(openai.AuthenticationError) as refused:
        ask.create(model=offer.model_id, messages=MESSAGES)
    assert refused.value.code == "revoked_api_key"
