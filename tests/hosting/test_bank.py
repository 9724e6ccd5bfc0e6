"""The bank of questions: what comes with NeuralGate is sound, and a wrong question is named."""

import json
from collections import Counter
from typing import Any

import pytest

from hosting import bank
from hosting.bank import BadQuestion

GOOD: dict[str, Any] = {
    "slug": "capital-france",
    "topic": "geography",
    "kind": "text",
    "answers": ["Paris"],
    "wordings": ["What is the capital of France?", "capital of france?", "Which city is France's capital?"],
}


def test_the_bank_has_many_questions_of_each_topic():
    questions = bank.parse(bank.QUESTIONS.read_text("utf-8"))
    topics = Counter(question.topic for question in questions)
    assert len(questions) >= 240
    assert set(topics) == set(bank.TOPICS)
    assert min(topics.values()) >= 48


def test_wordings_differ_between_questions_and_in_length():
    questions = bank.parse(bank.QUESTIONS.read_text("utf-8"))
    wordings = [wording.casefold() for question in questions for wording in question.wordings]
    assert len(set(wordings)) == len(wordings)
    assert min(map(len, wordings)) < 12
    assert max(map(len, wordings)) > 90
    endings = Counter(" ".join(wording.split()[-3:]) for wording in wordings)
    assert endings.most_common(1)[0][1] < 0.05 * len(wordings), "a phrase gives the tests away"


def test_a_question_is_kept_as_it_was_given():
    (question,) = bank.parse(json.dumps([GOOD]))
    assert question.slug == "capital-france"
    assert question.answers == ("Paris",)
    assert len(question.wordings) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slug": "Capital France"}, "`slug`"),
        ({"slug": None}, "`slug`"),
        ({"slug": "x" * 65}, "`slug`"),
        ({"topic": "gossip"}, "`topic`"),
        ({"topic": []}, "`topic`"),
        ({"kind": "date"}, "`kind`"),
        ({"wordings": GOOD["wordings"][:2]}, "at least 3"),
        ({"wordings": [*GOOD["wordings"], "Capital of France?"]}, "same text twice"),
        ({"wordings": "What?"}, "`wordings`"),
        ({"wordings": [*GOOD["wordings"], "x" * 501]}, "`wordings`"),
        ({"answers": []}, "`answers`"),
        ({"answers": [" "]}, "`answers`"),
        ({"answers": ["!"]}, "letter or a digit"),
        ({"answers": ["Paris"], "kind": "number"}, "in digits"),
        ({"answers": ["NaN"], "kind": "number"}, "in digits"),
        ({"answers": [5]}, "`answers`"),
    ],
)
def test_a_wrong_question_is_named_and_says_what_is_wrong(change: dict[str, Any], words: str):
    wrong = {**GOOD, **change}
    with pytest.raises(BadQuestion, match=words):
        bank.check(wrong)
    other = {**GOOD, "slug": "other"}
    with pytest.raises(BadQuestion, match=f"Question ({wrong['slug']}|number 2)"):
        bank.parse(json.dumps([other, wrong]))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nonsense"])
def test_a_document_that_is_no_list_of_questions_is_refused(text: str):
    with pytest.raises(BadQuestion):
        bank.parse(text)


def test_two_questions_with_the_same_slug_are_refused():
    with pytest.raises(BadQuestion, match="capital-france: another question"):
        bank.parse(json.dumps([GOOD, GOOD]))
