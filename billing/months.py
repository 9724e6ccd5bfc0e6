"""Calendar months in UTC, which statements cover."""

import datetime as dt
import re
from dataclasses import dataclass

NAME = re.compile(r"(?P<year>[2-9]\d{3})-(?P<number>0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """From start (included) to end (excluded). number: 1 to 12."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: dt.datetime) -> "Month":
        """The month (UTC) that contains the moment."""
        utc = moment.astimezone(dt.UTC)
        return cls(utc.year, utc.month)

    @classmethod
    def named(cls, name: str) -> "Month | None":
        """`2026-10`; None for any other text."""
        found = NAME.fullmatch(name)
        return cls(int(found["year"]), int(found["number"])) if found else None

    @property
    def start(self) -> dt.datetime:
        return dt.datetime(self.year, self.number, 1, tzinfo=dt.UTC)

    @property
    def end(self) -> dt.datetime:
        return self.next.start

    @property
    def next(self) -> "Month":
        return self.earlier(-1)

    def earlier(self, months: int) -> "Month":
        """The month so many months before."""
        year, index = divmod(self.year * 12 + self.number - 1 - months, 12)
        return Month(year, index + 1)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"
