"""Which models are named to somebody who mistyped one."""

from hypothesis import given
from hypothesis import strategies as st

from routing.near_names import NAMED_MAX, near

OFFERED = ["qwen/qwen2.5:7b-instruct", "llama-3.1-8b", "llama-3.3-70b", "mistral-small"]


def test_a_slip_another_case_and_a_missing_maker_are_near():
    assert near("lama-3.1-8b", OFFERED)[0] == "llama-3.1-8b"
    assert near("LLAMA-3.1-8B", OFFERED)[0] == "llama-3.1-8b"
    assert near("qwen2.5:7b-instruct", OFFERED) == ["qwen/qwen2.5:7b-instruct"]
    assert near("gpt-5", OFFERED) == []


@given(st.text(max_size=400), st.lists(st.text(max_size=30), max_size=80))
def test_only_what_is_offered_is_named_and_only_a_few(name: str, offered: list[str]):
    found = near(name, offered)
    assert set(found) <= set(offered)
    assert len(found) == len(set(found)) <= NAMED_MAX
