"""The question bank: easy factual questions whose answers never change, each in several wordings.

Pure: text in, questions out. `QUESTIONS` is the set that comes with NeuralGate; whoever wants to load it reads
the file. It is public, so an operator should add questions of their own that nobody else has seen.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

QUESTIONS = Path(__file__).with_name("questions.json")
TEXT, NUMBER = "text", "number"
KINDS = (TEXT, NUMBER)
TOPICS = ("arithmetic", "geography", "history", "language", "science")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_CHARS_MAX = 64
WORDINGS_MIN, WORDINGS_MAX = 3, 20
WORDING_CHARS_MAX = 500
ANSWERS_MAX = 20
ANSWER_CHARS_MAX = 100


class BadQuestion(ValueError):
    """A question that cannot be used; the words name it and say what to change."""


@dataclass(frozen=True, slots=True)
class BankQuestion:
    """A question that was checked. `kind` says how answers are compared, by words or as numbers."""

    slug: str
    topic: str
    kind: str
    wordings: tuple[str, ...]
    answers: tuple[str, ...]


def parse(text: str) -> tuple[BankQuestion, ...]:
    """The questions of a JSON document: a list of objects with slug, topic, kind, wordings and answers."""
    try:
        listed = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadQuestion(f"The bank is not valid JSON: {error}.") from None
    if not isinstance(listed, list):
        raise BadQuestion("The bank must be a list of questions.")
    seen: set[str] = set()
    questions = []
    for number, fields in enumerate(listed, start=1):
        if not isinstance(fields, dict):
            raise BadQuestion(f"Question number {number} must be an object.")
        name = fields.get("slug") or f"number {number}"
        question = check(fields, name=str(name))
        if question.slug in seen:
            raise BadQuestion(f"Question {question.slug}: another question has the same slug.")
        seen.add(question.slug)
        questions.append(question)
    return tuple(questions)


def check(fields: Mapping[str, object], *, name: str = "") -> BankQuestion:
    """One question from its fields, or BadQuestion. name: what to call it in words when its slug is no good."""
    slug = fields.get("slug")
    where = f"Question {name or slug}"
    if not isinstance(slug, str) or len(slug) > SLUG_CHARS_MAX or not SLUG.fullmatch(slug):
        raise BadQuestion(
            f"{where}: `slug` must be up to {SLUG_CHARS_MAX} small letters, digits and single hyphens."
        )
    topic, kind = fields.get("topic"), fields.get("kind")
    if not isinstance(topic, str) or topic not in TOPICS:
        raise BadQuestion(f"{where}: `topic` must be one of {', '.join(TOPICS)}.")
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadQuestion(f"{where}: `kind` must be text or number.")
    wordings = _texts(fields.get("wordings"), f"{where}: `wordings`", WORDINGS_MAX, WORDING_CHARS_MAX)
    if len(wordings) < WORDINGS_MIN:
        raise BadQuestion(f"{where}: `wordings` must be at least {WORDINGS_MIN} different texts.")
    answers = _texts(fields.get("answers"), f"{where}: `answers`", ANSWERS_MAX, ANSWER_CHARS_MAX)
    for answer in answers:
        if kind == NUMBER and not _is_number(answer):
            raise BadQuestion(
                f"{where}: the answer {answer!r} must be a number in digits, such as 12 or 0.5."
            )
        if kind == TEXT and not any(char.isalnum() for char in answer):
            raise BadQuestion(f"{where}: the answer {answer!r} must have a letter or a digit.")
    return BankQuestion(slug, topic, kind, wordings, answers)


def _texts(value: object, what: str, count_max: int, chars_max: int) -> tuple[str, ...]:
    """Different, stripped, non-empty texts, at least one."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise BadQuestion(f"{what} must be a list of texts, at least one.")
    texts = [text.strip() if isinstance(text, str) else "" for text in value]
    if not all(texts) or len(texts) > count_max or any(len(text) > chars_max for text in texts):
        raise BadQuestion(
            f"{what} must be at most {count_max} texts of 1 to {chars_max} characters, none of them empty."
        )
    if len({text.casefold() for text in texts}) < len(texts):
        raise BadQuestion(f"{what} has the same text twice.")
    return tuple(texts)


def _is_number(answer: str) -> bool:
    try:
        return answer.isascii() and Decimal(answer).is_finite()
    except InvalidOperation:
        return False
