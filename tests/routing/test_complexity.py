"""Which queries of `model="auto"` are simple, on queries that were labelled by hand."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import calls, complexity

ROWS = [
    line.split("\t")
    for line in (Path(__file__).parent.parent / "data" / "queries.tsv").read_text("utf-8").splitlines()
]
HELLO = [{"role": "user", "content": "What is the capital of Norway?"}]


def call(endpoint: str = calls.CHAT, **fields: object) -> calls.Call:
    body = {"model": "auto", "messages": HELLO, **fields}
    return calls.parse(endpoint, json.dumps(body).encode(), calls.Limits(64, 2_048, 8))


def is_simple(query: str) -> bool:
    return complexity.is_simple(call(messages=[{"role": "user", "content": query}]))


@pytest.mark.parametrize("part", ["tune", "held_out"])
def test_the_decision_is_right_nearly_always_and_hardly_ever_wrong_about_simple_ones(part: str):
    """tune: the words and weights were chosen with these in view. held_out: the figures that count."""
    rows = [(label == "simple", query) for where, label, query in ROWS if where == part]
    counts = {(is_so, said): 0 for is_so in (True, False) for said in (True, False)}
    for label, query in rows:
        said = is_simple(query)
        counts[label, said] += 1
        if said != label:
            print(f"  {'taken' if said else 'not taken'} for simple: {query}")
    accuracy = (counts[True, True] + counts[False, False]) / len(rows)
    precision = counts[True, True] / (counts[True, True] + counts[False, True])
    print(f"{part}: accuracy {accuracy:.1%}, precision of simple {precision:.1%}")
    print(f"  simple: {counts[True, True]} found, {counts[True, False]} missed")
    print(f"  not simple: {counts[False, False]} found, {counts[False, True]} missed")
    assert accuracy >= 0.9
    assert precision >= 0.95


def test_the_labelled_queries_are_many_and_balanced():
    assert len(ROWS) >= 240
    assert len({query for _, _, query in ROWS}) == len(ROWS)
    for part in ("tune", "held_out"):
        labels = [label for where, label, _ in ROWS if where == part]
        assert len(labels) >= 120
        assert 0.45 <= labels.count("simple") / len(labels) <= 0.55


@pytest.mark.parametrize(
    "query",
    [
        "analyze this: the cat sat",
        "Analyse: sales fell",
        "summarize: the meeting is on Monday",
        "Summarise this for me, please",
        "What is the capital of Norway? " * 170,
        "What is wrong with `def f(x): return x`?",
        "```\nWhat is this?\n```",
        "",
        "   ",
        "?",
    ],
)
def test_what_is_never_simple(query: str):
    assert not is_simple(query)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"tools": [{"type": "function"}]},
        {"functions": [{"name": "f"}]},
        {"response_format": {"type": "json_object"}},
        {"messages": [*HELLO, {"role": "assistant", "content": "Oslo"}, *HELLO]},
        {"messages": [{"role": "system", "content": "x" * 2_000}, *HELLO]},
        {"messages": [{"role": "assistant", "content": "What is the capital of Norway?"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}
            ]
        },
    ],
)
def test_a_simple_question_is_not_simple_in_such_a_request(fields: dict):
    assert complexity.is_simple(call())
    assert not complexity.is_simple(call(**fields))


def test_a_short_system_prompt_changes_nothing():
    assert complexity.is_simple(call(messages=[{"role": "system", "content": "You are helpful."}, *HELLO]))


def test_only_chat_can_be_simple():
    assert not complexity.is_simple(call(calls.COMPLETIONS, prompt="What is the capital of Norway?"))


@given(st.text(max_size=400))
def test_any_text_is_judged(query: str):
    assert is_simple(query) in (True, False)


@pytest.mark.parametrize("piece", ["1", "(", "select a ", "a", "1.", "e.", "def a ", "- ", "what "])
def test_a_nasty_query_is_judged_quickly(piece: str):
    query = (piece * 300)[:300]
    began = time.thread_time()
    is_simple(query)
    assert time.thread_time() - began < 1, "a thousandth of it is what it takes"
