"""What a server must show at registration, asked of real servers on loopback."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hosting import verification
from hosting.verification import Asked, Verification, read
from tests import fakes
from tests.hosting.servers import Answer, ScriptedServer, model

TOKEN = "bobs-own-token"


def asked(names: list[str]) -> list[Asked]:
    return [Asked(name, name) for name in names]


@pytest.fixture
def verify() -> Iterator[Callable[..., Verification]]:
    servers: list[ScriptedServer] = []

    def start_and_verify(answer: Answer, *, models: list[str] | None = None) -> Verification:
        servers.append(ScriptedServer(answer))
        return asyncio.run(
            verification.verify(base_url=servers[-1].base_url, token=TOKEN, models=asked(models or ["llama"]))
        )

    yield start_and_verify
    for server in servers:
        server.stop()


def test_a_server_that_does_everything_right_passes(verify: Callable[..., Verification]) -> None:
    seen: list[fakes.Request] = []
    right = model(TOKEN)

    def answer(request: fakes.Request) -> tuple[int, Any]:
        seen.append(request)
        return right(request)

    found = verify(answer, models=["llama", "qwen2.5:7b"])
    assert found.errors == ()
    assert list(found.fingerprints) == ["llama", "qwen2.5:7b"]
    posts = [request for request in seen if request.method == "POST"]
    accepted = [request for request in posts if request.headers.get("authorization") == f"Bearer {TOKEN}"]
    assert [request.body["model"] for request in accepted] == ["llama"] * 4 + ["qwen2.5:7b"] * 4
    assert all(request.body["max_tokens"] <= 48 for request in posts)


def test_a_server_without_a_health_route_passes_by_its_models(verify: Callable[..., Verification]) -> None:
    assert verify(model(TOKEN, health=404)).ok


def test_an_open_server_is_refused_and_told_how_to_start(verify: Callable[..., Verification]) -> None:
    found = verify(lambda request: (200, {"choices": [{"message": {"content": "Hello."}}]}))
    assert not found.ok
    assert "--api-key TOKEN" in found.errors[0]
    assert "without the token" in found.errors[0]


def test_a_server_that_takes_any_token_is_refused(verify: Callable[..., Verification]) -> None:
    def answer(request: fakes.Request) -> tuple[int, Any]:
        if request.method == "POST" and "authorization" not in request.headers:
            return 401, {}
        return 200, {"choices": [{"message": {"content": "Hello."}}]}

    found = verify(answer)
    assert ["with a wrong token" in error for error in found.errors] == [True]


def test_open_models_with_closed_inference_pass_as_llama_server_has_it(
    verify: Callable[..., Verification],
) -> None:
    right = model(TOKEN)
    assert verify(lambda request: (200, {}) if request.method == "GET" else right(request)).ok


def test_a_server_that_refuses_the_token_is_told_so_without_it(verify: Callable[..., Verification]) -> None:
    found = verify(model("another-token"))
    assert not found.ok
    assert "does not accept the token" in found.errors[0]
    assert all(TOKEN not in error for error in found.errors)


def test_every_model_is_tried(verify: Callable[..., Verification]) -> None:
    right = model(TOKEN)

    def answer(request: fakes.Request) -> tuple[int, Any]:
        status, body = right(request)
        return (404, {}) if status == 200 and request.body.get("model") == "missing" else (status, body)

    found = verify(answer, models=["llama", "missing"])
    assert found.errors == (
        "POST /v1/chat/completions of missing answers 404 instead of 200. Check the model's name.",
    )


def says(name: str) -> Answer:
    """A server whose model is asked who it is."""
    right = model(TOKEN)

    def answer(request: fakes.Request) -> tuple[int, Any]:
        status, body = right(request)
        if status == 200 and "Who are you" in str(request.body):
            assert (request.body["temperature"], request.body["max_tokens"]) == (0, 48)
            body["choices"][0]["message"]["content"] = name
        return status, body

    return answer


def test_a_model_that_calls_itself_a_commercial_one_is_refused(verify: Callable[..., Verification]) -> None:
    (error,) = verify(says("I am ChatGPT, made by OpenAI."), models=["llama"]).errors
    assert "llama calls itself ChatGPT" in error
    assert "under its own name" in error
    assert TOKEN not in error


def test_a_model_may_name_what_its_public_id_names(verify: Callable[..., Verification]) -> None:
    assert verify(says("I am ChatGPT, made by OpenAI."), models=["gpt-oss:20b"]).ok


def test_the_public_id_counts_and_not_the_servers_own_name() -> None:
    server = ScriptedServer(says("I am Claude."))
    models = [Asked("llama-3", "claude")]
    found = asyncio.run(verification.verify(base_url=server.base_url, token=TOKEN, models=models))
    server.stop()
    assert "claude calls itself Claude" in found.errors[0]


def test_the_fingerprint_is_what_the_server_said_and_how_fast(verify: Callable[..., Verification]) -> None:
    right = model(TOKEN)

    def answer(request: fakes.Request) -> tuple[int, Any]:
        status, body = right(request)
        return status, body | {"model": "llama.gguf", "system_fingerprint": "b1", "usage": None}

    kept = verify(answer).fingerprints["llama"]
    assert (kept["model"], kept["system_fingerprint"]) == ("llama.gguf", "b1")
    assert [len(digest) for digest in kept["answers"]] == [64] * 3
    assert kept["ms_per_token"] >= 0


def test_an_answer_in_another_shape_is_refused(verify: Callable[..., Verification]) -> None:
    assert "OpenAI's shape" in verify(model(TOKEN, content=["no", "text"])).errors[0]


def test_an_unwell_server_is_not_asked_further(verify: Callable[..., Verification]) -> None:
    asked: list[str] = []

    def answer(request: fakes.Request) -> tuple[int, Any]:
        asked.append(request.path)
        return 503, {}

    assert verify(answer).errors == ("The server is not well: GET /health answers 503 instead of 200.",)
    assert asked == ["/health"]


def test_a_server_that_never_answers_is_given_up(
    verify: Callable[..., Verification], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "CHAT_TIMEOUT_S", 0.2)
    fake = fakes.FakeServer(fakes.silent(), token=TOKEN)
    found = asyncio.run(verification.verify(base_url=fake.base_url, token=TOKEN, models=asked(["llama"])))
    assert found.errors == ("POST /v1/chat/completions of llama: no answer within 0.2 seconds.",)
    fake.stop()


def test_an_address_inside_is_never_asked(settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = settings.ALLOW_HTTP_HOSTERS = False
    server = ScriptedServer(model(TOKEN))
    found = asyncio.run(verification.verify(base_url=server.base_url, token=TOKEN, models=asked(["llama"])))
    assert not found.ok
    assert server.requests == []
    server.stop()


@pytest.mark.parametrize(
    ("body", "ok"),
    [
        (b'{"choices": [{"message": {"content": "Hi"}}]}', True),
        (b'{"choices": [{"message": {"content": ""}}]}', True),
        (b'{"choices": [{"message": {"content": null, "reasoning_content": "Hm"}}]}', True),
        (b'{"choices": [{"message": {"content": null}}]}', False),
        (b'{"choices": [{"text": "Hi"}]}', False),
        (b'{"choices": []}', False),
        (b'{"choices": {}}', False),
        (b'{"choices": [{"message": []}]}', False),
        (b"[]", False),
        (b"null", False),
        (b"<html>", False),
        (b"[" * 100_000, False),
        (b"", False),
    ],
)
def test_the_shape_of_a_chat_completion(body: bytes, ok: bool) -> None:
    assert (read(body) is not None) is ok
