"""Numbers as people write them: in digits with all kinds of separators, and in English words up to millions."""

import re
from collections.abc import Sequence
from decimal import Decimal

SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
WORDS = frozenset(SMALL) | frozenset(SCALES)
LITERAL = (
    r"(?<![\w.])[-−+]?(?:\d{1,3}(?:[,.'’ ]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?)(?!\d|st\b|nd\b|rd\b|th\b)"
)
GROUPED = re.compile(r"(\d{1,3})((?:[,.'’ ]\d{3})+)(?:[.,](\d+))?")


def values(literal: str) -> frozenset[Decimal]:
    """What a number in digits may mean. Only "1.000" means two things: a thousand, and one."""
    minus = "-" if literal[0] in "-−" else ""
    digits = literal.lstrip("-−+")
    grouped = GROUPED.fullmatch(digits)
    if not grouped:
        return frozenset({Decimal(minus + digits.replace(",", "."))})
    whole = grouped[1] + re.sub(r"\D", "", grouped[2])
    found = {Decimal(f"{minus}{whole}.{grouped[3] or 0}")}
    if digits.count(".") == 1 and re.fullmatch(r"\d{1,3}\.\d{3}", digits):
        found.add(Decimal(minus + digits))
    return frozenset(found)


def spelled(words: Sequence[str]) -> Decimal:
    """The value of number words in a row: one hundred twenty one, nineteen eighty nine (a year), thousand."""
    numbers = [SMALL[word] for word in words if word in SMALL]
    if (
        len(numbers) == len(words)
        and len(words) in (2, 3)
        and 10 <= numbers[0] <= 20
        and sum(numbers[1:]) >= 10
    ):
        return Decimal(numbers[0] * 100 + sum(numbers[1:]))
    total = current = 0
    for word in words:
        if word in SMALL:
            current += SMALL[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        else:
            total += max(current, 1) * SCALES[word]
            current = 0
    return Decimal(total + current)
