"""Every ending a request can have, and who pays: the table in docs/ledger.md, line by line."""

import asyncio
import concurrent.futures
import json
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from billing.models import Charge
from hosting.models import HostedModel
from routing.models import InferenceRequest
from tests import factories, fakes
from tests.gateway import RunningGateway

WELCOME = 5_000_000_000
TEXT = "One two three four five six seven eight nine ten."
PROMPT = "Count to ten, please."  # 21 bytes: 6 tokens, and 4 for the message
CLIENT = httpx.Client(timeout=20)
ASK = {"messages": [{"role": "user", "content": PROMPT}]}


def post(gateway: RunningGateway, who: factories.Person, model: str, **fields: object) -> httpx.Response:
    return CLIENT.post(
        f"{gateway.url}/v1/chat/completions", json={"model": model, **ASK, **fields}, headers=who.headers
    )


def settled(who: factories.Person) -> Charge:
    """The customer's only charge, once it is settled."""
    return eventually(lambda: Charge.objects.exclude(state="held").get(account=who.account))


def eventually(find: Callable[[], Charge]) -> Charge:
    for _ in range(200):
        try:
            return find()
        except Charge.DoesNotExist:
            time.sleep(0.02)
    return find()


def outcome(charge: Charge) -> str:
    return InferenceRequest.objects.get(pk=charge.pk).outcome


def assert_free(who: factories.Person) -> None:
    for _ in range(100):
        if who.account.held_nanos == 0:
            break
        time.sleep(0.02)  # an error does not wait for its booking
    assert (who.account.posted_nanos, who.account.held_nanos) == (WELCOME, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_finished_answer_is_billed_as_claimed(gateway: RunningGateway, stream: bool):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(TEXT, usage=(11, 12)))
    _, offer = factories.server(server.base_url)
    assert post(gateway, alice, offer.model_id, stream=stream).status_code == 200
    charge = settled(alice)
    assert (charge.input_tokens, charge.output_tokens, outcome(charge)) == (11, 12, "finished")


@pytest.mark.parametrize("stream", [False, True])
def test_without_a_claim_the_estimate_is_billed(gateway: RunningGateway, stream: bool):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(TEXT, usage=None))
    _, offer = factories.server(server.base_url)
    post(gateway, alice, offer.model_id, stream=stream)
    charge = settled(alice)
    assert (charge.input_tokens, charge.output_tokens) == (6 + 4, -(-len(TEXT) // 4))


@pytest.mark.parametrize("stream", [False, True])
def test_a_claim_of_zero_is_zero(gateway: RunningGateway, stream: bool):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(TEXT, usage=(0, 0)))
    _, offer = factories.server(server.base_url)
    post(gateway, alice, offer.model_id, stream=stream)
    assert settled(alice).gross_nanos == 0
    assert_free(alice)


def test_an_inflated_claim_is_cut_to_what_was_delivered(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(TEXT, usage=(9_000, 9_000)))
    _, offer = factories.server(server.base_url)
    body = post(gateway, alice, offer.model_id).json()
    charge = settled(alice)
    estimate = -(-len(TEXT) // 4)
    assert charge.output_tokens == int(1.25 * estimate) + 16
    assert charge.input_tokens == int(1.25 * 10) + 16
    assert body["usage"]["completion_tokens"] == charge.output_tokens


def test_never_more_than_max_tokens_is_billed(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(TEXT, usage=(10, 12)))
    _, offer = factories.server(server.base_url)
    post(gateway, alice, offer.model_id, max_tokens=5)
    assert settled(alice).output_tokens == 5
    assert server.asked[-1].body["max_tokens"] == 5


@pytest.mark.parametrize(
    "script",
    [
        fakes.plain(500, {"error": "x"}),
        fakes.plain(503, {}),
        fakes.plain(401, {}),
        fakes.plain(307, {}, extra="location: http://127.0.0.1:1/\r\n"),
        fakes.raw(fakes.http(200, "text/html", b"<html>")),
        fakes.raw(fakes.http(200, "application/json", b"")),
        fakes.raw(fakes.http(200, "application/json", b"null")),
        fakes.raw(fakes.http(200, "application/json", b"[]")),
        fakes.raw(fakes.http(200, "application/json", b'{"choices": [], "x": NaN}')),
        fakes.plain(200, {"choices": []}),
        fakes.plain(200, {"choices": None}),
        fakes.plain(200, {"choices": "x"}),
        fakes.plain(200, {"choices": [1]}),
        fakes.plain(200, {"choices": [{"index": 0, "message": "x"}]}),
        fakes.plain(200, {"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": None}]}),
        fakes.plain(200, {"error": {"message": "boom"}}),
        fakes.plain(
            200, {"choices": [{"index": 0, "message": {"content": "x"}}], "usage": {"prompt_tokens": -1}}
        ),
        fakes.plain(
            200, {"choices": [{"index": 0, "message": {"content": "x"}}], "usage": {"prompt_tokens": "9"}}
        ),
        fakes.raw(fakes.http(200, "application/json", b"xx", "content-encoding: gzip\r\n")),
        fakes.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{",
            then_close=True,
        ),
        fakes.raw(b"garbage\r\n\r\n", then_close=True),
        fakes.raw(b"", then_close=True),
    ],
)
def test_a_failure_before_the_answer_moves_on_to_the_next_server(
    gateway: RunningGateway, script: fakes.Script
):
    alice = factories.person()
    bad = fakes.FakeServer(script)
    _, offer = factories.server(bad.base_url, price_in=0, price_out=0)
    error = post(gateway, alice, offer.model_id)
    assert error.status_code in (502, 503), error.text
    assert set(error.json()["error"]) == {"message", "type", "param", "code"}
    assert outcome(settled(alice)) == "no_server"
    assert_free(alice)

    good = fakes.FakeServer(fakes.model(TEXT))
    added, _ = factories.server(good.base_url, model=offer.model_id, price_in=1, price_out=1)
    gateway.wait_for(added)
    for _ in range(6):  # whichever is drawn first, the customer gets an answer
        assert post(gateway, alice, offer.model_id).status_code == 200


