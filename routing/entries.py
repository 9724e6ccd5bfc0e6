"""What stands on a statement: amounts with their parts, requests by day, releases by day, other bookings one by one."""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from routing import usage
from routing.usage import Sums

DAYS_AND_MODELS_MAX = 500  # beyond that requests are summed by day only

WORDS = {
    "request": "Requests",
    "release": "Earnings released",
    "grant": "Credit given",
    "sale": "Credit bought",
    "refund": "Refunds",
    "refund upheld": "Disputes upheld",
    "payout": "Payouts asked for",
    "return": "Payouts that came back",
    "clawback": "Payments taken back",
}
ONE_IN_WORDS = {
    "refund": "Refund",
    "refund upheld": "Dispute upheld",
    "payout": "Payout asked for",
    "return": "Payout that came back",
    "clawback": "Payment taken back",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """A signed amount and its parts; what is neither earned nor bought is promotional."""

    nanos: int
    earned_nanos: int
    bought_nanos: int

    @property
    def promotional_nanos(self) -> int:
        return self.nanos - self.earned_nanos - self.bought_nanos


@dataclass(frozen=True, slots=True)
class Total:
    """All bookings of one kind (a key of WORDS) in the month."""

    kind: str
    count: int
    amount: Amount

    @property
    def words(self) -> str:
        return WORDS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySums(Sums):
    """The requests of one day, of one model or, where model_id is None, of all."""

    day: dt.date
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReleasedDay:
    day: dt.date
    releases: int
    amount: Amount


@dataclass(frozen=True, slots=True)
class Line:
    """One booking that is neither a request nor a release. charge: the request that was given back."""

    at: dt.datetime
    kind: str
    charge: uuid.UUID | None
    reason: str
    amount: Amount

    @property
    def words(self) -> str:
        return ONE_IN_WORDS.get(self.kind, WORDS[self.kind])


def total(amounts: Iterable[Amount]) -> Amount:
    """Their sum, part by part."""
    columns = list(zip(*(astuple(amount) for amount in amounts), strict=True)) or [(), (), ()]
    return Amount(*(sum(column) for column in columns))


def of_a_page(requests: list[DaySums]) -> list[DaySums]:
    """As they are, or, when they are too many for a page, summed by day."""
    if len(requests) <= DAYS_AND_MODELS_MAX:
        return requests
    days: dict[dt.date, list[DaySums]] = {}
    for one in requests:
        days.setdefault(one.day, []).append(one)
    return [DaySums(*astuple(usage.add(found)), day=day) for day, found in days.items()]
