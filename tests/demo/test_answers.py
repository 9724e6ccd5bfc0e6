"""An honest simulated model knows the bank, whatever stands around the question."""

import random

from hosting import bank
from hosting.answers import is_right
from hosting.disguise import DEFAULT_SHAPES, dress, fitting
from neuralgate.demo.answers import answer

QUESTIONS = bank.parse(bank.QUESTIONS.read_text(encoding="utf-8"))
ASKED = 1_500
CANDIDATES = 27  # questions of which the one that fits the shape best is asked, as the examiner does it


def text_of(content: object) -> str:
    return content if isinstance(content, str) else " ".join(part["text"] for part in content)


def test_a_dressed_question_of_the_bank_is_answered_right():
    rng = random.Random(20)
    wrong: list[tuple[str, str, str]] = []
    for _ in range(ASKED):
        candidates = rng.sample(QUESTIONS, CANDIDATES)
        by_wording = {wording: question for question in candidates for wording in question.wordings}
        shape = rng.choice(DEFAULT_SHAPES)
        wording = fitting(list(by_wording), shape, rng)
        question = by_wording[wording]
        others = [(one.wordings[0], one.answers[0]) for one in QUESTIONS if one is not question]
        payload = dress(wording, shape, others=others, rng=rng)
        asked = text_of(payload["messages"][-1]["content"])
        said = answer(asked, model="llama-3.1-8b-instruct")
        if not is_right(said, answers=question.answers, kind=question.kind):
            wrong.append((wording, said, asked))
    assert wrong == []
