"""Filters for counts and durations."""

from django import template

register = template.Library()

SHORT = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))


@register.filter
def count(number: int) -> str:
    """12345 → "12,345"."""
    return f"{number:,}"


@register.filter
def count_short(number: int) -> str:
    """131072 → "131k", 1500000 → "1.5M": cut, not rounded up."""
    for unit, letter in SHORT:
        if number >= unit:
            tenths = number * 10 // unit
            return (
                f"{tenths // 10}{letter}" if tenths >= 100 or tenths % 10 == 0 else f"{tenths / 10}{letter}"
            )
    return str(number)


@register.filter
def duration(milliseconds: int | None) -> str:
    """850 → "850 ms", 1240 → "1.24 s"; a dash for what was not measured."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.2f} s"


@register.filter
def score(value: float) -> str:
    """A score from 0 to 1 with two digits."""
    return f"{value:.2f}"
