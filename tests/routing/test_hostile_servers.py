"""What a server may do to us, and what comes of it: nothing is booked that docs/ledger.md does not say, nobody waits
longer than the limits, and where another server is left the customer does not notice.
"""

import asyncio
import functools
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import psutil
import pytest

from hosting import connector
from hosting.models import Hoster
from tests import factories, fakes
from tests.gateway import RunningGateway
from tests.routing import hostile
from tests.routing.hostile import LEAK, Make, body, head, serving, stream, whole
from tests.routing.test_endings import assert_free, outcome, settled

CLIENT = httpx.Client(timeout=30)
GOOD = "The good server's answer."
FIRST_BYTE_S, TOTAL_S = 0.6, 4.0
PATIENCE_S = 4 * TOTAL_S  # a busy machine is no fault of the code
LIMITS = {
    "UPSTREAM_CONNECT_TIMEOUT_S": 0.3, "UPSTREAM_FIRST_BYTE_TIMEOUT_S": FIRST_BYTE_S, "UPSTREAM_IDLE_TIMEOUT_S": 0.6,
    "CLIENT_STALL_TIMEOUT_S": 0.6, "UPSTREAM_TOTAL_TIMEOUT_S": TOTAL_S, "UPSTREAM_BODY_BYTES_MAX": 200_000,
    "UPSTREAM_LINE_BYTES_MAX": 50_000, "UPSTREAM_STREAM_BYTES_MAX": 300_000,
}  # fmt: skip
BOTH = (False, True)
WHOLE, STREAM = (False,), (True,)

# How it ends, before anybody else is asked.
MOVES_ON = "moves on"  # nothing was sent: another server is asked; an error when there is none
TOO_LATE = "too late"  # its time is the request's: no time is left for another server
MIDWAY = "midway"  # the customer has the beginning, and then an error
FINISHED = "finished"  # odd, but an answer


@dataclass(frozen=True)
class Row:
    name: str
    make: Make
    ways: tuple[bool, ...] = BOTH  # not streamed, streamed
    ending: str = MOVES_ON
    status: int = 502  # alone
    text: str = "Fine."
    tokens: tuple[int, int] = (10, 2)


def silent(request: fakes.Request) -> AsyncIterator[bytes]:
    return fakes.silent(10)(request)


FINE = fakes.events(["Fi", "ne."], (10, 2))
TWO_DONE = [*FINE, fakes.sse(b"[DONE]")]
BEGUN = fakes.events(["Fi"], finish=None)[:-1]
USAGE = fakes.sse({"choices": [], "usage": fakes.usage_block((10, 2))})
SLOW_LORIS = {"pause_s": 0.05}
REDIRECTS_TO = "http://127.0.0.1:{port}/v1/chat/completions"

