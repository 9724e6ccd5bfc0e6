"""A shape keeps how a customer asks, never what."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting.disguise import DEFAULT_SHAPES
from hosting.shapes import BadShape, Shape

ASKED: dict[str, Any] = {
    "model": "m",
    "temperature": 0,
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "My name is Zoë, what is the capital of Peru?"},
        {"role": "assistant", "content": "Lima"},
        {"role": "user", "content": "And of Cuba?"},
    ],
    "max_tokens": 100,
    "stream": True,
    "stream_options": {"include_usage": True},
    "seed": 42,
    "user": "zoe@example.org",
    "stop": ["###"],
}


def test_a_shape_has_sizes_and_parameters_and_no_word_of_the_request():
    shape = Shape.of(ASKED, answer_tokens=7)
    assert shape is not None
    assert shape.sizes == (8, 45, 4, 12)
    assert (shape.messages, shape.prompt_bytes, shape.system) == (4, 69, True)
    assert (shape.stream, shape.include_usage, shape.temperature, shape.top_p) == (True, True, 0, None)
    assert (shape.limit_field, shape.max_tokens, shape.answer_tokens) == ("max_tokens", 100, 7)
    assert (shape.seed_given, shape.user_given, shape.stop) == (True, True, ("###",))
    assert shape.fields == tuple(ASKED)
    kept = shape.to_json()
    for word in ("kind", "Zo", "zoe", "Peru", "Lima", "Cuba"):
        assert word not in kept


@pytest.mark.parametrize(
    "change",
    [
        {"tools": [{"type": "function"}]},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
        {"logprobs": True},
        {"max_tokens": 47},
        {"max_completion_tokens": 100},
        {"unknown_field": "x"},
        {"stop": "a customer's own words"},
        {"stop": 5},
        {"stream": "yes"},
        {"stream_options": {"other": 1}},
        {"stream_options": []},
        {"temperature": "hot"},
        {"temperature": 10**6},
        {"messages": []},
        {"messages": "Hello"},
        {"messages": [{"role": "user", "content": "x" * 16_385}]},
        {"messages": [{"role": "user", "content": "x"}] * 2},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": "x", "name": "zoe"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
            ]
        },
    ],
)
def test_what_a_test_cannot_look_like_has_no_shape(change: dict[str, Any]):
    assert Shape.of({**ASKED, **change}) is None


@pytest.mark.parametrize(
    "change",
    [{"tools": []}, {"tools": None}, {"logprobs": False}, {"n": 1}, {"max_tokens": None}, {"stop": "\n\n"}],
)
def test_what_says_nothing_does_not_hinder(change: dict[str, Any]):
    assert Shape.of({**ASKED, **change}) is not None


def test_a_seed_that_could_identify_somebody_is_not_kept():
    shape = Shape.of({**ASKED, "seed": 8_675_309})
    assert shape is not None
    assert shape.seed == -1
    assert shape.seed_given


@pytest.mark.parametrize("shape", [*DEFAULT_SHAPES, Shape.of(ASKED, answer_tokens=7)])
def test_a_shape_survives_being_stored(shape: Shape):
    stored = shape.to_json()
    assert Shape.from_json(stored) == shape
    assert len(stored) < 400
    assert " " not in stored


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "5", "{}", '{"sizes":[]}', '{"sizes":[-1]}', '{"sizes":5}', '{"sizes":[10,10]}', '{"sizes":[20000]}',
        '{"sizes":[10],"max_tokens":5}', '{"sizes":[10],"stop":["secret"]}', '{"sizes":[10],"secret":1}',
        '{"sizes":[10],"fields":["model"]}', '{"sizes":[10],"stream":1}', '{"sizes":[10],"temperature":"1"}',
    ],
)  # fmt: skip
def test_a_stored_shape_out_of_bounds_is_refused(text: str):
    with pytest.raises(BadShape):
        Shape.from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*ASKED, "top_p", "n", "tools"]), json_values, max_size=4))
def test_any_payload_has_a_sound_shape_or_none(change: dict[str, Any]):
    shape = Shape.of({**ASKED, **change})
    assert shape is None or Shape.from_json(shape.to_json()) == shape


@given(json_values)
def test_any_stored_text_is_read_or_refused(value: Any):
    with contextlib.suppress(BadShape):
        Shape.from_json(json.dumps(value))
