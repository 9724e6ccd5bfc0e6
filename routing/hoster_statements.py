"""A hoster's calendar months, to the nanodollar. Only reads.

    opening pending + earned − reversed − frozen + verdicts − released − kept back = closing pending

What was pending and frozen at a month's end is what is now, less what moved since.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from billing import snapshots
from billing.months import Month
from hosting.models import Hoster
from routing import entries
from routing.entries import Amount, DaySums, ReleasedDay
from routing.statements import LINES_MAX, MONTHS_MAX, OTHERS, RELEASES, accounts_of
from routing.usage import SUMS, rows

FIRST = """
-- of each of the hoster's servers the first row of routing_offerhour_once (server, hour)
SELECT app_now(), min(f.hour) FROM hosting_server s, LATERAL (
    SELECT u.hour FROM routing_offerhour u WHERE u.server_id = s.id ORDER BY u.hour LIMIT 1) AS f
 WHERE s.hoster_id = %(hoster)s
"""
NOW = """
-- the maturities of one account (billing_maturity_once) and the disputes against one hoster (billing_dispute_payee)
SELECT app_now(),
       (SELECT coalesce(sum(m.amount_nanos), 0)::bigint FROM billing_maturity m WHERE m.account_id = %(pending)s),
       (SELECT coalesce(sum(d.net_nanos), 0)::bigint FROM billing_dispute d
         WHERE d.payee_id = %(customer)s AND d.state = 'open')
"""
# Each reads ranges of routing_offerhour_once (server, hour), billing_releaseday_once (account, starts_at),
# billing_transfer_in and billing_transfer_out (account, created_at).
EARNED = """
SELECT date_trunc('month', u.hour, 'UTC'), sum(u.requests)::bigint, sum(u.gross_nanos)::bigint,
       sum(u.fee_nanos)::bigint, sum(u.net_nanos)::bigint
  FROM hosting_server s JOIN routing_offerhour u ON u.server_id = s.id
 WHERE s.hoster_id = %(hoster)s AND u.hour >= %(start)s GROUP BY 1
"""
MOVED = f"""
SELECT m.month, sum(m.reversed)::bigint, sum(m.frozen)::bigint, sum(m.verdicts)::bigint, sum(m.upheld)::bigint,
       sum(m.released)::bigint, sum(m.kept_back)::bigint
  FROM (SELECT date_trunc('month', r.starts_at, 'UTC') AS month, 0 AS reversed, 0 AS frozen, 0 AS verdicts,
               0 AS upheld, r.released_nanos AS released, r.kept_back_nanos AS kept_back
          FROM billing_releaseday r WHERE r.account_id = %(pending)s AND r.starts_at >= %(start)s
        UNION ALL
        SELECT date_trunc('month', t.created_at, 'UTC'),
               CASE WHEN t.kind = 'refund' AND t.debit_id = %(pending)s THEN t.amount_nanos ELSE 0 END,
               CASE WHEN t.kind = 'dispute' THEN t.amount_nanos ELSE 0 END,
               CASE WHEN t.kind = 'verdict' THEN t.amount_nanos ELSE 0 END,
               CASE WHEN t.kind = 'refund' AND t.debit_id = %(disputed)s THEN t.amount_nanos ELSE 0 END, 0, 0
          FROM billing_transfer t
         WHERE t.debit_id IN (%(pending)s, %(disputed)s) AND t.created_at >= %(start)s AND {OTHERS}) AS m
 GROUP BY 1
"""
BY_DAY = f"""
SELECT date_trunc('day', u.hour, 'UTC'), u.model_id, {SUMS}
  FROM hosting_server s JOIN routing_offerhour u ON u.server_id = s.id
 WHERE s.hoster_id = %(hoster)s AND u.hour >= %(start)s AND u.hour < %(until)s GROUP BY 1, 2 ORDER BY 1, 2
"""
LINES = f"""
SELECT t.created_at, t.kind, t.charge, t.reason,
       CASE WHEN t.debit_id = %(pending)s THEN -t.amount_nanos WHEN t.credit_id = %(pending)s THEN t.amount_nanos
            ELSE 0 END,
       CASE WHEN t.debit_id = %(disputed)s THEN -t.amount_nanos WHEN t.credit_id = %(disputed)s THEN t.amount_nanos
            ELSE 0 END,
       count(*) OVER ()
  FROM billing_transfer t
 WHERE t.debit_id IN (%(pending)s, %(disputed)s) AND t.created_at >= %(start)s AND t.created_at < %(until)s AND {OTHERS}
 ORDER BY t.created_at, t.id LIMIT %(rows)s OFFSET %(skipped)s
