"""Is an answer to a question of the bank right? In doubt wrong, but never for the way in which it is put.

A right answer may stand inside of a sentence, in Markdown or LaTeX, in words or digits, with an explanation
before or after. What counts is what the answer commits itself to:

- an answer of at most 60 words: all of it. A longer one: its first and its last sentence, and what is set in
  bold (at most 3 places). A sentence of more than 40 words, or more than 25 words without any mark between,
  commit themselves to nothing. Where there is a \\boxed{…}, nothing but the last one counts;
- an accepted answer must occur there as whole words, not denied ("not Paris", "Paris is not …"), not as one side
  of an "or", and not in a list of 4 (of numbers: 3) or more short items;
- of numbers, a text that names more than 4 different ones commits itself with its first and last sentence only,
  and these to nothing if they name more than 4 themselves. What stands before a sentence's last equals sign is
  the question repeated, and so is what stands in the middle of a sentence that calculates.

A text that names everything can still hit a few questions; `consistency.evidence` is there for that.
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from hosting.reading import Token, clauses, items, spoken, tokens, with_numbers, words

WORDS_MAX = 60
SENTENCE_WORDS_MAX = 40
CLAUSE_WORDS_MAX = 25
BOLD_PLACES_MAX = 3
LIST_ITEMS_MIN, LIST_ITEM_WORDS_MAX = 4, 3
NUMBERS_LIST_MIN, NUMBERS_LIST_WORDS_MAX = 3, 2
NUMBERS_MAX = 4
CHARS_MAX = 20_000  # of an answer: the rest is not read

BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__|<b>(.+?)</b>|<strong>(.+?)</strong>", re.DOTALL | re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)*_]*\s+|\s*\n\s*")
CALCULATES = re.compile(
    r"[×*÷+^%√]|\d\s*[-−/x]\s*\d|\b(?:times|plus|minus|divid|multipl|add|subtract|squared?|root|half|percent|power)",
    re.IGNORECASE,
)
EQUALS = frozenset({"equals", "equal", "makes"})
DENIALS = frozenset(
    {
        "not",
        "never",
        "isnt",
        "wasnt",
        "arent",
        "cannot",
        "cant",
        "neither",
        "nor",
        "instead",
        "unlike",
        "except",
    }
)
NO_DENIALS = frozenset({"only", "just", "merely", "simply"})  # "not only Paris"
DENIED_WITHIN_WORDS = 4
BE = frozenset({"is", "was", "are", "were"})


def is_right(answer: str, *, answers: Sequence[str], kind: str) -> bool:
    """Whether a model's answer commits itself to one of the accepted answers.

    answers: the accepted ones, as in the bank. kind: "text" compares words, "number" compares values.
    """
    places = _places(spoken(answer[:CHARS_MAX]))
    if kind == "number":
        values = {Decimal(one) for one in answers}
        return any(_commits_to_number(place, values) for place in places)
    wanted = [said for one in answers if (said := words(one))]
    return any(_commits_to_words(place, wanted) for place in places)


def _places(said: str) -> list[str]:
    """The parts of an answer that count."""
    if boxes := BOXED.findall(said):
        return [boxes[-1]]
    if len(said.split()) <= WORDS_MAX:
        return [said]
    bold = ["".join(groups) for groups in BOLD.findall(said)]
    places = [*_ends(_sentences(said)), *(bold if len(bold) <= BOLD_PLACES_MAX else [])]
    return [place for place in places if len(place.split()) <= SENTENCE_WORDS_MAX]


def _sentences(text: str) -> list[str]:
    return [one for one in SENTENCE_END.split(text) if re.search(r"\w", one)]


def _ends(sentences: list[str]) -> list[str]:
    return sentences if len(sentences) < 2 else [sentences[0], sentences[-1]]


def _commits_to_words(place: str, wanted: list[list[str]]) -> bool:
    read = tokens(place)
    if _lists(read, LIST_ITEMS_MIN, LIST_ITEM_WORDS_MAX):
        return False
    edges = {said[0] for said in wanted} | {said[-1] for said in wanted}
    for clause in _readable(read):
        said = [token.text for token in clause]
        for answer in wanted:
            for start in range(len(said) - len(answer) + 1):
                end = start + len(answer)
                if said[start:end] == answer and _stands(said, start, end, edges):
                    return True
    return False


def _commits_to_number(place: str, values: set[Decimal]) -> bool:
    sentences = _sentences(place)
    if _numbers(with_numbers(tokens(place))) > NUMBERS_MAX:
        sentences = _ends(sentences)
    return any(_says_number(_result(one), values) for one in sentences)


def _result(sentence: str) -> list[Token]:
    """A sentence without the numbers of a question that it repeats."""
    read = with_numbers(tokens(sentence))
    equals = [n for n, token in enumerate(read) if token.kind == "equals" or token.text in EQUALS]
    if equals and _numbers(read[equals[-1] :]):
        return read[equals[-1] + 1 :]
    if not CALCULATES.search(sentence):
        return read
    numbers = [n for n, token in enumerate(read) if token.values]
    return [token for n, token in enumerate(read) if not token.values or n in (numbers[0], numbers[-1])]


def _says_number(read: list[Token], values: set[Decimal]) -> bool:
    if (
        _numbers(read) > NUMBERS_MAX
        or _enumerates(read)
        or _lists(read, NUMBERS_LIST_MIN, NUMBERS_LIST_WORDS_MAX)
    ):
        return False
    edges = {token.text for token in read if token.values & values}
    for clause in _readable(read):
        said = [token.text for token in clause]
        for n, token in enumerate(clause):
            if token.values & values and _stands(said, n, n + 1, edges):
                return True
    return False


def _numbers(read: Sequence[Token]) -> int:
    """How many different ones."""
    return len({token.values for token in read if token.values})


def _readable(read: Sequence[Token]) -> list[list[Token]]:
    return [clause for clause in clauses(read) if len(clause) <= CLAUSE_WORDS_MAX]


def _lists(read: Sequence[Token], count: int, words_max: int) -> bool:
    """Whether so many short items follow each other."""
    row = 0
    for item in items(read):
        row = row + 1 if len(item) <= words_max else 0
        if row >= count:
            return True
    return False


def _enumerates(read: Sequence[Token]) -> bool:
    """Whether so many numbers follow each other with nothing but marks, "and" and "or" between them."""
    row = 0
    for token in read:
        if token.values:
            row += 1
        elif token.is_said and token.text not in ("and", "or"):
            row = 0
        if row >= NUMBERS_LIST_MIN:
            return True
    return False


def _stands(said: Sequence[str], start: int, end: int, accepted: set[str]) -> bool:
    """Whether what is said from start to end is neither denied nor one of several possibilities.

    accepted: words at the edges of accepted answers; "water or H2O" is no doubt when both are.
    """
    for n in range(max(0, start - DENIED_WITHIN_WORDS), start):
        if said[n] in DENIALS and said[n + 1] not in NO_DENIALS:
            return False
    after = said[end : end + 3]
    if after[:1] and (after[0] in {"isnt", "wasnt", "arent"} or (after[0] in BE and after[1:2] == ["not"])):
        return after[-1] in NO_DENIALS
    before_or = said[start - 2] if start >= 2 and said[start - 1] == "or" else None
    after_or = said[end + 1] if end + 1 < len(said) and said[end] == "or" else None
    if any(other is not None and other not in accepted for other in (before_or, after_or)):
        return False
    return "either" not in said[max(0, start - 2) : start]
