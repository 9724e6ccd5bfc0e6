"""An answer's text, taken apart: without thoughts and decoration, into words, numbers, clauses and listed items."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from hosting import numerals

THOUGHT = re.compile(r"<(think|thinking|reasoning|thought)>.*?</\1>", re.DOTALL | re.IGNORECASE)
THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
THOUGHT_START = re.compile(r"<(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
LATEX_WORD = re.compile(r"\\(?:text|mathrm|mathbf|textbf|boxed|operatorname|left|right|quad|degree)\b")
LATEX_EQUALS = re.compile(r"\\(?:approx|implies|Rightarrow|to)\b")
TOKEN = re.compile(
    rf"(?P<number>{numerals.LITERAL})|(?P<word>[^\W_]+)|(?P<equals>[=≈])"
    r"|(?P<list>[,;/|\n•·.!?]+|\s[-–—]\s)|(?P<stop>[:()\[\]\"“”„—–→]+)"
)
ARTICLES = frozenset({"a", "an", "the"})
CONTRASTS = frozenset({"but", "however", "though", "although"})
SUPERSCRIPTS = str.maketrans({char: f"^{digit}" for digit, char in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})


class Token(NamedTuple):
    """A word or number of an answer, or what stands between. kind: word, number, equals, list or stop."""

    kind: str
    text: str
    values: frozenset[Decimal] = frozenset()

    @property
    def is_said(self) -> bool:
        return self.kind in ("word", "number")


def spoken(answer: str) -> str:
    """The answer without the thoughts that a reasoning model puts before it; empty when it only thought."""
    said = THOUGHT_END.split(THOUGHT.sub(" ", answer))[-1]
    return THOUGHT_START.split(said)[0].strip()


def tokens(text: str) -> list[Token]:
    """The tokens of a text, without case, accents, apostrophes, articles, Markdown and LaTeX."""
    found = []
    for match in TOKEN.finditer(_plain(text)):
        kind, word = match.lastgroup or "", match[0]
        if kind == "number":
            found.append(Token(kind, word, numerals.values(word)))
        elif word not in ARTICLES:
            found.append(Token(kind, word))
    return found


def words(text: str) -> list[str]:
    return [token.text for token in tokens(text) if token.is_said]


def with_numbers(read: Sequence[Token]) -> list[Token]:
    """The same with numbers in words as numbers: "forty two" is one token, of the value 42."""
    joined = [
        token
        for n, token in enumerate(read)
        if not (token.text == "and" and 0 < n < len(read) - 1 and read[n - 1].text in numerals.SCALES
                and read[n + 1].text in numerals.SMALL)
    ]  # fmt: skip
    found: list[Token] = []
    for spelled, group in groupby(joined, key=lambda token: token.text in numerals.WORDS):
        row = list(group)
        if spelled:
            name = " ".join(token.text for token in row)
            found.append(Token("number", name, frozenset({numerals.spelled([token.text for token in row])})))
        else:
            found.extend(row)
    return found


def clauses(read: Iterable[Token]) -> list[list[Token]]:
    """What is said between two marks, or before and after a "but"."""
    return _split(read, lambda token: not token.is_said or token.text in CONTRASTS)


def items(read: Iterable[Token]) -> list[list[Token]]:
    """What is said between two commas, slashes, bullets or ends of lines or sentences."""
    return _split(
        (token for token in read if token.is_said or token.kind == "list"), lambda t: t.kind == "list"
    )


def _split(read: Iterable[Token], splits: Callable[[Token], bool]) -> list[list[Token]]:
    return [list(group) for apart, group in groupby(read, key=splits) if not apart]


def _plain(text: str) -> str:
    text = LATEX_EQUALS.sub("=", LATEX_WORD.sub(" ", text.translate(SUPERSCRIPTS))).replace("{,}", ",")
    text = text.replace("\\,", "").replace("\\times", "×").replace("\\div", "÷").replace("\\cdot", "×")
    text = re.sub(r"[*`]", "", text)
    text = re.sub(r"[~#$\\{}_]", " ", text)
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(char for char in text if not unicodedata.combining(char))
    return re.sub(r"(?<=[a-z])['’](?=[a-z])", "", text)
