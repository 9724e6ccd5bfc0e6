"""The list of nasty requests: each gets a clear 4xx or passes through, never a 5xx of ours, never a hold left."""

import json
import socket

import httpx
import pytest

from billing.models import Charge
from tests import factories, fakes
from tests.gateway import RunningGateway

MESSAGE = {"role": "user", "content": "x"}
NUMBERS = [
    "-1", "0", "1", "2147483648", "9007199254740993", "9223372036854775808", "1" + "0" * 400, "1.0", "1.5", "-0.0",
    "1e5", "1e999", '"1"', "true", "null", "[]", "{}", "NaN", "Infinity", "-Infinity",
]  # fmt: skip
NUMBER_FIELDS = [
    "max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "presence_penalty", "seed", "top_logprobs",
    "logit_bias", "best_of", "max_latency_ms",
]  # fmt: skip
VALUES = [
    '"true"',
    "1",
    "null",
    "true",
    "{}",
    "[]",
    '""',
    '"\\u0000"',
    '"a\\r\\nb"',
    "[1, [2]]",
    '{"a": {"b": 1}}',
]
FIELDS = [
    "stream", "stream_options", "stop", "tools", "response_format", "metadata", "user", "tool_choice", "functions",
    "tier", "privacy_mode", "trusted_only", "fallback_models", "allow_hosters", "deny_hosters", "max_price",
]  # fmt: skip


@pytest.fixture(scope="module")
def market(gateway: RunningGateway) -> tuple[RunningGateway, factories.Person, str]:
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model()).base_url, price_in=1, price_out=1)
    return gateway, alice, offer.model_id


Market = tuple[RunningGateway, factories.Person, str]
CLIENT = httpx.Client(timeout=20)


def send(
    market: Market, body: bytes | str, path: str = "/v1/chat/completions", **headers: str
) -> httpx.Response:
    gateway, alice, _ = market
    answer = CLIENT.post(
        gateway.url + path,
        content=body.encode(errors="surrogatepass") if isinstance(body, str) else body,
        headers={**alice.headers, "content-type": "application/json", **headers},
    )
    own_filter = answer.status_code == 503 and "Loosen" in answer.text  # it left no server, and is told so
    assert answer.status_code == 200 or own_filter or 400 <= answer.status_code < 500, (
        answer.text,
        body[:200],
    )
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
    return answer


def with_field(market: Market, field: str, value: str) -> str:
    return f'{{"model": "{market[2]}", "messages": [{json.dumps(MESSAGE)}], "{field}": {value}}}'


def test_bodies_that_are_no_request(market: Market):
    deep = "[" * 100_000
    for body in (
        b"", b"{", b"[]", b"null", b"true", b"1", b'"x"', b"\xff\xfe{", b"\xef\xbb\xbf{}", "{}".encode("utf-16"),
        b"{'model': 'x'}", b'{"model": "x",}', b"{} {}", b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"// x\n{}",
        deep.encode(), f'{{"messages": {deep}'.encode(), ('{"a":' * 65 + "1" + "}" * 65).encode(), b"{" + b'"k":1,' * 9,
    ):  # fmt: skip
        assert send(market, body).status_code == 400


def test_a_depth_of_64_passes_and_brackets_in_texts_do_not_count(market: Market):
    inner = "[" * 62 + "]" * 62
    assert send(market, with_field(market, "x_vendor", inner)).status_code == 200
    assert send(market, with_field(market, "x_vendor", "[" + inner + "]" * 1 + "")).status_code == 200
    assert send(market, with_field(market, "x_vendor", "[" * 65 + "]" * 65)).status_code == 400
    assert send(market, with_field(market, "x_vendor", json.dumps("[" * 500))).status_code == 200


def test_numbers_of_every_kind(market: Market):
    for field in NUMBER_FIELDS:
        for number in NUMBERS:
            send(market, with_field(market, field, number))


def test_values_of_every_kind(market: Market):
    for field in FIELDS:
        for value in VALUES:
            send(market, with_field(market, field, value))


