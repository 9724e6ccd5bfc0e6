"""No server can tell a test from a customer's request: a promise of the product, and measured here."""

import dataclasses
import json
import random
from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hosting import bank
from hosting.disguise import DEFAULT_SHAPES, Shape, dress, fitting, next_gap_s
from hosting.shapes import ANSWER_TOKENS_MIN
from routing import calls
from tests.hosting import crowd, guessers

QUESTIONS = bank.parse(bank.QUESTIONS.read_text("utf-8"))
PAIRS = [(wording, question.answers[0]) for question in QUESTIONS for wording in question.wordings]
WORDINGS = [wording for wording, _ in PAIRS]
DAYS = 4

sizes = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.integers(0, 1_900), min_size=n, max_size=n).map(tuple)
)
shapes = st.builds(
    Shape,
    sizes,
    fields=st.permutations(["model", "messages", "stream", "temperature", "max_tokens", "user", "n"]).map(
        tuple
    ),
    stream=st.booleans(),
    temperature=st.sampled_from([0, 0.7, 1]),
    limit_field=st.just("max_tokens"),
    max_tokens=st.integers(ANSWER_TOKENS_MIN, 5_000),
    user_given=st.just(True),
    parts=st.booleans(),
    answer_tokens=st.none() | st.integers(1, 900),
).map(lambda shape: dataclasses.replace(shape, system=shape.messages % 2 == 0))


@settings(max_examples=40)
@given(shapes, st.sampled_from(PAIRS), st.randoms(use_true_random=False))
def test_a_dressed_question_has_its_shape_and_asks_last(
    shape: Shape, pair: tuple[str, str], rng: random.Random
):
    payload = dress(pair[0], shape, others=rng.sample(PAIRS, 100), rng=rng)
    assert tuple(payload) == shape.fields
    worn = Shape.of({**payload, "model": "m"}, answer_tokens=shape.answer_tokens)
    assert worn is not None
    assert dataclasses.replace(worn, sizes=shape.sizes) == shape
    assert worn.messages == shape.messages
    last = payload["messages"][-1]["content"]
    assert pair[0] in (last[0]["text"] if shape.parts else last)
    assert worn.sizes[-1] <= max(1.08 * shape.sizes[-1], 120 + len(pair[0].encode()))
    if shape.system and shape.sizes[0] > 120:
        assert shape.sizes[0] - 3 <= worn.sizes[0] <= shape.sizes[0]  # it ends with a whole character


def test_the_gateway_understands_every_dressed_question():
    rng = random.Random(1)
    for shape in DEFAULT_SHAPES:
        payload = dress(rng.choice(WORDINGS), shape, others=rng.sample(PAIRS, 100), rng=rng)
        body = json.dumps({**payload, "model": "m"}).encode()
        call = calls.parse(calls.CHAT, body, calls.Limits(depth=64, messages=2_048, choices=8))
        assert (call.stream, call.choices, call.output_asked) == (shape.stream, 1, shape.max_tokens)


def test_long_prompts_come_close_to_their_length():
    rng = random.Random(1)
    for total in (2_000, 8_000, 15_000):
        shape = Shape((total,), answer_tokens=100)
        for _ in range(20):
            worn = Shape.of(
                {**dress(rng.choice(WORDINGS), shape, others=rng.sample(PAIRS, 300), rng=rng), "model": "m"}
            )
            assert worn is not None
            assert 0.85 * total <= worn.prompt_bytes <= 1.1 * total


def test_a_short_message_is_replaced_by_a_short_one():
    rng = random.Random(1)
    for length in (30, 50, 70, 100, 200, 500):
        shape = Shape((length,), answer_tokens=15)
        chosen = [fitting(rng.sample(WORDINGS, 80), shape, rng) for _ in range(100)]
        assert len(set(chosen)) > 30
        worn = [
            Shape.of({**dress(one, shape, others=rng.sample(PAIRS, 100), rng=rng), "model": "m"})
            for one in chosen
        ]
        off = [abs(one.prompt_bytes - length) / length for one in worn if one is not None]
        assert sum(off) / len(off) < 0.2


