"""The simulated model servers answer as real ones do."""

import socket
import threading
from collections.abc import Iterator

import httpx
import openai
import pytest
import uvicorn

from neuralgate.demo.simulator import Simulator, Spec

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    spec = Spec(port, "secret", ("small",), ("vectors",), first_token_ms=0, tokens_per_s=10_000)
    config = uvicorn.Config(Simulator(Spec.decode(spec.encode())), log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=5)


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="secret", max_retries=0) as client:
        yield client


def test_health_is_open_and_the_rest_needs_the_token(base_url: str):
    assert httpx.get(f"{base_url}/health").status_code == 200
    for token in ("", "Bearer wrong", "secret"):
        answer = httpx.get(f"{base_url}/v1/models", headers={"Authorization": token})
        assert (answer.status_code, "Invalid" in answer.text) == (401, True)
    assert httpx.get(f"{base_url}/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_the_answer_fits_the_question_and_the_usage_is_honest(client: openai.OpenAI):
    answer = client.chat.completions.create(model="small", messages=CAPITAL)
    text = answer.choices[0].message.content
    assert text == "The capital of France is Paris."
    assert answer.usage.completion_tokens == -(-len(text) // 4)
    assert answer.usage.prompt_tokens == -(-len(CAPITAL[0]["content"]) // 4)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 12 times 12?", "144"),
        ("What is the chemical symbol for gold?", "Au"),
        ("Who are you?", "I am small, an open-weights model"),
        ("Tell me of zebras", "Tell me of zebras"),
    ],
)
def test_it_knows_a_little_and_repeats_the_rest(client: openai.OpenAI, question: str, answer: str):
    messages = [{"role": "user", "content": question}]
    assert (
        answer in client.chat.completions.create(model="small", messages=messages).choices[0].message.content
    )


def test_a_stream_is_role_contents_finish_usage(client: openai.OpenAI):
    options = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3, "n": 2}
    chunks = list(client.chat.completions.create(model="small", messages=CAPITAL, **options))
    assert chunks[0].choices[0].delta.role == "assistant"
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == ["The capital "] * 2
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == [
        "length"
    ] * 2
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 6)


@pytest.mark.parametrize("stream", [False, True])
def test_the_weather_calls_the_tool(client: openai.OpenAI, stream: bool):
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.chat.completions.create(model="small", messages=question, tools=[WEATHER], stream=stream)
    if stream:
        deltas = [chunk.choices[0].delta.tool_calls for chunk in answer]
        calls = [call.function for delta in deltas for call in delta or []]
        name, arguments = calls[0].name, "".join(call.arguments for call in calls)
    else:
        call = answer.choices[0].message.tool_calls[0].function
        name, arguments = call.name, call.arguments
    assert (name, arguments) == ("get_weather", '{"city": "Paris"}')


def test_completions_and_embeddings(client: openai.OpenAI):
    assert client.completions.create(model="small", prompt="9 + 9").choices[0].text == "9 + 9 is 18."
    vectors = client.embeddings.create(model="vectors", input=["one", "two", "one"]).data
    assert len(vectors[0].embedding) == 64
    assert vectors[0].embedding == vectors[2].embedding != vectors[1].embedding


def test_an_unknown_model_is_404(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="other", messages=CAPITAL)
