"""Models whose names are near to one that nobody offers, for who mistyped it. Pure."""

import difflib
from collections.abc import Iterable

NAMED_MAX = 3
LENGTH_APART_MAX = 3
COMPARED_MAX = 50  # comparing is dear, and this is an error's path
CHARS_MAX = 200


def near(name: str, offered: Iterable[str]) -> list[str]:
    """The nearest first, at most NAMED_MAX. A name that only lacks its maker ("qwen/…") is near, whatever its case."""
    name = name[:CHARS_MAX].casefold()
    known: dict[str, str] = {}
    for model in offered:
        for form in (model.casefold(), model.casefold().rpartition("/")[2]):
            if abs(len(form) - len(name)) <= LENGTH_APART_MAX and len(known) < COMPARED_MAX:
                known.setdefault(form, model)
    found = difflib.get_close_matches(name, known, n=NAMED_MAX)
    return list(dict.fromkeys(known[form] for form in found))
