"""Wrong names of models are told with what is near."""

import pytest

from hosting import namesakes
from tests import factories

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
        ("gema-3-27b", "gemma-3-27b-it"),
        ("Auto", "auto"),
    ],
)
def test_what_was_meant_comes_first(written: str, meant: str):
    assert namesakes.near(written, SOLD)[0] == meant


@pytest.mark.parametrize("written", ["zzzz", "a", "claude"])
def test_nothing_is_guessed_where_nothing_is_near(written: str):
    assert namesakes.near(written, SOLD) == []


def test_few_are_offered():
    assert len(namesakes.near("model", [f"org/model-{n}" for n in range(50)])) == namesakes.NEAR_MAX


def test_a_model_that_is_off_the_market_now_is_known():
    server, offer = factories.server(
        f"https://{factories.unique('gpu')}.example", model=factories.unique("m")
    )
    type(server).objects.filter(pk=server.pk).update(draining=True)
    assert namesakes.unknown(["auto", offer.model_id, "nobodys"]) == ["nobodys"]
