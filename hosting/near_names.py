"""Names of models that somebody probably meant with a wrong one. Pure, and quick: a gateway asks between requests."""

from collections.abc import Iterable

NEAR_MAX = 3
SLIPS_MAX = (
    2  # characters between the common beginning and the common end: one slip, or two that changed places
)
PART_CHARS_MIN = 3  # a shorter part is in half of all names
CHARS_MAX = 200  # no model's name is longer
FAR = CHARS_MAX + 1


def near(name: str, among: Iterable[str]) -> list[str]:
    """At most NEAR_MAX of the names that the wrong one resembles, whatever the case and whoever is before the `/`.

    One pass over the names, and of each over its characters: no name makes another one dear.
    """
    wanted = name.casefold()[:CHARS_MAX]
    found = [(_distance(wanted, one.casefold()), one) for one in among]
    return [one for far, one in sorted(found) if far < FAR][:NEAR_MAX]


def _distance(wanted: str, name: str) -> int:
    """Slips apart, or characters apart where one is a part of the other; FAR for names that have nothing to do."""
    slips = min(_slips(wanted, name), _slips(_tail(wanted), _tail(name)))
    if slips <= SLIPS_MAX:
        return slips
    short, long = sorted((wanted, name), key=len)
    return len(long) - len(short) if len(short) >= PART_CHARS_MIN and short in long else FAR


def _slips(one: str, other: str) -> int:
    """Characters of the longer name outside of the common beginning and the common end."""
    most = min(len(one), len(other))
    if not most or abs(len(one) - len(other)) > SLIPS_MAX:
        return FAR
    alike = _beginning(one, other) + _beginning(one[::-1], other[::-1])
    return max(len(one), len(other)) - min(alike, most)


def _beginning(one: str, other: str) -> int:
    """How many characters they have in common before the first that differs."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _tail(name: str) -> str:
    return name.rpartition("/")[2]
