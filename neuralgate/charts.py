"""Bars and tiles as numbers for a template: no script, no library, and a table beside them says the same."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing.balances import Balance

GOOD, FAIR = 0.99, 0.9  # shares of a day's requests that were served


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar that is WHOLE units long."""

    name: str
    x: int
    width: int


WHOLE = 1_000


def parts(*amounts: tuple[str, int]) -> list[Part]:
    """How a whole is divided, as pieces of one bar from left to right; none where there is nothing."""
    total, found, before = sum(amount for _, amount in amounts), [], 0
    for name, amount in amounts:
        if amount > 0:
            x = before * WHOLE // total
            before += amount
            found.append(Part(name, x, max(before * WHOLE // total - x, 1)))
    return found


def of_balance(balance: Balance) -> list[Part]:
    """What there is to spend, by where it came from, in the order in which it is spent."""
    return parts(
        ("promotional", balance.promotional_nanos),
        ("bought", balance.bought_nanos),
        ("earned", balance.earned_nanos),
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """A day of a row of days: level is good, fair, bad, or none when nothing happened."""

    level: str
    words: str


def uptime(days: Sequence[tuple[dt.date, Any]]) -> tuple[Tile, ...]:
    """A tile for each (date, outcomes), oldest first."""
    tiles = []
    for date, outcomes in days:
        if (success := outcomes.success) is None:
            tiles.append(Tile("none", f"{date:%d %b}: no requests"))
            continue
        level = "good" if success >= GOOD else "fair" if success >= FAIR else "bad"
        total = outcomes.served + outcomes.failed
        tiles.append(Tile(level, f"{date:%d %b}: {outcomes.served:,} of {total:,} requests served"))
    return tuple(tiles)