CONNECTIONS = [
    Row("the port is refused", hostile.refused_port),
    Row("connecting hangs", hostile.full_backlog, status=504),
    Row("garbage instead of TLS", hostile.garbage_for_tls),
    Row("silence instead of TLS", hostile.silence_for_tls, status=504),
    Row("a certificate that nobody vouches for", hostile.self_signed),
    Row("a certificate of another name", lambda: hostile.self_signed("other.example")),
    Row("a certificate that expired", lambda: hostile.self_signed(days=-1)),
]
TIMES = [
    Row("headers never come", hostile.running(silent), STREAM, status=504),
    Row("a whole answer never comes", hostile.running(silent), WHOLE, TOO_LATE, 504),
    Row("headers byte by byte", serving(*[b"%c" % c for c in head()], **SLOW_LORIS), STREAM, status=504),
    Row("a whole answer byte by byte", serving(*[b"%c" % c for c in body(whole())], **SLOW_LORIS), WHOLE, TOO_LATE, 504),
    Row("a stream byte by byte", stream(*[b"%c" % c for c in b"".join(FINE)], **SLOW_LORIS), STREAM, status=504),
    Row("comments for ever", hostile.endless(hostile.STREAM_HEAD, fakes.chunked(b": on my way\n\n"), pause_s=0.05), STREAM, status=504),
    Row("events without content for ever", hostile.endless(hostile.STREAM_HEAD, fakes.chunked(BEGUN[0]), pause_s=0.05), STREAM, status=504),
    Row("empty objects for ever", hostile.endless(hostile.STREAM_HEAD, fakes.chunked(b"data: {}\n\n"), pause_s=0.05), STREAM, status=504),
    Row("one word and then comments for ever", hostile.endless(hostile.STREAM_HEAD + fakes.chunked(b"".join(BEGUN)), fakes.chunked(b": on my way\n\n"), pause_s=0.05), STREAM, MIDWAY),
    Row("one word and then empty events for ever", hostile.endless(hostile.STREAM_HEAD + fakes.chunked(b"".join(BEGUN)), fakes.chunked(BEGUN[0]), pause_s=0.05), STREAM, MIDWAY),
]  # fmt: skip
STATUSES = [
    *(Row(f"status {status}", serving(body({"error": {"message": LEAK}}, status=status))) for status in (500, 502, 503, 401, 403, 418, 299)),
    Row("an error whose body never comes", serving(head("content-length: 99", status="500 X")), STREAM),
    Row("an error whose body never comes to a whole answer", serving(head("content-length: 99", status="500 X")), WHOLE, TOO_LATE, 504),
    Row("status 404", serving(body({"error": {"message": LEAK}}, status=404)), status=400),
    Row("status 204", serving(head(status="204 No Content"))),
    Row("status 304", serving(head(status="304 Not Modified"))),
    Row("101 to another protocol", serving(head("upgrade: x", "connection: upgrade", status="101 Switching Protocols"))),
    Row("a status that is no number", serving(head(status="OK 200"), then_close=True)),
    *(
        Row(f"429 with Retry-After: {wait}", serving(body(b"", status=429, extra=f"retry-after: {wait}\r\n")), status=503)
        for wait in ("0", "-1", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT", "soon")
    ),
]  # fmt: skip
BODIES = [
    *(
        Row(name, serving(body(data)), WHOLE)
        for name, data in [
            ("HTML as JSON", b"<html>" + LEAK.encode()),
            ("nothing", b""), ("null", b"null"), ("a list", b"[]"), ("a text", b'"text"'), ("a number", b"7"),
            ("NaN", json.dumps(whole(x=float("nan"))).encode()), ("Infinity", json.dumps(whole(x=float("inf"))).encode()),
            ("two objects", json.dumps(whole()).encode() * 2), ("a raw NUL", b'{"choices": "\0"}'), ("UTF-16", json.dumps(whole()).encode("utf-16")),
            ("bytes that are no UTF-8", json.dumps(whole()).encode().replace(b"Fine", b"\xff\xfe")),
            ("a lone surrogate", json.dumps(whole("\ud800")).encode()),
            ("no choices", {"id": "x"}), ("choices that are an object", {"choices": {"0": whole()["choices"][0]}}),
            ("a message that is a list", {"choices": [{"index": 0, "message": ["Fine."]}]}),
            ("an index that is a text", whole(choices=[{**whole()["choices"][0], "index": "0"}])),
            ("an index below 0", whole(choices=[{**whole()["choices"][0], "index": -1}])),
            ("tool calls that are a text", whole(choices=[{"index": 0, "message": {"tool_calls": "x"}}])),
            ("usage that is a list", whole(usage=[1])), ("a fraction of a token", whole(usage={"prompt_tokens": 1.5})),
            ("a count beyond all bounds", json.dumps(whole(usage={"completion_tokens": 10**30})).encode()),
        ]
    ),
    Row("HTML", serving(body(b"<html>" + LEAK.encode(), kind="text/html"))),
    Row("no content type", serving(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")),
    Row("a stream where none was asked for", serving(hostile.STREAM_HEAD + fakes.chunked(b"".join(FINE)) + b"0\r\n\r\n"), WHOLE),
    Row("no stream where one was asked for", serving(body(whole())), STREAM),
    Row("events that are no JSON", stream(b"data: <html>\n\n"), STREAM),
    Row("events that are lists", stream(b"data: []\n\n"), STREAM),
    Row("an event with an error", stream(fakes.sse({"error": {"message": LEAK}})), STREAM),
    Row("keys twice", serving(body(json.dumps(whole()).replace('"choices"', '"choices": [], "choices"').encode())), WHOLE, FINISHED),
    Row("an escaped NUL", serving(body(whole("Fi\0ne."))), WHOLE, FINISHED, text="Fi\0ne."),
    Row("a claim as high as an integer goes", serving(body(whole(usage={"prompt_tokens": 10, "completion_tokens": 2**63}))), WHOLE, FINISHED,
        tokens=(10, 18)),
]  # fmt: skip
SIZES = [
    Row("a gibibyte announced", hostile.endless(head(f"content-length: {1 << 30}"), b" " * 65_536), WHOLE),
    Row("a body without end", hostile.endless(head("transfer-encoding: chunked"), fakes.chunked(b" " * 65_536)), WHOLE),
    Row("a line of 100 MB", hostile.endless(hostile.STREAM_HEAD + fakes.chunked(b"data: "), fakes.chunked(b"x" * 65_536), most_bytes=10**8), STREAM),
    Row("a line in crumbs", serving(hostile.STREAM_HEAD, *hostile.crumbs(b"data: " + b"x" * 100_000, size=8)), STREAM),
    Row("comments as fast as they come", hostile.endless(hostile.STREAM_HEAD, fakes.chunked(b": x\n\n" * 10_000)), STREAM),
    Row("a body in crumbs", serving(head("transfer-encoding: chunked"), *hostile.crumbs(b" " * 300_000)), WHOLE),
    Row("5,000 tiny chunks, then the answer", serving(hostile.STREAM_HEAD, *hostile.crumbs(b":\n\n" * 33_334, size=20), fakes.chunked(b"".join(FINE)), b"0\r\n\r\n"), STREAM, FINISHED),
    Row("an answer in crumbs", serving(head("transfer-encoding: chunked"), *hostile.crumbs(json.dumps(whole()).encode()), b"0\r\n\r\n"), WHOLE, FINISHED),
]  # fmt: skip
ENCODINGS = [
    Row(f"content-encoding: {name}", serving(head(f"content-encoding: {name}", f"content-length: {len(data)}", kind=kind) + data), (streamed,))
    for data in [hostile.bomb()]
    for name in ("gzip", "deflate", "br", "gzip, gzip, gzip", "identity, gzip", "GZIP")
    for streamed, kind in ((False, "application/json"), (True, "text/event-stream"))
] + [Row("transfer-encoding: gzip", serving(head("transfer-encoding: gzip, chunked") + fakes.chunked(hostile.bomb(1)) + b"0\r\n\r\n"), WHOLE)]  # fmt: skip
STREAMS = [
    Row("cut before its first word", stream(FINE[0], cut=True), STREAM),
    Row("cut in the middle of an event", stream(*BEGUN, b'data: {"choices": [{"ind', cut=True), STREAM, MIDWAY),
    Row("cut after the last word", stream(*FINE[:3], cut=True), STREAM, MIDWAY),
    Row("ended after the last word", stream(*FINE[:3]), STREAM, MIDWAY),
    Row("nothing but [DONE]", stream(fakes.sse(b"[DONE]")), STREAM),
    Row("nothing at all", stream(), STREAM),
    Row("finished without [DONE]", stream(*FINE[:-1]), STREAM, FINISHED),
    Row("[DONE] twice", stream(*TWO_DONE), STREAM, FINISHED),
    Row("an answer after [DONE]", stream(*FINE, *FINE), STREAM, FINISHED),
    Row("usage before the end", stream(*FINE[:3], USAGE, FINE[3], FINE[-1]), STREAM, FINISHED),
    Row("usage twice", stream(*FINE[:-1], fakes.sse({"choices": [], "usage": fakes.usage_block((9_000, 9_000))}), FINE[-1]), STREAM, FINISHED, tokens=(29, 18)),
    Row("a word that is a number", stream(FINE[0], fakes.sse(fakes.chunk({"content": 7})), *FINE[1:]), STREAM, FINISHED),
    Row("a choice that nobody asked for", stream(FINE[0], fakes.sse(fakes.chunk({"content": "x"}, index=1)), *FINE[1:]), STREAM),
]  # fmt: skip
FRAMES = [
    Row("a length and chunks", serving(head("content-length: 5", "transfer-encoding: chunked") + fakes.chunked(b"{}") + b"0\r\n\r\n", then_close=True), WHOLE),
    Row("two lengths", serving(head("content-length: 2", "content-length: 3") + b"{}x", then_close=True), WHOLE),
    Row("a length below 0", serving(head("content-length: -1") + b"{}", then_close=True), WHOLE),
    Row("a length that is no number", serving(head("content-length: 0x10") + b"{}", then_close=True), WHOLE),
    Row("more announced than sent", serving(head("content-length: 500") + b"{}", then_close=True), WHOLE),
    Row("less announced than sent", serving(head("content-length: 20") + json.dumps(whole()).encode()), WHOLE),
    Row("a chunk size that is none", serving(head("transfer-encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n", then_close=True), WHOLE),
    Row("a chunk size beyond 64 bits", serving(head("transfer-encoding: chunked") + b"f" * 40 + b"\r\n{}\r\n", then_close=True), WHOLE),
    Row("a chunk below 0", serving(head("transfer-encoding: chunked") + b"-2\r\n{}\r\n0\r\n\r\n", then_close=True), WHOLE),
    Row("no last chunk", serving(head("transfer-encoding: chunked") + fakes.chunked(json.dumps(whole()).encode()), then_close=True), WHOLE),
    Row("100 for ever", hostile.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), STREAM, status=504),
    Row("hints for ever", hostile.endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" * 100), STREAM, status=504),
    Row("headers of 600 KB", serving(head(f"x-large: {'x' * 600_000}", "content-length: 2") + b"{}")),
    Row("headers for ever", hostile.endless(b"HTTP/1.1 200 OK\r\n", b"x-more: x\r\n" * 1_000)),
    Row("a header without a name", serving(head(": x", "content-length: 2") + b"{}", then_close=True)),
    Row("a header with a NUL", serving(head("x-odd: a\0b", "content-length: 2") + b"{}", then_close=True)),
    Row("a header with a bare CR", serving(head("x-odd: a\rset-cookie: b", "content-length: 2") + b"{}", then_close=True)),
    Row("HTTP/2", serving(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", then_close=True)),
    Row("HTTP/0.9", serving(json.dumps(whole()).encode(), then_close=True)),
    Row("closed without a word", serving(b"", then_close=True)),
]  # fmt: skip
NAMES = [
    Row("its own id, model, cost and cookies", serving(body(whole(provider=LEAK, usage={**fakes.usage_block((10, 2)), "cost": LEAK}))), WHOLE, FINISHED),
    Row("its own id, model and cost in each event", stream(
            *(event.replace(b'"theirs"', f'"{LEAK}", "provider": "{LEAK}"'.encode()) for event in FINE[:-2]),
            fakes.sse({"choices": [], "id": LEAK, "usage": {**fakes.usage_block((10, 2)), "cost": LEAK}}), FINE[-1],
        ), STREAM, FINISHED),
]  # fmt: skip
ROWS = [*CONNECTIONS, *TIMES, *STATUSES, *BODIES, *SIZES, *ENCODINGS, *STREAMS, *FRAMES, *NAMES]
CASES = [
    pytest.param(row, streamed, id=f"{row.name}{', streamed' if streamed else ''}")
    for row in ROWS
    for streamed in row.ways
]


@pytest.fixture(scope="module")
def strict(gateway: RunningGateway, django_db_blocker) -> Iterator[RunningGateway]:
    """A gateway with small limits; the usual one begins before, so that it does not get them too."""
    with django_db_blocker.unblock(), RunningGateway(**LIMITS) as running:
        yield running


@functools.cache
def owner(name: str) -> Hoster:
    """Hundreds of servers need no more than one hoster each side."""
    return factories.hoster(name)[1]


def ask(gateway: RunningGateway, who: factories.Person, model: str, *, stream: bool) -> httpx.Response:
    question = [{"role": "user", "content": "Is all fine? Say how it is."}]
    fields = {"model": model, "messages": question, "stream": stream, "tier": "cheapest"}
    if stream:
        fields["stream_options"] = {"include_usage": True}
    return CLIENT.post(f"{gateway.url}/v1/chat/completions", json=fields, headers=who.headers)


def text_of(answer: httpx.Response, *, stream: bool) -> str:
    if not stream:
        return answer.json()["choices"][0]["message"]["content"]
    events = [line[6:] for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    return "".join(word for choice in choices if isinstance(word := choice["delta"].get("content", ""), str))


def assert_clean(answer: httpx.Response) -> None:
    """Nothing that the server says of itself reaches the customer."""
    assert LEAK not in str(answer.headers.multi_items())
    assert LEAK not in answer.text
    assert "theirs" not in answer.text
    assert "set-cookie" not in answer.headers


def assert_error(problem: dict, code: str | None = None) -> None:
    assert set(problem) == {"error"}
    assert set(problem["error"]) == {"message", "type", "param", "code"}
    assert code is None or problem["error"]["code"] == code


def assert_broken_off(answer: httpx.Response) -> None:
    assert answer.status_code == 200
    last = [line for line in answer.text.split("\n\n") if line.startswith("data: ")][-1]
    assert_error(json.loads(last[6:]), "upstream_failed")
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize(("row", "streamed"), CASES)
def test_alone_it_costs_nothing_unless_it_answers(strict: RunningGateway, row: Row, streamed: bool):
    alice = factories.person()
    bad = row.make()
    _, offer = factories.server(bad.base_url, of=owner("bob"))
    answer = ask(strict, alice, offer.model_id, stream=streamed)
    assert answer.elapsed.total_seconds() < PATIENCE_S
    assert_clean(answer)
    charge = settled(alice)
    if row.ending == FINISHED:
        assert answer.status_code == 200
        assert text_of(answer, stream=streamed) == row.text
        assert (charge.input_tokens, charge.output_tokens, outcome(charge)) == (*row.tokens, "finished")
        assert charge.gross_nanos == row.tokens[0] * 100 + row.tokens[1] * 300
        assert alice.account.held_nanos == 0
        return
    began_to_answer = row.ending == MIDWAY and answer.status_code == 200
    if began_to_answer:
        assert_broken_off(answer)
    else:
        busy = {504} if row.status == 502 else set()  # on a busy machine the limit of time may strike first
        assert answer.status_code in {row.status} | busy, answer.text
        assert_error(answer.json())
    told = (
        "refused" if row.status == 400 else "no_server"
    )  # 400: it lacks the route, which is the caller's mistake
    assert outcome(charge) == ("upstream_failed" if began_to_answer else told)
    assert_free(alice)


@pytest.mark.parametrize(
    ("row", "streamed"), [case for case in CASES if case.values[0].ending in (MOVES_ON, MIDWAY)]
)
def test_beside_a_good_server_nobody_notices_unless_it_began(
    strict: RunningGateway, row: Row, streamed: bool
):
    alice = factories.person()
    bad, good = row.make(), fakes.FakeServer(fakes.model(GOOD, usage=(10, 6)))
    server, offer = factories.server(bad.base_url, of=owner("bob"), price_in=1, price_out=1)
    better, _ = factories.server(good.base_url, of=owner("dave"), model=offer.model_id)
    strict.wait_for(server)
    strict.wait_for(better)
    answer = ask(strict, alice, offer.model_id, stream=streamed)
    assert_clean(answer)
    if isinstance(bad, fakes.FakeServer):
        assert len(bad.asked) == 1, "the cheaper one is asked first"
    if (
        row.ending == MIDWAY and not good.asked
    ):  # on a busy machine the first word may come after the limit of time
        assert_broken_off(answer)
        assert_free(alice)
        return
    assert answer.status_code == 200, answer.text
    assert text_of(answer, stream=streamed) == GOOD
    charge = settled(alice)
    assert (charge.gross_nanos, outcome(charge)) == (10 * 100 + 6 * 300, "finished")
    assert len(good.asked) == 1
    assert "cookie" not in good.asked[0].headers


def lost(*_: object) -> list[str]:
    raise socket.gaierror("no such name")


async def unknown(host: str, port: int) -> list[str]:
    return lost()


async def undecided(host: str, port: int) -> list[str]:
    await asyncio.sleep(10)
    return []


async def nowhere(host: str, port: int) -> list[str]:
    return []


@pytest.mark.parametrize("streamed", BOTH)
@pytest.mark.parametrize("resolver", [unknown, undecided, nowhere])
def test_a_name_that_leads_nowhere(
    strict: RunningGateway, monkeypatch: pytest.MonkeyPatch, resolver: connector.Resolver, streamed: bool
):
    monkeypatch.setattr(connector, "system_resolver", resolver)
    row = Row("a name", lambda: hostile.Address(f"http://server.example:{next(hostile.ports)}"))
    test_alone_it_costs_nothing_unless_it_answers(strict, row, streamed)
    test_beside_a_good_server_nobody_notices_unless_it_began(strict, row, streamed)


@pytest.mark.parametrize("streamed", BOTH)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(strict: RunningGateway, status: int, streamed: bool):
    trap = fakes.FakeServer(fakes.model(LEAK))
    row = Row("a redirect", serving(hostile.redirect(status, f"{trap.base_url}/v1/chat/completions")))
    connections = []
    trap.script = lambda request: connections.append(request) or fakes.model(LEAK)(request)
    test_alone_it_costs_nothing_unless_it_answers(strict, row, streamed)
    test_beside_a_good_server_nobody_notices_unless_it_began(strict, row, streamed)
    assert trap.requests == []
    assert connections == []


def test_what_follows_an_answer_is_not_the_next_one(strict: RunningGateway):
    """A second response in the same bytes must not be taken for the answer to another customer."""
    alice, bob = factories.person(), factories.person()
    server = fakes.FakeServer(fakes.raw(body(whole("First.")) + body(whole("Smuggled."))))
    _, offer = factories.server(server.base_url)
    assert text_of(ask(strict, alice, offer.model_id, stream=False), stream=False) == "First."
    server.script = fakes.raw(body(whole("Second.")))
    answer = ask(strict, bob, offer.model_id, stream=False)
    assert "Smuggled" not in answer.text


class Peak(threading.Thread):
    """The most memory that this process has while it is watched, in bytes above what it had before."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process, self._over = psutil.Process(), threading.Event()
        self.before = self.most = self._process.memory_info().rss

    def run(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    def growth(self) -> int:
        self._over.set()
        self.join()
        return self.most - self.before


@pytest.mark.slow
def test_big_answers_do_not_fill_the_memory(gateway: RunningGateway):
    """With the limits of production: 16 MiB for a body, 1 MiB for an event, 32 MiB for a stream."""
    alice = factories.person(sold_nanos=10**12)
    space = b" " * 65_536
    rows = [
        (False, hostile.endless(head(f"content-length: {1 << 30}"), space)),
        (False, hostile.endless(head("transfer-encoding: chunked"), fakes.chunked(space))),
        (False, hostile.endless(head("transfer-encoding: chunked"), b"".join(hostile.crumbs(b" " * 64_000, size=32)))),
        (False, serving(body(hostile.bomb(), extra="content-encoding: gzip\r\n"))),
        (True, hostile.endless(hostile.STREAM_HEAD + fakes.chunked(b"data: "), fakes.chunked(space), most_bytes=10**8)),
        (True, hostile.endless(hostile.STREAM_HEAD + fakes.chunked(b"data: "), b"".join(hostile.crumbs(b"x" * 64_000, size=64)))),
        (True, hostile.endless(hostile.STREAM_HEAD, fakes.chunked(b": x\n\n" * 10_000))),
        (True, hostile.endless(b"HTTP/1.1 200 OK\r\n", b"x-more: x\r\n" * 1_000)),
    ]  # fmt: skip
    servers = [(streamed, factories.server(make().base_url)[1].model_id) for streamed, make in rows]
    peak = Peak()
    peak.start()
    for streamed, model in servers * 3:
        began = time.monotonic()
        answer = ask(gateway, alice, model, stream=streamed)
        assert answer.status_code == 502, answer.text
        assert time.monotonic() - began < 20
    assert peak.growth() <= 64 << 20