def test_no_phrase_is_in_every_test():
    rng = random.Random(1)
    bank_says = {" ".join(w.split()[n : n + 4]) for w in WORDINGS for n in range(len(w.split()) - 3)}
    seen: Counter[str] = Counter()
    count = 600
    for _ in range(count):
        shape = rng.choice(DEFAULT_SHAPES)
        wording = fitting(rng.sample(WORDINGS, 80), shape, rng)
        payload = dress(wording, shape, others=rng.sample(PAIRS, 100), rng=rng)
        text = " ".join(message["content"] for message in payload["messages"]).split()
        seen.update({" ".join(text[n : n + 4]) for n in range(len(text) - 3)} - bank_says)
    for phrase, times in seen.most_common(20):
        # "You are a helpful assistant." is what customers' clients say by themselves
        assert "a helpful assistant." in phrase or phrase == "You are a helpful" or times < 0.2 * count, (
            phrase
        )


def test_gaps_have_their_mean_and_no_rhythm():
    rng = random.Random(1)
    gaps = [next_gap_s(600, rng) for _ in range(20_000)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(600, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(600**2, rel=0.06)
    busy = [next_gap_s(600, rng, busyness=3) for _ in range(20_000)]
    assert sum(busy) / len(busy) == pytest.approx(200, rel=0.03)
    assert 0 < next_gap_s(600, rng, busyness=0) < 10**6


@cache
def traffic(seed: int) -> tuple[list[crowd.Seen], list[crowd.Seen], float]:
    """(a server's customers, another's, the mean gap at which a fifth of the requests are tests)."""
    rng = random.Random(seed)
    here, elsewhere = crowd.customers(DAYS, rng), crowd.customers(DAYS, rng)
    asked = sum(one.at_s >= crowd.DAY_S for one in here)
    return here, elsewhere, (DAYS - 1) * crowd.DAY_S / (asked / 4)


def told_apart(here: list[crowd.Seen], tests: list[crowd.Seen], name: str) -> float:
    """The best balanced accuracy of the classifiers on the server's requests since the second day.

    About the 2 in 100 requests that no test can look like, nothing is promised: they are not counted.
    """
    seen = sorted([*(one for one in here if one.at_s >= crowd.DAY_S), *tests], key=lambda one: one.at_s)
    labels = [one.is_test for one in seen]
    rows = crowd.features(seen)
    kept = [n for n, one in enumerate(seen) if one.is_test or Shape.of(one.payload) is not None]
    rows, labels = [rows[n] for n in kept], [labels[n] for n in kept]
    best, each = guessers.best_accuracy(rows, labels, random.Random(5))
    print(
        f"{name}: {len(kept)} of {len(seen)} requests, {sum(labels) / len(labels):.1%} tests,",
        {k: f"{v:.1%}" for k, v in each.items()},
    )
    assert 0.18 <= sum(labels) / len(labels) <= 0.22
    return best


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_disguised_test_cannot_be_told_from_a_customers_request(seed: int):
    here, elsewhere, mean_s = traffic(seed)
    tests = crowd.disguised(here, elsewhere, PAIRS, days=DAYS, mean_s=mean_s, rng=random.Random(seed))
    assert told_apart(here, tests, "disguised") <= 0.55


@pytest.mark.slow
def test_a_naive_test_is_recognised():
    here, _, mean_s = traffic(1)
    tests = crowd.naive(PAIRS, days=DAYS, every_s=mean_s, rng=random.Random(1))
    assert told_apart(here, tests, "naive") >= 0.9


@pytest.mark.slow
def test_shapes_that_are_not_from_the_traffic_are_recognised():
    here, _, mean_s = traffic(1)
    tests = crowd.disguised(here, [], PAIRS, days=DAYS, mean_s=mean_s, rng=random.Random(1))
    assert told_apart(here, tests, "default shapes") >= 0.7


def test_the_default_shapes_are_sound_and_varied():
    assert len(set(DEFAULT_SHAPES)) == len(DEFAULT_SHAPES) >= 10
    for shape in DEFAULT_SHAPES:
        assert Shape.from_json(shape.to_json()) == shape
    assert (
        {shape.stream for shape in DEFAULT_SHAPES}
        == {shape.system for shape in DEFAULT_SHAPES}
        == {True, False}
    )
