"""Filters for counts and durations."""

from django import template

register = template.Library()

SHORT = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))


@register.filter
def count(number: int) -> str:
    """12345 → "12,345"."""
    return f"{number:,}"


@register.filter
def short(number: int) -> str:
    """A large count as people say it, cut and not rounded up: 12345 → "12.3k", 1_999_999 → "1.9M", 999 → "999"."""
    for size, letter in SHORT:
        if number >= size:
            return f"{number * 10 // size / 10:g}{letter}"
    return count(number)


@register.filter
def context(tokens: int) -> str:
    """A context window as people say it: 131072 → "128k", 100000 → "100k", 6500 → "6,500"."""
    for thousand in (1_024, 1_000):
        if tokens >= thousand and tokens % thousand == 0:
            return f"{tokens // thousand}k"
    return count(tokens)


@register.filter
def duration(milliseconds: int | None) -> str:
    """850 → "850 ms", 1240 → "1.24 s"; a dash for what was not measured."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.2f} s"


@register.filter
def seconds(number: float) -> str:
    """A wait as people say it: 600 → "10 minutes", 45 → "45 seconds"."""
    if number >= 60 and number % 60 == 0:
        return f"{number // 60:,.0f} minute{'' if number == 60 else 's'}"
    return f"{number:,g} second{'' if number == 1 else 's'}"


@register.filter
def remaining(number: int) -> str:
    """What is left of a wait in hours, minutes and seconds, as static/js/countdown.js says it: 3_725 → "1:02:05"."""
    return f"{number // 3_600}:{number // 60 % 60:02}:{number % 60:02}"


@register.filter
def score(value: float | None) -> str:
    """A score from 0 to 1 with two digits; a dash for what was not measured."""
    return "–" if value is None else f"{value:.2f}"


@register.filter
def rate(value: float | None) -> str:
    """Tokens per second: 41.7 → "42", 3.21 → "3.2"; a dash for what was not measured."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


@register.filter
def share(value: float | None) -> str:
    """A part of a whole as a percentage: 0.987 → "98.7 %"; a dash for what was not measured."""
    return "–" if value is None else f"{value * 100:.1f} %"
