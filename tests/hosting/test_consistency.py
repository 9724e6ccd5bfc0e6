"""Cheats are convicted within three rounds of five questions, honest servers never."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting.consistency import (
    CONVICT_AT,
    evidence,
    expected_accuracy,
    is_convicted,
    is_doubtful,
    is_right,
    score,
)

SEEDS = 500
results = st.lists(st.booleans(), max_size=200)
expectations = st.none() | st.floats(0, 1)


def answers(accuracy: float, count: int, seed: int) -> list[bool]:
    rng = random.Random(seed)
    return [rng.random() < accuracy for _ in range(count)]


def convicted_after(given_answers: list[bool], *, expected: float | None) -> int | None:
    """The number of the answer that convicts, when somebody looks after every one."""
    for count in range(1, len(given_answers) + 1):
        if is_convicted(given_answers[:count], expected=expected):
            return count
    return None


def alarms(given_answers: list[bool], *, expected: float | None) -> bool:
    """The same in one pass, for long histories: both parts only at moments when the last answers look bad."""
    for end in range(6, len(given_answers) + 1):
        recent = given_answers[max(0, end - 12) : end]
        if sum(recent) <= len(recent) // 2 and is_convicted(
            given_answers[max(0, end - 150) : end], expected=expected
        ):
            return True
    return False


def test_a_canned_text_is_convicted_within_three_rounds():
    assert convicted_after([False] * 15, expected=None) == 8
    assert convicted_after([False] * 15, expected=0.95) == 8
    for seed in range(SEEDS):  # also when it was honest before
        history = answers(0.97, 100, seed)
        assert convicted_after(history, expected=0.95) is None
        assert any(is_convicted(history + [False] * count, expected=0.95) for count in range(1, 16))


@pytest.mark.parametrize("expected", [None, 0.9, 0.97])
def test_a_swapped_weaker_model_is_convicted_within_three_rounds(expected: float | None):
    found = [convicted_after(answers(0.2, 15, seed), expected=expected) for seed in range(SEEDS)]
    share = sum(after is not None for after in found) / SEEDS
    print(f"swapped model, expected {expected}: {share:.1%} convicted within 15 answers")
    assert share >= 0.9


@pytest.mark.parametrize("expected", [None, 0.9, 0.95])
def test_an_honest_server_is_never_convicted(expected: float | None):
    assert not any(alarms(answers(0.9, 2_000, seed), expected=expected) for seed in range(100))


def test_an_honest_weak_model_is_never_convicted_when_two_peers_are_alike():
    for seed in range(100):
        peers = {owner: answers(0.6, 2_000, 1_000 * seed + owner) for owner in (1, 2)}
        assert not alarms(answers(0.6, 2_000, seed + 10**6), expected=expected_accuracy(peers))


def test_the_quick_look_of_these_tests_finds_what_a_slow_one_finds():
    for seed in range(100):
        history = answers(0.9, 100, seed) + answers(0.2, 40, seed)
        assert alarms(history, expected=None) == (convicted_after(history, expected=None) is not None)


def test_a_score_starts_at_one_and_falls_below_the_limit_with_the_sixth_wrong_answer():
    assert score([]) == 1.0
    assert score([True] * 1_000) == 1.0
    assert score([False] * 5) > 0.4 > score([False] * 6)
    assert score([False] * 6 + [True] * 10) > 0.8


def test_a_score_is_relative_to_what_others_reach():
    mixed = [True, False, True] * 40
    assert score(mixed) < score(mixed, expected=0.66) == pytest.approx(1.0, abs=0.1)


def test_only_the_last_hundred_answers_move_the_score():
    assert score([False] * 500 + [True] * 100) == score([True] * 100)


@given(results, expectations)
def test_scores_and_evidence_stay_within_their_ranges(seen: list[bool], expected: float | None):
    assert 0.0 <= score(seen, expected=expected) <= 1.0
    assert 0.0 <= evidence(seen, expected=expected) < 1.1 * len(seen) + 1e-9


@given(results, expectations)
def test_a_right_answer_never_hurts_and_a_wrong_one_never_helps(seen: list[bool], expected: float | None):
    before, weight = score(seen, expected=expected), evidence(seen, expected=expected)
    assert (
        score([*seen, True], expected=expected)
        >= before - 1e-12
        >= score([*seen, False], expected=expected) - 2e-12
    )
    assert evidence([*seen, True], expected=expected) <= weight < evidence([*seen, False], expected=expected)


def test_evidence_is_forgotten_when_good_answers_outweigh_it():
    assert evidence([False] * 20 + [True] * 60, expected=None) == 0.0
    assert evidence([True] * 1_000 + [False] * 8, expected=None) >= CONVICT_AT


def test_the_expectation_is_the_median_of_owners_with_one_vote_each():
    good, poor = [True] * 19 + [False], [False] * 15 + [True] * 5
    assert expected_accuracy({}) is None
    assert expected_accuracy({"bob": good}) is None
    assert expected_accuracy({"bob": good, "carol": good[:19]}) is None
    assert expected_accuracy({"bob": good, "carol": good * 100}) == pytest.approx(0.95)
    assert expected_accuracy({"bob": good, "carol": good, "dave": poor * 1_000}) == pytest.approx(0.95)


def test_a_question_that_hardly_any_owner_gets_right_is_set_aside():
    wrong, right = [False, False, True], [True, True, False]
    assert is_doubtful({1: wrong, 2: wrong, 3: wrong})
    assert not is_doubtful({1: wrong, 2: wrong})
    assert not is_doubtful({1: wrong, 2: wrong, 3: []})
    assert not is_doubtful({1: wrong, 2: wrong, 3: right})
    assert is_doubtful({1: right, 2: wrong, 3: wrong, 4: wrong, 5: wrong})
    assert not is_doubtful({1: wrong * 100, 2: right, 3: right})


def test_answers_are_judged_here_too():
    assert is_right("It is **Paris**.", answers=["Paris"], kind="text")