@pytest.mark.parametrize(
    "events",
    [
        fakes.events(["Hello ", "world"], finish=None)[:-1],
        fakes.events(["Hello ", "world"], finish=None),
        [*fakes.events(["Hello "], finish=None)[:-1], b"data: {broken\n\n"],
        [*fakes.events(["Hello "], finish=None)[:-1], fakes.sse({"error": {"message": "CUDA"}})],
        [*fakes.events(["Hello "], finish=None)[:-1], b'data: {"choices": [{"index": 0, "del'],
    ],
)
def test_a_stream_that_dies_costs_nothing_and_says_so(gateway: RunningGateway, events: list[bytes]):
    alice = factories.person()
    server = fakes.FakeServer(fakes.stream(events, pause_s=0.01, cut=True))
    _, offer = factories.server(server.base_url)
    answer = post(gateway, alice, offer.model_id, stream=True)
    assert answer.status_code == 200
    last = [line for line in answer.text.split("\n\n") if line][-1]
    assert json.loads(last[6:])["error"]["code"] == "upstream_failed"
    assert "[DONE]" not in answer.text
    assert outcome(settled(alice)) == "upstream_failed"
    assert_free(alice)


def test_a_stream_that_dies_before_its_first_word_moves_on(gateway: RunningGateway):
    alice = factories.person()
    bad = fakes.FakeServer(fakes.stream(fakes.events([], finish=None)[:1], cut=True))
    good = fakes.FakeServer(fakes.model(TEXT))
    _, offer = factories.server(bad.base_url, price_in=0, price_out=0)
    added, _ = factories.server(good.base_url, model=offer.model_id)
    gateway.wait_for(added)
    for _ in range(4):
        assert post(gateway, alice, offer.model_id, stream=True).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    "events",
    [
        fakes.events(["Hello ", "world"])[:-1],  # no [DONE]
        [*fakes.events(["Hello ", "world"]), fakes.sse(b"[DONE]")],
        [*fakes.events(["Hello ", "world"]), fakes.sse(fakes.chunk({"content": "more"}))],
        [event[:-1].replace(b"\n", b"\r\n") + b"\r\n" for event in fakes.events(["Hello ", "world"])],
        [event.replace(b"data: ", b"data:") for event in fakes.events(["Hello ", "world"])],
        [b": comment\n\n", *fakes.events(["Hello ", "world"])],
        [b"\xef\xbb\xbf", *fakes.events(["Hello ", "world"])],
        [fakes.sse({"choices": [], "usage": None}), *fakes.events(["Hello ", "world"])],
    ],
)
def test_a_stream_that_finished_oddly_is_finished(gateway: RunningGateway, events: list[bytes]):
    alice = factories.person()
    server = fakes.FakeServer(fakes.stream(events))
    _, offer = factories.server(server.base_url)
    answer = post(gateway, alice, offer.model_id, stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert answer.text.count("[DONE]") == 1
    text = "".join(
        choice["delta"].get("content", "")
        for line in answer.text.split("\n\n")[:-2]
        for choice in json.loads(line[6:])["choices"]
    )
    assert text == "Hello world"
    charge = settled(alice)
    assert (charge.output_tokens, outcome(charge)) == (3, "finished")


@pytest.mark.parametrize("words", [0, 1, 3, 9])
def test_a_client_that_hangs_up_pays_for_what_was_relayed(gateway: RunningGateway, words: int):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(" ".join(["word"] * 400), pause_s=0.02, usage=(10, 900)))
    _, offer = factories.server(server.base_url)
    body = {"model": offer.model_id, "stream": True, **ASK}
    seen = 0
    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions", json=body, headers=alice.headers
    ) as answer:
        for line in answer.iter_lines():
            seen += "word" in line
            if seen > words:
                break
    charge = settled(alice)
    assert outcome(charge) == "hung_up"
    assert charge.input_tokens == 10
    most = -(-5 * (seen + 8) // 4)  # a few more may have been on their way
    assert -(-5 * seen // 4) - 1 <= charge.output_tokens <= most
    assert alice.account.held_nanos == 0
    for _ in range(100):
        if server.open_connections == 0:
            break
        time.sleep(0.02)
    assert server.open_connections == 0  # the server was told at once


def test_a_client_that_hangs_up_before_the_answer_begins_pays_nothing(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.silent(20))
    _, offer = factories.server(server.base_url)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{gateway.url}/v1/chat/completions",
            json={"model": offer.model_id, **ASK},
            headers=alice.headers,
            timeout=httpx.Timeout(5, read=0.3),
        )
    assert outcome(settled(alice)) == "abandoned"
    assert_free(alice)


def test_a_servers_400_is_the_customers_and_no_other_server_is_asked(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.plain(400, {"error": {"message": "secret detail"}}))
    _, offer = factories.server(server.base_url)
    answer = post(gateway, alice, offer.model_id)
    assert answer.status_code == 400
    assert "secret detail" not in answer.text
    assert outcome(settled(alice)) == "refused"
    assert len(server.asked) == 1


def test_a_busy_server_is_no_failure_and_its_pause_is_passed_on(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.plain(429, {}, extra="retry-after: 7\r\n"))
    _, offer = factories.server(server.base_url)
    answer = post(gateway, alice, offer.model_id)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert_free(alice)


def test_time_limits_and_size_limits_end_a_request(gateway: RunningGateway):
    limits = {
        "UPSTREAM_FIRST_BYTE_TIMEOUT_S": 0.3, "CLIENT_STALL_TIMEOUT_S": 0.3,
        "UPSTREAM_IDLE_TIMEOUT_S": 0.3, "UPSTREAM_TOTAL_TIMEOUT_S": 2,
        "UPSTREAM_STREAM_BYTES_MAX": 40_000, "UPSTREAM_BODY_BYTES_MAX": 10_000, "UPSTREAM_LINE_BYTES_MAX": 5_000,
    }  # fmt: skip
    with RunningGateway(**limits) as strict:
        alice = factories.person()
        _, silent = factories.server(fakes.FakeServer(fakes.silent()).base_url)
        assert post(strict, alice, silent.model_id).status_code == 504
        assert_free(alice)

        _, stalls = factories.server(
            fakes.FakeServer(fakes.stream(fakes.events(["a ", "b "]), pause_s=1)).base_url
        )
        assert "[DONE]" not in post(strict, alice, stalls.model_id, stream=True).text
        assert_free(alice)

        comments = fakes.FakeServer(fakes.stream([b": ping\n\n"] * 100, pause_s=0.1))
        _, chatty = factories.server(comments.base_url)
        assert post(strict, alice, chatty.model_id, stream=True).status_code == 504  # comments are no content
        assert_free(alice)

        huge = {"choices": [{"index": 0, "message": {"content": "x" * 20_000}, "finish_reason": "stop"}]}
        _, fat = factories.server(fakes.FakeServer(fakes.plain(200, huge)).base_url)
        assert post(strict, alice, fat.model_id).status_code == 502
        assert_free(alice)

        _, line = factories.server(fakes.FakeServer(fakes.stream([b"data: " + b"x" * 9_000])).base_url)
        assert post(strict, alice, line.model_id, stream=True).status_code == 502
        assert_free(alice)

        late = [*fakes.events(["Hello"])[:-1], *fakes.events(["late "] * 900, finish=None)]
        _, chatterbox = factories.server(fakes.FakeServer(fakes.stream(late)).base_url)
        carol = factories.person()
        answer = post(strict, carol, chatterbox.model_id, stream=True)
        assert answer.text.endswith("data: [DONE]\n\n")
        assert "late" not in answer.text
        assert settled(carol).output_tokens == 2  # what came after the end is neither kept nor billed

        bob = factories.person()
        endless = fakes.events(["word "] * 3_000, finish=None)[:-1]
        _, long = factories.server(fakes.FakeServer(fakes.stream(endless)).base_url)
        answer = post(strict, bob, long.model_id, stream=True, max_tokens=50)
        assert answer.text.endswith("data: [DONE]\n\n")
        assert '"finish_reason":"length"' in answer.text
        charge = settled(bob)
        assert (charge.output_tokens, outcome(charge)) == (50, "capped")


def test_a_silent_stream_is_kept_open_with_comments(gateway: RunningGateway):
    with RunningGateway(STREAM_COMMENT_EVERY_S=0.2) as talkative:
        alice = factories.person()
        _, offer = factories.server(fakes.FakeServer(fakes.model("one two", pause_s=0.7)).base_url)
        text = post(talkative, alice, offer.model_id, stream=True).text
    assert ": still working\n\n" in text
    assert text.endswith("data: [DONE]\n\n")


def test_choices_and_tool_calls_that_nobody_asked_for_raise_no_bound(gateway: RunningGateway):
    alice = factories.person()
    many = [{"index": n, "message": {"content": "hi"}, "finish_reason": "stop"} for n in range(100)]
    claim = fakes.usage_block((5, 9_000))
    server = fakes.FakeServer(fakes.plain(200, {"choices": many, "usage": claim}))
    _, offer = factories.server(server.base_url)
    assert post(gateway, alice, offer.model_id).json()["error"]["code"] == "upstream_invalid_response"
    calls = [{"index": n, "function": {"name": "a", "arguments": ""}} for n in range(500)]
    message = {"role": "assistant", "content": "hi", "tool_calls": calls}
    server.script = fakes.plain(
        200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": claim}
    )
    _, offer = factories.server(fakes.FakeServer(server.script).base_url)
    bob = factories.person()
    assert post(gateway, bob, offer.model_id).status_code == 200
    assert (
        settled(bob).output_tokens == int(1.25 * -(-502 // 4)) + 16
    )  # 500 names and "hi"; no tools were asked for


def test_a_flood_before_the_first_word_is_not_paid(gateway: RunningGateway):
    with RunningGateway(UPSTREAM_STREAM_BYTES_MAX=40_000) as strict:
        alice = factories.person()
        _, offer = factories.server(
            fakes.FakeServer(fakes.stream([b": " + b"x" * 1_000 + b"\n\n"] * 100)).base_url
        )
        assert post(strict, alice, offer.model_id, stream=True).status_code == 502
        assert_free(alice)


def test_a_finished_stream_whose_body_is_cut_off_is_finished(gateway: RunningGateway):
    alice = factories.person()
    for events in (fakes.events(["Hello"]), fakes.events(["Hello"])[:-1]):
        _, offer = factories.server(fakes.FakeServer(fakes.stream(events, cut=True)).base_url)
        assert post(gateway, alice, offer.model_id, stream=True).text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("retry_after", ["nan", "inf", "-1", "1e9", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_strange_retry_after_is_kept_within_reason(gateway: RunningGateway, retry_after: str):
    alice = factories.person()
    server = fakes.FakeServer(fakes.plain(429, {}, extra=f"retry-after: {retry_after}\r\n"))
    _, offer = factories.server(server.base_url)
    answer = post(gateway, alice, offer.model_id)
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_nested_too_deep_moves_on(gateway: RunningGateway, stream: bool):
    alice = factories.person()
    deep = '{"choices": [{"index": 0, "%s": {"content": "hi", "x": %s}, "finish_reason": "stop"}]}'
    text = deep % ("delta" if stream else "message", "[" * 400 + "]" * 400)
    script = (
        fakes.stream([fakes.sse(text.encode())])
        if stream
        else fakes.raw(fakes.http(200, "application/json", text.encode()))
    )
    _, offer = factories.server(fakes.FakeServer(script).base_url)
    answer = post(gateway, alice, offer.model_id, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_invalid_response")
    assert_free(alice)


def test_one_embedding_for_many_inputs_is_no_answer(gateway: RunningGateway):
    alice = factories.person()
    one = {"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 9}}
    _, offer = factories.server(fakes.FakeServer(fakes.plain(200, one)).base_url)
    body = {"model": offer.model_id, "input": ["text"] * 100}
    answer = CLIENT.post(f"{gateway.url}/v1/embeddings", json=body, headers=alice.headers)
    assert answer.status_code == 502
    assert_free(alice)


def test_a_long_prompt_leaves_what_the_window_has_left(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model())
    _, offer = factories.server(server.base_url, context_window=8_192, price_in=1, price_out=1)
    ask = {"messages": [{"role": "user", "content": "x" * 24_000}], "max_tokens": 1_000}
    CLIENT.post(
        f"{gateway.url}/v1/chat/completions", json={"model": offer.model_id, **ask}, headers=alice.headers
    )
    assert server.asked[-1].body["max_tokens"] == 1_000


def test_a_server_that_leads_back_to_us_is_refused(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model())
    _, offer = factories.server(server.base_url)
    post(gateway, alice, offer.model_id)
    assert server.asked[-1].headers["x-ng-hop"] == "1"
    url = f"{gateway.url}/v1/chat/completions"
    answer = CLIENT.post(
        url, json={"model": offer.model_id, **ASK}, headers={**alice.headers, "x-ng-hop": "1"}
    )
    assert answer.status_code == 508


def test_a_server_with_one_slot_gets_one_request_at_a_time(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(pause_s=0.5))
    _, offer = factories.server(server.base_url, slots=1)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: post(gateway, alice, offer.model_id).status_code, range(5)))
    assert sorted(answers) == [200, 503, 503, 503, 503]
    assert len(server.asked) == 1


def test_a_server_that_lost_the_model_does_not_excuse_one_that_fails(gateway: RunningGateway):
    alice = factories.person()
    name = factories.unique("model")
    for status in (500, 404, 404, 404):
        server = fakes.FakeServer(fakes.plain(status, {}))
        row, _ = factories.server(server.base_url, model=name)
        gateway.wait_for(row)
    answer = post(gateway, alice, name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert_free(alice)
    assert outcome(Charge.objects.filter(account=alice.account).latest("created_at")) == "no_server"


def test_a_busy_server_may_have_what_another_lost(gateway: RunningGateway):
    alice, carol = factories.person(), factories.person()
    name = factories.unique("model")
    free = threading.Event()

    async def until_free(request: fakes.Request):
        await asyncio.to_thread(free.wait)
        async for piece in fakes.model()(request):
            yield piece

    lost, busy = fakes.FakeServer(fakes.plain(404, {})), fakes.FakeServer(until_free)
    _, lost_offer = factories.server(lost.base_url)
    full, _ = factories.server(busy.base_url, model=name, slots=1)
    gateway.wait_for(full)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(post, gateway, carol, name)
        while not busy.asked:
            time.sleep(0.01)
        HostedModel.objects.filter(pk=lost_offer.pk).update(model_id=name)
        gateway.refresh()
        answer = post(gateway, alice, name)
        free.set()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_server_available")
        assert len(lost.asked) == 1
        assert running.result().status_code == 200


def test_servers_that_lost_the_model_do_not_hide_the_one_that_has_it(gateway: RunningGateway):
    alice = factories.person()
    name = factories.unique("model")
    for _ in range(7):
        row, _ = factories.server(fakes.FakeServer(fakes.plain(404, {})).base_url, model=name)
        gateway.wait_for(row)
    row, _ = factories.server(fakes.FakeServer(fakes.model()).base_url, model=name)
    gateway.wait_for(row)
    assert post(gateway, alice, name).status_code == 200


def test_a_route_that_a_model_does_not_have_is_the_callers_mistake_and_harms_no_server(
    gateway: RunningGateway,
):
    alice = factories.person()
    chat = fakes.model()

    async def script(request: fakes.Request):
        async for piece in (fakes.plain(404, {}) if "embeddings" in request.path else chat)(request):
            yield piece

    server = fakes.FakeServer(script)
    _, offer = factories.server(server.base_url)
    for _ in range(8):
        body = {"model": offer.model_id, "input": "x"}
        answer = CLIENT.post(f"{gateway.url}/v1/embeddings", json=body, headers=alice.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_by_model")
    assert len(server.asked) == 1  # it is not asked again for a while
    assert outcome(settled(alice)) == "refused", "no failure of ours that the status page would count"
    assert post(gateway, alice, offer.model_id).status_code == 200
