"""Which models are named to somebody who mistyped one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting.near_names import NEAR_MAX, near

SOLD = [
    "auto",
    "qwen/qwen2.5:7b-instruct",
    "qwen/qwen2.5:72b-instruct",
    "meta-llama/Llama-3.3-70b",
    "gemma-3-27b-it",
]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("qwen2.5:7b", "qwen/qwen2.5:7b-instruct"),
        ("QWEN/qwen2.5:72B-instruct", "qwen/qwen2.5:72b-instruct"),
        ("llama-3.3-70b", "meta-llama/Llama-3.3-70b"),
        ("other/gemma-3-27b-it", "gemma-3-27b-it"),
        ("gema-3-27b-it", "gemma-3-27b-it"),
        ("gemma-3-72b-it", "gemma-3-27b-it"),
        ("Auto", "auto"),
    ],
)
def test_what_was_meant_comes_first(written: str, meant: str):
    assert near(written, SOLD)[0] == meant


@pytest.mark.parametrize("written", ["zzzz", "a", "claude"])
def test_nothing_is_guessed_where_nothing_is_near(written: str):
    assert near(written, SOLD) == []


def test_few_are_offered():
    assert len(near("model", [f"org/model-{n}" for n in range(50)])) == NEAR_MAX


def test_a_name_is_found_behind_many_that_are_alike():
    many = [f"gpt-{n}-mini-x" for n in range(500)]
    assert near("llama-chat-70", [*many, "LLaMA-chat-70"])[0] == "LLaMA-chat-70"


def test_long_names_that_are_alike_cost_nothing():
    many = [f"{'a' * 190}{n:010}" for n in range(1_000)]
    began = time.process_time()
    near("a" * 199, many)
    assert time.process_time() - began < 0.5, "a thousandth of it is what it takes"


@given(st.text(max_size=400), st.lists(st.text(max_size=30), max_size=80, unique=True))
def test_only_what_is_offered_is_named_and_only_a_few(name: str, offered: list[str]):
    found = near(name, offered)
    assert set(found) <= set(offered)
    assert len(found) == len(set(found)) <= NEAR_MAX