"""

WORDS = {"refund": "Given back", "dispute": "Frozen by a dispute", "verdict": "Dispute rejected"}


@dataclass(frozen=True, slots=True)
class Moves:
    """What moved in a month, nanodollars. gross = fee + net; reversed came out of pending, upheld out of frozen."""

    requests: int = 0
    gross_nanos: int = 0
    fee_nanos: int = 0
    net_nanos: int = 0
    reversed_nanos: int = 0
    frozen_nanos: int = 0
    verdicts_nanos: int = 0
    upheld_nanos: int = 0
    released_nanos: int = 0
    kept_back_nanos: int = 0

    @property
    def pending_nanos(self) -> int:
        """By how much pending grew."""
        gone = self.reversed_nanos + self.frozen_nanos + self.released_nanos + self.kept_back_nanos
        return self.net_nanos + self.verdicts_nanos - gone

    @property
    def given_back_nanos(self) -> int:
        """To customers, in all."""
        return self.reversed_nanos + self.upheld_nanos

    @property
    def still_frozen_nanos(self) -> int:
        """By how much frozen grew."""
        return self.frozen_nanos - self.verdicts_nanos - self.upheld_nanos


@dataclass(frozen=True, slots=True)
class MonthSums:
    """opening + moves = closing, of pending and of frozen money. until: the end, or now."""

    month: Month
    until: dt.datetime
    opening_nanos: int
    closing_nanos: int
    opening_frozen_nanos: int
    closing_frozen_nanos: int
    moves: Moves

    @property
    def is_running(self) -> bool:
        return self.until < self.month.end


@dataclass(frozen=True, slots=True)
class Line:
    """An earning that was frozen, is pending again or was given back. Signed nanodollars."""

    at: dt.datetime
    kind: str
    charge: uuid.UUID
    reason: str
    pending_nanos: int
    frozen_nanos: int

    @property
    def words(self) -> str:
        return "Dispute upheld" if self.kind == "refund" and self.frozen_nanos else WORDS[self.kind]


@dataclass(frozen=True, slots=True)
class Statement:
    """Lines are those of one page."""

    sums: MonthSums
    requests: list[DaySums]
    releases: list[ReleasedDay]
    lines: list[Line]
    lines_all: int
    page: int
    pages: int


def month_named(hoster: Hoster, name: str) -> Month | None:
    """`2026-10` as a month of this hoster's: from its first request's to the running one; None for others."""
    month, (first, running) = Month.named(name), _first_and_running(hoster)
    return month if month and first <= month <= running else None


def months(hoster: Hoster) -> list[MonthSums]:
    """The running month and those before it, the newest first, MONTHS_MAX at most."""
    with snapshots.one_moment():
        first, running = _first_and_running(hoster)
        return _since(_asked(hoster, max(first, running.earlier(MONTHS_MAX - 1))))


def statement(hoster: Hoster, month: Month, *, page: int = 1) -> Statement:
    """page: of the lines, 1-based, LINES_MAX each; past the last it is empty."""
    page = max(page, 1)
    with snapshots.one_moment():
        asked = _asked(hoster, month)
        sums = _since(asked)[-1]
        requests = [DaySums(*row[2:], day=row[0].date(), model_id=row[1]) for row in rows(BY_DAY, asked)]
        releases = [
            ReleasedDay(row[0].date(), row[1], Amount(row[2], row[3], 0)) for row in rows(RELEASES, asked)
        ]
        found = rows(LINES, {**asked, "rows": LINES_MAX, "skipped": (page - 1) * LINES_MAX})
    lines_all = found[0][-1] if found else 0
    lines = [Line(*row[:-1]) for row in found]
    pages = max(-(-lines_all // LINES_MAX), page)
    return Statement(sums, entries.of_a_page(requests), releases, lines, lines_all, page, pages)


def opening_nanos(hoster: Hoster, month: Month) -> int:
    """What was pending when the month began."""
    with snapshots.one_moment():
        return _since(_asked(hoster, month))[-1].opening_nanos


def _since(asked: dict[str, Any]) -> list[MonthSums]:
    """From the running month back to the one that is asked for. Within one snapshot."""
    earned = {Month.of(row[0]): row[1:] for row in rows(EARNED, asked)}
    moved = {Month.of(row[0]): row[1:] for row in rows(MOVED, asked)}
    ((now, pending_nanos, frozen_nanos),) = rows(NOW, asked)
    found, month = [], Month.of(now)
    while month.end > asked["start"]:
        moves = Moves(*earned.get(month, (0,) * 4), *moved.get(month, (0,) * 6))
        opening_nanos = pending_nanos - moves.pending_nanos
        opening_frozen_nanos = frozen_nanos - moves.still_frozen_nanos
        found.append(
            MonthSums(
                month, min(now, month.end), opening_nanos, pending_nanos, opening_frozen_nanos, frozen_nanos, moves
            )
        )  # fmt: skip
        pending_nanos, frozen_nanos, month = opening_nanos, opening_frozen_nanos, month.earlier(1)
    return found


def _first_and_running(hoster: Hoster) -> tuple[Month, Month]:
    """The month of the first request, or the running one, and the running one."""
    ((now, first),) = rows(FIRST, {"hoster": hoster.pk})
    return min(Month.of(first or now), Month.of(now)), Month.of(now)


def _asked(hoster: Hoster, month: Month) -> dict[str, Any]:
    """The parameters of the reads above."""
    accounts = accounts_of(hoster.customer)
    return {
        **accounts,
        "customer": hoster.customer_id,
        "hoster": hoster.pk,
        "start": month.start,
        "until": month.end,
    }
