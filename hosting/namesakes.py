"""Names of models that people write: those that nobody has here, and what was probably meant."""

import difflib
from collections.abc import Iterable, Sequence

from hosting import market
from hosting.models import HostedModel

NEAR_MAX = 3  # names that are offered instead of a wrong one
TOLD_MAX = 5  # wrong names that are told at once
LIKENESS_MIN = 0.6  # difflib's ratio, from 0 to 1
PART_CHARS_MIN = 3  # a shorter part is in half of all names


def unknown(names: Sequence[str]) -> list[str]:
    """Those that no server has or had. Without the database where there are none."""
    asked = [name for name in names if name != market.AUTO]
    if not asked:
        return []
    known = set(HostedModel.objects.filter(model_id__in=asked).values_list("model_id", flat=True))
    return [name for name in asked if name not in known]


def complaints(names: Sequence[str]) -> list[str]:
    """What to tell who wrote names that are unknown: a sentence for each, of TOLD_MAX at most."""
    wrong = unknown(names)
    for_sale = [model.id for model in market.listings()] if wrong else []
    return [_complaint(name, near(name, for_sale)) for name in wrong[:TOLD_MAX]]


def near(name: str, among: Iterable[str]) -> list[str]:
    """At most NEAR_MAX of the names that the wrong one resembles, whatever the case and whoever is before the `/`."""
    wanted, names = name.lower(), {one.lower(): one for one in among}
    parts = sorted(
        (one for one in names if _is_part(wanted, one) or _is_part(one, wanted)),
        key=lambda one: (abs(len(one) - len(wanted)), one),
    )
    tails = {_tail(one): one for one in names}
    whole = difflib.get_close_matches(wanted, names, NEAR_MAX, LIKENESS_MIN)
    by_tail = difflib.get_close_matches(_tail(wanted), tails, NEAR_MAX, LIKENESS_MIN)
    found = dict.fromkeys([*parts, *whole, *(tails[tail] for tail in by_tail)])
    return [names[one] for one in found][:NEAR_MAX]


def _is_part(part: str, whole: str) -> bool:
    return len(part) >= PART_CHARS_MIN and part in whole


def _tail(name: str) -> str:
    return name.rpartition("/")[2]


def _complaint(name: str, meant: Sequence[str]) -> str:
    if meant:
        return f"Nobody has “{name}” here. Did you mean {' or '.join(meant)}?"
    return f"Nobody has “{name}” here. The models page lists what there is."
