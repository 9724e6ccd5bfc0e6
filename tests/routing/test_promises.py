"""Promises that only show at a certain moment: while a booking waits, a price changes, a server breaks."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from django.db import transaction
from django.utils import timezone

from billing.models import Charge, LedgerAccount
from hosting.models import HostedModel
from routing.attempt import Attempt
from tests import factories, fakes
from tests.gateway import RunningGateway

SECRET = "the-prompt-nobody-may-read"
QUESTION = {"messages": [{"role": "user", "content": f"What is {SECRET}?"}]}
ANSWER = {
    "choices": [{"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": fakes.usage_block((10, 8)),
}


def ask(gateway: RunningGateway, key: str, model: str, **fields: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    body = {"model": model, **QUESTION, **fields}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


class Paused:
    """A server that answers up to its last part, says so, and waits to be told to go on."""

    def __init__(self, *, stream: bool) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self._stream = stream

    async def __call__(self, request: fakes.Request) -> AsyncIterator[bytes]:
        events = fakes.events(["Hello ", "world"], (10, 8))
        if self._stream:
            yield fakes.STREAM_HEAD
            for event in events[:-3]:
                yield fakes.chunked(event)
        self.reached.set()
        await asyncio.to_thread(self.go.wait, 10)
        if self._stream:
            for event in events[-3:]:
                yield fakes.chunked(event)
            yield b"0\r\n\r\n"
        else:
            yield fakes.http(200, "application/json", json.dumps(ANSWER).encode())


class Listener(threading.Thread):
    """A client that notes what has arrived so far."""

    def __init__(self, gateway: RunningGateway, who: factories.Person, model: str, *, stream: bool) -> None:
        super().__init__(daemon=True)
        self.received = b""
        self._request = (gateway.url, who.headers, {"model": model, "stream": stream, **QUESTION})
        self.start()

    def run(self) -> None:
        url, headers, body = self._request
        with httpx.stream(
            "POST", f"{url}/v1/chat/completions", json=body, headers=headers, timeout=20
        ) as answer:
            for piece in answer.iter_raw():
                self.received += piece


@pytest.mark.parametrize("stream", [False, True])
def test_the_last_bytes_wait_for_the_booking(gateway: RunningGateway, stream: bool):
    alice = factories.person()
    script = Paused(stream=stream)
    _, offer = factories.server(fakes.FakeServer(script).base_url)
    client = Listener(gateway, alice, offer.model_id, stream=stream)
    assert script.reached.wait(5)
    with transaction.atomic():  # nothing can be booked on this account
        LedgerAccount.objects.select_for_update().get(pk=alice.account.pk)
        script.go.set()
        time.sleep(0.3)
        early = client.received
    client.join(10)
    assert b"[DONE]" not in early
    assert b'"finish_reason":"stop"' not in early
    assert (b"world" in early) == stream
    assert client.received.endswith(b"data: [DONE]\n\n") if stream else b"Hello" in client.received
    assert Charge.objects.get(account=alice.account).state == "posted"


def test_a_price_that_changes_under_way_is_not_this_requests(gateway: RunningGateway):
    alice = factories.person()
    script = Paused(stream=False)
    _, offer = factories.server(fakes.FakeServer(script).base_url, price_in=100, price_out=300)
    client = Listener(gateway, alice, offer.model_id, stream=False)
    assert script.reached.wait(5)
    HostedModel.objects.filter(pk=offer.pk).update(price_per_input_token=7, price_per_output_token=9)
    script.go.set()
    client.join(10)
    assert Charge.objects.get(account=alice.account).gross_nanos == 10 * 100 + 8 * 300
    assert ask(gateway, alice.key, offer.model_id).status_code == 200
    assert Charge.objects.filter(account=alice.account).latest("created_at").gross_nanos == 10 * 7 + 8 * 9


def test_after_the_first_word_no_other_server_is_asked(gateway: RunningGateway):
    alice = factories.person()
    dies = fakes.stream(fakes.events(["Hello "], finish=None)[:-1], pause_s=0.01, cut=True)
    servers = [fakes.FakeServer(dies), fakes.FakeServer(dies)]
    _, offer = factories.server(servers[0].base_url)
    added, _ = factories.server(servers[1].base_url, model=offer.model_id)
    gateway.wait_for(added)
    answer = ask(gateway, alice.key, offer.model_id, stream=True)
    assert answer.text.count("Hello") == 1
    assert sum(len(server.asked) for server in servers) == 1


def test_the_address_is_checked_at_the_request_too():
    """A server that was registered when the rules or the name's address were others."""
    alice = factories.person()
    server = fakes.FakeServer(fakes.model())
    _, offer = factories.server(server.base_url)
    with RunningGateway(ALLOW_PRIVATE_ADDRESSES=False) as strict:
        assert ask(strict, alice.key, offer.model_id).status_code == 502
    assert server.requests == []


def test_a_revoked_key_is_refused_on_the_next_request(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model())
    _, offer = factories.server(server.base_url)
    assert ask(gateway, alice.key, offer.model_id).status_code == 200
    alice.api_key.revoked_at = timezone.now()
    alice.api_key.save()
    answer = ask(gateway, alice.key, offer.model_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "revoked_api_key")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "script",
    [
        fakes.model(f"An answer that repeats {SECRET}."),
        fakes.plain(500, {"error": {"message": SECRET}}),
        fakes.plain(400, {"error": {"message": SECRET}}),
        fakes.plain(200, {"choices": [{"index": 0, "message": SECRET}]}),
        fakes.raw(fakes.http(200, "application/json", SECRET.encode())),
        fakes.raw(fakes.http(200, "application/json", SECRET.encode())[:-1], then_close=True),
        fakes.raw(SECRET.encode(), then_close=True),
    ],
)  # fmt: skip
def test_no_log_holds_a_prompt_an_answer_a_key_or_a_token(
    gateway: RunningGateway, logged: Callable[[], str], script: fakes.Script
):
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(script).base_url)
    for stream in (False, True):
        ask(gateway, alice.key, offer.model_id, stream=stream)
    assert_clean(logged(), alice)


def test_no_log_of_a_fault_of_ours_holds_them_either(
    gateway: RunningGateway, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
):
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model()).base_url)

    def fail(self: Attempt, *details: object, **more: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Attempt, "_read_whole", fail)
    assert ask(gateway, alice.key, offer.model_id).status_code == 500
    text = logged()
    assert "relay.broken" in text  # it is logged, with its traceback
    assert "RuntimeError" in text
    assert_clean(text, alice)


def assert_clean(text: str, who: factories.Person) -> None:
    for secret in (SECRET, who.key, who.api_key.digest.hex(), "server-token-of-tests"):
        assert secret not in text


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that any logger said so far, at every level, formatted as in production."""
    caplog.set_level(logging.DEBUG)
    for name in ("routing", "hosting", "billing", "accounts", "django", "uvicorn"):
        caplog.set_level(logging.DEBUG, logger=name)

    def text() -> str:
        time.sleep(0.05)  # an error does not wait for its booking
        form = logging.getLogger().handlers[0].formatter
        return "\n".join(
            f"{(form or logging.Formatter()).format(record)} {record.__dict__}" for record in caplog.records
        )

    return text
