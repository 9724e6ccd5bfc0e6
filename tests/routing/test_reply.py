"""What becomes of one server's words before anybody reads them: no server, no clock, no gateway."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import calls
from routing.reply import Reply
from routing.wire import BadAnswer, EventReader
from tests import fakes
from tests.routing.offers import OFFER, call

WORDS = ["Paris ", "is ", "the ", "capital."]
STREAM = b"".join(fakes.events(WORDS, usage=(9, 5)))


def reply(asked: calls.Call | None = None, *, output_max: int = 50) -> Reply:
    asked = asked or call(stream=True)
    return Reply(asked, OFFER, charge="c", created_s=7, input_max=100, output_max=output_max)


def payloads(*values: object) -> list[bytes]:
    return [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]


def read(data: bytes) -> list[Any]:
    """The events of a stream."""
    return [
        payload if payload == b"[DONE]" else json.loads(payload) for payload in EventReader(10**6).feed(data)
    ]


def said(*values: dict[str, Any]) -> str:
    return "".join(choice["delta"].get("content", "") for value in values for choice in value["choices"])


def test_the_first_content_takes_the_role_along_and_the_end_is_withheld():
    one = reply()
    assert one.take(payloads(fakes.chunk({"role": "assistant", "content": ""}))) == []
    first = one.take(payloads(fakes.chunk({"content": "Paris"})))
    assert [event["choices"][0]["delta"] for event in read(b"".join(first))] == [
        {"role": "assistant", "content": ""},
        {"content": "Paris"},
    ]
    assert one.take(payloads(fakes.chunk({"content": "."}, "stop"), b"[DONE]")) == []
    assert (one.finishing, one.done, one.meter.finished) == (True, True, True)
    last, done = read(one.end(None, {}))
    assert (last["choices"][0]["finish_reason"], done) == ("stop", b"[DONE]")
    assert (last["id"], last["model"], last["created"]) == ("chatcmpl-c", OFFER.model, 7)


@given(st.lists(st.integers(1, 80), max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_stream_cut_into_any_pieces_says_the_same_and_costs_the_same(sizes: list[int]):
    one, reader, sent, at = reply(), EventReader(10**6), b"", 0
    for size in [*sizes, len(STREAM)]:
        sent += b"".join(one.take(reader.feed(STREAM[at : at + size])))
        at += size
    sent += b"".join(one.take(reader.end()))
    *events, usage, done = read(sent + one.end(one.usage(*one.tokens(complete=True)), {}))
    assert said(*events) == "".join(WORDS)
    assert (usage["usage"]["completion_tokens"], done) == (5, b"[DONE]")


def test_nothing_is_taken_after_done():
    one = reply()
    one.take(payloads(b"[DONE]"))
    assert one.take(payloads(fakes.chunk({"content": "more"}))) == []
    assert one.meter.empty


def test_a_capped_stream_ends_for_its_length_and_no_claim_is_billed():
    one = reply()
    one.take(payloads({**fakes.chunk({"content": "x" * 40}), "usage": fakes.usage_block((9, 26))}))
    one.cap()
    last, _ = read(one.end(None, {}))
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    assert (one.capped, one.tokens(complete=True)) == (True, (9, 10))


@given(claim=st.none() | st.integers(0, 10**6), written=st.integers(1, 2_000), output_max=st.integers(1, 500))
@settings(max_examples=100, deadline=None)
def test_never_more_is_billed_than_was_admitted(claim: int | None, written: int, output_max: int):
    one = reply(output_max=output_max)
    usage = {} if claim is None else {"usage": fakes.usage_block((claim, claim))}
    one.take(payloads({**fakes.chunk({"content": "x" * written}, "stop"), **usage}))
    for complete in (True, False):
        input_tokens, output_tokens = one.tokens(complete=complete)
        assert 0 <= input_tokens <= 100
        assert 0 <= output_tokens <= output_max


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"choices": []},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 0, "message": {"content": ""}}]},
        {"choices": [{"index": 0, "message": "text"}]},
        {"choices": [{"index": 9, "message": {"content": "text"}}]},
        {"error": {"message": "no"}},
    ],
)
def test_a_whole_answer_without_an_answer_in_it_is_a_bad_one(answer: dict[str, Any]):
    with pytest.raises(BadAnswer):
        reply(call()).take_whole(json.dumps(answer).encode())


def test_a_whole_answer_stands_in_our_envelope_with_what_is_billed():
    one = reply(call())
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}]
    theirs = {"id": "x", "model": "theirs", "system_fingerprint": "f" * 200, "choices": choices}
    details = {"completion_tokens_details": {"reasoning_tokens": 1}}
    one.take_whole(json.dumps({**theirs, "usage": {**fakes.usage_block((9, 2)), **details}}).encode())
    ours = json.loads(one.whole(one.usage(*one.tokens(complete=True)), {"beside": 1}))
    assert ours == {
        "id": "chatcmpl-c", "object": "chat.completion", "created": 7, "model": OFFER.model, "choices": choices,
        "system_fingerprint": "f" * 100, "usage": {**fakes.usage_block((9, 2)), **details}, "beside": 1,
    }  # fmt: skip
    assert one.called == "theirs"


def test_each_text_has_its_embedding_or_none_counts():
    asked = calls.parse(calls.EMBEDDINGS, b'{"model": "m", "input": ["a", "b"]}', calls.Limits(64, 100, 8))
    rows = [{"index": number, "embedding": [0.5]} for number in range(2)]
    one = reply(asked)
    one.take_whole(json.dumps({"data": rows}).encode())
    whole = json.loads(one.whole(one.usage(*one.tokens(complete=True)), {}))
    assert (whole["object"], whole["data"], "completion_tokens" in whole["usage"]) == ("list", rows, False)
    for data in (None, rows[:1], [*rows, rows[0]], [rows[0], {"embedding": []}], "ab"):
        with pytest.raises(BadAnswer):
            reply(asked).take_whole(json.dumps({"data": data}).encode())
