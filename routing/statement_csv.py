"""A month's statement as CSV: every single booking between an opening and a closing row, exact, page by page.

A request is one row with what it cost in all; a hoster's is one with what was earned by it.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from accounts.models import Customer
from billing import account_statement, money, openings
from billing.months import Month
from hosting.models import Hoster
from routing import hoster_statements, periods, statements, usage
from routing.export import harmless, text, without_connection

CUSTOMER_COLUMNS = (
    "timestamp", "kind", "request_id", "model", "description", "amount_usd", "promotional_usd", "bought_usd",
    "earned_usd", "balance_usd",
)  # fmt: skip
HOSTER_COLUMNS = (
    "timestamp", "kind", "request_id", "model", "description", "gross_usd", "fee_usd", "amount_usd", "pending_usd",
)  # fmt: skip
OPENING, CLOSING = "opening_balance", "closing_balance"
FIRST_ID = uuid.UUID(int=0)

PAGE = f"""
-- {account_statement.AFTER.strip().removeprefix("-- ").splitlines()[0]}; requests and charges by their primary key
SELECT e.id, e.created_at, e.kind, e.amount, e.earned, e.bought, e.charge, e.reason, coalesce(r.model_id, ''),
       c.gross_nanos, c.fee_nanos
  FROM ({account_statement.AFTER}) AS e
  LEFT JOIN routing_inferencerequest r ON r.id = e.charge
  LEFT JOIN billing_charge c ON c.id = e.charge
 ORDER BY e.created_at, e.id
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose month: the account's and its balance at the start. of_hoster: the account is a hoster's pending one."""

    account_id: int
    month: Month
    opening_nanos: int
    of_hoster: bool = False


@dataclass(slots=True)
class Row:
    """One booking; a request's, and a refund's, are two transfers that are added up."""

    at: dt.datetime
    kind: str
    charge: uuid.UUID | None
    reason: str
    model: str
    nanos: int
    earned_nanos: int
    bought_nanos: int
    gross_nanos: int | None
    fee_nanos: int | None

    def takes(self, other: "Row") -> bool:
        """Add the other one to this, when it is the other part of the same."""
        same = self.charge is not None and (self.charge, self.kind) == (other.charge, other.kind)
        if same:
            self.nanos += other.nanos
            self.earned_nanos += other.earned_nanos
            self.bought_nanos += other.bought_nanos
        return same


def of_customer(customer: Customer, month: Month) -> Asked:
    account_id = statements.accounts_of(customer)["account"]
    return Asked(account_id, month, openings.since(account_id, month.start).at(month.start).posted_nanos)


def of_hoster(hoster: Hoster, month: Month) -> Asked:
    account_id = statements.accounts_of(hoster.customer)["pending"]
    return Asked(account_id, month, hoster_statements.opening_nanos(hoster, month), of_hoster=True)


def headers(name: str) -> dict[str, str]:
    """Of the file `<name>.csv`."""
    return {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Cache-Control": "no-store",
    }


async def lines(asked: Asked) -> AsyncIterator[str]:
    """The header, the opening, every booking in the order of its time, the closing; one piece of text per page."""
    balance = asked.opening_nanos
    yield text([HOSTER_COLUMNS if asked.of_hoster else CUSTOMER_COLUMNS])
    yield text([edge(asked, asked.month.start, OPENING, balance)])
    waiting: Row | None = None  # for its other part, which may be on the next page
    at, after = asked.month.start, FIRST_ID
    until = await sync_to_async(without_connection(end))(asked.month)
    while True:
        found = await sync_to_async(page)(asked.account_id, until, at, after)
        out = []
        for new in (row(asked, *one[1:]) for one in found):
            if waiting and waiting.takes(new):
                continue
            if waiting:
                balance += waiting.nanos
                out.append(record(asked, waiting, balance))
            waiting = new
        if len(found) < settings.EXPORT_PAGE_ROWS:
            break
        yield text(out)
        after, at = found[-1][:2]
    if waiting:
        balance += waiting.nanos
        out.append(record(asked, waiting, balance))
    yield text([*out, edge(asked, until, CLOSING, balance)])


def end(month: Month) -> dt.datetime:
    """The month's, or now."""
    return min(usage.now(), month.end)


@without_connection
def page(account_id: int, until: dt.datetime, at: dt.datetime, after: uuid.UUID) -> list[tuple[Any, ...]]:
    """At most EXPORT_PAGE_ROWS transfers of the account after this one."""
    where = {"account": account_id, "until": until, "at": at, "after": after}
    return usage.rows(PAGE, {**where, "rows": settings.EXPORT_PAGE_ROWS})


def row(
    asked: Asked, at: dt.datetime, kind: str, nanos: int, earned_nanos: int, bought_nanos: int,
    charge: uuid.UUID | None, reason: str, model: str, gross_nanos: int | None, fee_nanos: int | None,
) -> Row:  # fmt: skip
    """A transfer, named as the account's owner names it."""
    served = "earning" if asked.of_hoster else "request"
    kind = served if kind in {"charge", "fee"} else kind
    return Row(at, kind, charge, reason, model, nanos, earned_nanos, bought_nanos, gross_nanos, fee_nanos)


def record(asked: Asked, one: Row, balance_nanos: int) -> tuple[str, ...]:
    """A booking in the order of the columns. Numbers may begin with a minus; texts are harmless to spreadsheets."""
    charge = f"req_{one.charge.hex}" if one.charge else ""  # as in the log's CSV
    cells = (periods.text(one.at), one.kind, charge, harmless(one.model), harmless(one.reason))
    if asked.of_hoster:
        earned = one.kind == "earning"
        sums = [
            money.decimal(nanos) if earned and nanos is not None else ""
            for nanos in (one.gross_nanos, one.fee_nanos)
        ]
        return (*cells, *sums, money.decimal(one.nanos), money.decimal(balance_nanos))
    promotional_nanos = one.nanos - one.earned_nanos - one.bought_nanos
    amounts = (one.nanos, promotional_nanos, one.bought_nanos, one.earned_nanos, balance_nanos)
    return (*cells, *map(money.decimal, amounts))


def edge(asked: Asked, at: dt.datetime, kind: str, balance_nanos: int) -> tuple[str, ...]:
    """The first or the last row: only the balance."""
    columns = HOSTER_COLUMNS if asked.of_hoster else CUSTOMER_COLUMNS
    blank = [""] * (len(columns) - 3)
    return (periods.text(at), kind, *blank, money.decimal(balance_nanos))