def test_models_and_messages_of_every_kind(market: Market):
    for model in (
        3,
        None,
        "",
        "x" * 10_000,
        "a\nb",
        "a\0b",
        "../../etc",
        "ＭＯＤＥＬ",
        [],
        {},
        "'; DROP TABLE x",
    ):
        assert send(market, json.dumps({"model": model, "messages": [MESSAGE]})).status_code in (400, 404)
    for messages in (
        None, [], {}, "x", [1], [None], [[]], [{}], [{"role": 1}], [{"role": "user", "content": 1}],
        [{"role": "user", "content": {}}], [{"role": "user", "content": [1]}], [MESSAGE] * 2_049,
    ):  # fmt: skip
        assert send(market, json.dumps({"model": market[2], "messages": messages})).status_code == 400
    for messages in (
        [{"role": "wizard", "content": "x"}], [{"role": "user", "content": None}], [{"role": "user", "content": []}],
        [{"role": "user", "content": ""}], [MESSAGE] * 2_048, [{"role": "system", "content": "x"}],
        [{"role": "tool", "content": "x"}], [{"role": "user", "content": "x", "name": "a\r\nb"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}]}],
        [{"role": "user", "content": [{"type": "unknown", "thing": 1}]}],
    ):  # fmt: skip
        assert send(market, json.dumps({"model": market[2], "messages": messages})).status_code == 200


def test_n_multiplies_the_hold_and_has_a_limit(market: Market):
    for n, status in ((0, 400), (1, 200), (2, 200), (8, 200), (9, 400), (128, 400), (1_000, 400)):
        body = {"model": market[2], "messages": [MESSAGE], "n": n, "max_tokens": 100}
        assert send(market, json.dumps(body)).status_code == status
    latest = Charge.objects.filter(account=market[1].account).latest("created_at")
    assert latest.output_tokens_max == 800


def test_prompts_and_inputs_of_every_kind(market: Market):
    for path, field in (("/v1/completions", "prompt"), ("/v1/embeddings", "input")):
        for value, status in (
            ("x", 200), (["x", "y"], 200), ([1, 2, 3], 200), ([[1, 2], [3]], 200), ("", 400), ([], 400), ([""], 400),
            (None, 400), ({}, 400), ([1, "x"], 400), ([True], 400), ([-1], 400), ([[]], 400), ([None], 400), (7, 400),
        ):  # fmt: skip
            assert send(market, json.dumps({"model": market[2], field: value}), path).status_code == status, (
                value
            )
    assert (
        send(market, json.dumps({"model": market[2], "prompt": ["x"] * 9}), "/v1/completions").status_code
        == 400
    )


def test_headers_of_every_kind(market: Market):
    gateway, alice, model = market
    body = json.dumps({"model": model, "messages": [MESSAGE]})
    for value in (
        "",
        "Basic x",
        "Bearer",
        f"Bearer {alice.key} {alice.key}",
        "Bearer ngk_short",
        "x" * 9_000,
    ):
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions", content=body, headers={"authorization": value}
        )
        assert answer.status_code == 401
    assert send(market, body, **{"x-forwarded-for": "1.1.1.1," * 100}).status_code == 200
    assert send(market, body, **{"content-encoding": "gzip"}).status_code == 400
    assert send(market, body, **{"content-type": "text/plain"}).status_code == 200
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = httpx.request(method, f"{gateway.url}/v1/chat/completions", headers=alice.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def raw(gateway: RunningGateway, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])), 10) as connection:
        connection.sendall(data)
        connection.settimeout(5)
        try:
            return connection.recv(65_536)
        except TimeoutError:
            return b""


def test_bytes_that_are_hardly_http(market: Market):
    gateway, alice, _ = market
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {alice.key}\r\n"
    twice = head + f"authorization: Bearer {alice.key}\r\ncontent-length: 2\r\n\r\n{{}}"
    assert b" 400 " in raw(gateway, twice.encode()).split(b"\r\n")[0]
    both = head + "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}"
    assert b" 200 " not in raw(gateway, both.encode())
    assert b" 413 " in raw(gateway, (head + "content-length: 99999999\r\n\r\n").encode()).split(b"\r\n")[0]
    chunked = head + "transfer-encoding: chunked\r\n\r\n"
    too_much = chunked.encode() + (b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 5
    assert b" 413 " in raw(gateway, too_much)[:40]


def test_no_hold_is_left(market: Market):
    assert Charge.objects.filter(account=market[1].account, state="held").count() == 0
    assert market[1].account.held_nanos == 0
