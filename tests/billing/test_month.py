"""For a month of random traffic: statement = ledger = /v1/usage = CSV = /v1/earnings, to the nanodollar."""

import csv
import datetime as dt
import io
import re
from collections import Counter
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client

from billing.models import LedgerAccount, Transfer
from billing.months import Month
from hosting.models import Hoster
from routing import hoster_statements, statements
from tests.accounts.test_pages import signed_in
from tests.billing import month as months
from tests.billing.month import Traffic
from tests.factories import Person
from tests.routing.test_export import download
from tests.routing.test_usage_api import get

SEED = 20_261
CELL = re.compile(r'<(?:td|strong)[^>]*(?:id|data-kind)="([\w ]+)"[^>]*>(?:<strong>)?(-?)\$([\d.]+)<')
EVERYTHING = {
    *("finished", "hung_up", "upstream_failed", "upheld", "rejected", "reversed", "released", "paid"),
}
NOTHING = (0, 0, 0)


def nanos(usd: str | float) -> int:
    return round(Decimal(str(usd)) * 10**9)


class Books:
    """What the transfers of an account say, added up one by one: (amount, earned, bought), in is positive."""

    def __init__(self, account: LedgerAccount) -> None:
        both = Transfer.objects.filter(credit=account) | Transfer.objects.filter(debit=account)
        self.moves = [
            (one, 1 if one.credit_id == account.pk else -1) for one in both.order_by("created_at", "id")
        ]

    def sums(self, start: dt.datetime | None, end: dt.datetime, *kinds: str) -> tuple[int, ...]:
        found = [
            (sign * one.amount_nanos, sign * one.earned_nanos, sign * one.bought_nanos)
            for one, sign in self.moves
            if (start is None or one.created_at >= start)
            and one.created_at < end
            and (not kinds or one.kind in kinds)
        ]
        return tuple(map(sum, zip(*found, strict=True))) if found else NOTHING

    def balance(self, moment: dt.datetime) -> tuple[int, ...]:
        return self.sums(None, moment)


def file(client: Client, path: str) -> list[dict[str, str]]:
    """The rows of a CSV."""
    answer = client.get(path)
    assert answer.status_code == 200, path

    async def read() -> bytes:
        return b"".join([piece async for piece in answer])

    content: bytes = async_to_sync(read)()
    return list(csv.DictReader(io.StringIO(content.decode())))


def cells(client: Client, path: str) -> dict[str, int]:
    """The amounts that a page marks with a name, in nanodollars."""
    answer = client.get(path)
    assert answer.status_code == 200, path
    return {name: nanos(sign + amount) for name, sign, amount in CELL.findall(answer.content.decode())}


@pytest.fixture
def played(travel, settings) -> tuple[Traffic, Month]:
    settings.EXPORT_PAGE_ROWS = 7  # so that many a request's two transfers are on two pages
    traffic, month = months.play(SEED, travel)
    assert traffic.happened >= EVERYTHING
    return traffic, month


def test_everything_says_the_same_of_a_month(played: tuple[Traffic, Month]):
    traffic, month = played
    for who in traffic.customers:
        agree_of_customer(who, month)
    for owner, hoster in traffic.hosters:
        agree_of_hoster(owner, hoster, month)
    traffic.go_to(month.end + dt.timedelta(days=3))
    traffic.release()
    traffic.day(calls=20)
    for who in traffic.customers:
        chain_of_customer(who, month)
    for owner, hoster in traffic.hosters:
        chain_of_hoster(owner, hoster, month)


def agree_of_customer(who: Person, month: Month) -> None:
    """At the end of the month, when the last days of /v1/usage are those of the month."""
    books, days = Books(who.account), (month.end - month.start).days
    found = statements.statement(who.customer, month)
    opening, closing = books.balance(month.start), books.balance(month.end)
    for balance, told in ((found.opening, opening), (found.closing, closing)):
        assert (balance.posted_nanos, balance.earned_nanos, balance.bought_nanos) == told
    for total in found.totals:
        amounts = (total.amount.nanos, total.amount.earned_nanos, total.amount.bought_nanos)
        kinds = ("charge", "fee") if total.kind == "request" else (total.kind.split()[0],)
        if "refund" not in total.kind:
            assert amounts == books.sums(month.start, month.end, *kinds), total.kind
    back = [total.amount.nanos for total in found.totals if "refund" in total.kind]
    assert sum(back) == books.sums(month.start, month.end, "refund")[0]
    assert opening[0] + sum(total.amount.nanos for total in found.totals) == closing[0]
    spent = -books.sums(month.start, month.end, "charge", "fee")[0]
    assert sum(one.gross_nanos for one in found.requests) == spent
    assert sum(one.amount.nanos for one in found.releases) == books.sums(month.start, month.end, "release")[0]
    by_kind = Counter[str]()
    for line in found.lines:
        by_kind[line.kind] += line.amount.nanos
    assert dict(by_kind) == {
        total.kind: total.amount.nanos for total in found.totals if total.kind not in {"request", "release"}
    }

    used = get(f"/v1/usage/tokens?days={days}&interval=month", who)
    assert nanos(used["totals"]["cost_usd"]) == spent
    assert used["totals"]["requests"] == sum(one.requests for one in found.requests)
    assert sum(nanos(line["cost_usd"]) for line in download(who, days)) == spent
    page = cells(signed_in(who), f"/account/statements/{month}")
    assert page == {
        "opening": opening[0],
        "closing": closing[0],
        **{total.kind: total.amount.nanos for total in found.totals},
    }
    told = get(f"/v1/statements/{month}", who)
    assert nanos(told["opening_balance"]["total_usd"]) == opening[0]
    assert nanos(told["closing_balance"]["total_usd"]) == closing[0]
    assert {total["kind"]: nanos(total["amount"]["total_usd"]) for total in told["totals"]} == {
        total.kind.replace("refund upheld", "dispute_upheld"): total.amount.nanos for total in found.totals
    }
    first, *entries, last = file(Client(headers=who.headers), f"/v1/statements/{month}.csv")
    assert [*file(signed_in(who), f"/account/statements/{month}.csv")][:-1] == [first, *entries]
    assert (first["kind"], nanos(first["balance_usd"])) == ("opening_balance", opening[0])
    assert (last["kind"], nanos(last["balance_usd"])) == ("closing_balance", closing[0])
    for column, change in zip(
        ("amount_usd", "earned_usd", "bought_usd"), zip(opening, closing, strict=True), strict=True
    ):
        assert sum(nanos(entry[column]) for entry in entries) == change[1] - change[0]
    requests = [entry for entry in entries if entry["kind"] == "request"]
    assert -sum(nanos(entry["amount_usd"]) for entry in requests) == spent
    assert len({entry["request_id"] for entry in requests}) == len(requests)
    assert all(entry["model"] for entry in requests)
    reasons = {entry["description"].split()[0] for entry in entries if entry["kind"] == "refund"}
    assert reasons <= {"'=a", "dispute"}, "no text is a formula"


def agree_of_hoster(owner: Person, hoster: Hoster, month: Month) -> None:
    pending = Books(LedgerAccount.objects.get(kind="hoster_pending", customer=owner.customer))
    frozen = Books(LedgerAccount.objects.get(kind="hoster_disputed", customer=owner.customer))
    days, found = (month.end - month.start).days, hoster_statements.statement(hoster, month)
    sums, moves = found.sums, found.sums.moves
    opening, closing = pending.balance(month.start)[0], pending.balance(month.end)[0]
    assert (sums.opening_nanos, sums.closing_nanos) == (opening, closing)
    ends = frozen.balance(month.start)[0], frozen.balance(month.end)[0]
    assert (sums.opening_frozen_nanos, sums.closing_frozen_nanos) == ends

    def moved(books: Books, *kinds: str) -> int:
        return books.sums(month.start, month.end, *kinds)[0]

    assert moves.net_nanos == moved(pending, "charge") == moves.gross_nanos - moves.fee_nanos
    assert moves.reversed_nanos == -moved(pending, "refund")
    assert moves.frozen_nanos == -moved(pending, "dispute") == moved(frozen, "dispute")
    assert moves.verdicts_nanos == moved(pending, "verdict")
    assert (
        moves.released_nanos == -moved(pending, "release") == sum(one.amount.nanos for one in found.releases)
    )
    assert moves.kept_back_nanos == -moved(pending, "recovery")
    assert moves.upheld_nanos == -moved(frozen, "refund")
    assert opening + moves.pending_nanos == closing
    assert sum(one.net_nanos for one in found.requests) == moves.net_nanos
    assert sum(line.frozen_nanos for line in found.lines) == ends[1] - ends[0]

    earned = get(f"/v1/earnings?days={days}", owner)
    assert nanos(earned["total_earned_usd"]) == moves.net_nanos
    assert nanos(earned["reversed_usd"]) == moves.given_back_nanos
    assert (nanos(earned["pending_usd"]), nanos(earned["frozen_usd"])) == (closing, ends[1])
    page = cells(signed_in(owner), f"/hosters/statements/{month}")
    assert page == {"opening": opening, "closing": closing}
    first, *entries, last = file(signed_in(owner), f"/hosters/statements/{month}.csv")
    assert (nanos(first["pending_usd"]), nanos(last["pending_usd"])) == (opening, closing)
    assert opening + sum(nanos(entry["amount_usd"]) for entry in entries) == closing
    earnings = [entry for entry in entries if entry["kind"] == "earning"]
    for column, total in (
        ("gross_usd", moves.gross_nanos),
        ("fee_usd", moves.fee_nanos),
        ("amount_usd", moves.net_nanos),
    ):
        assert sum(nanos(entry[column]) for entry in earnings) == total, column


def chain_of_customer(who: Person, month: Month) -> None:
    """What follows changes nothing of a month that is over, and begins where it ended."""
    books = Books(who.account)
    listed = {one.month: one for one in statements.months(who.customer)}
    assert list(listed) == [month.next, month, month.earlier(1)]
    for one in listed.values():
        assert one.opening.posted_nanos + one.received_nanos - one.sent_nanos == one.closing.posted_nanos
        assert one.opening.posted_nanos == books.balance(one.month.start)[0]
        assert statements.statement(who.customer, one.month).closing == one.closing
    assert listed[month.earlier(1)].closing == listed[month].opening
    assert listed[month].closing == listed[month.next].opening
    assert not listed[month].is_running
    told = get("/v1/statements", who)["statements"]
    assert [one["month"] for one in told] == [str(one) for one in listed]
    assert [nanos(one["closing_balance_usd"]) for one in told] == [
        one.closing.posted_nanos for one in listed.values()
    ]
    *_, last = file(signed_in(who), f"/account/statements/{month}.csv")
    assert nanos(last["balance_usd"]) == listed[month].closing.posted_nanos
    assert last["timestamp"] == month.end.isoformat()


def chain_of_hoster(owner: Person, hoster: Hoster, month: Month) -> None:
    pending = Books(LedgerAccount.objects.get(kind="hoster_pending", customer=owner.customer))
    listed = {one.month: one for one in hoster_statements.months(hoster)}
    assert set(listed) >= {month.next, month}
    for one in listed.values():
        assert one.opening_nanos + one.moves.pending_nanos == one.closing_nanos
        assert one.opening_nanos == pending.balance(one.month.start)[0]
        alone = hoster_statements.statement(hoster, one.month).sums
        assert (alone.opening_nanos, alone.moves) == (one.opening_nanos, one.moves)
    assert listed[month].closing_nanos == listed[month.next].opening_nanos
    assert listed[month].closing_frozen_nanos == listed[month.next].opening_frozen_nanos


def test_a_month_that_is_not_the_callers_is_not_there(played: tuple[Traffic, Month]):
    traffic, month = played
    alice, (bob, _) = traffic.keys[0], traffic.hosters[0]
    for name in (str(month.earlier(2)), str(month.next), "2026-13", "2026-1", "nonsense", "２０２６-01"):
        assert signed_in(alice).get(f"/account/statements/{name}").status_code == 404, name
        assert signed_in(bob).get(f"/hosters/statements/{name}").status_code == 404, name
        for suffix in ("", ".csv"):
            answer = Client(headers=alice.headers).get(f"/v1/statements/{name}{suffix}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), name
    assert signed_in(alice).get(f"/hosters/statements/{month}").status_code == 404
    assert signed_in(alice).get("/hosters/statements")["Location"] == "/hosters/portal"


def test_bookings_beside_the_requests_are_read_by_their_own_indexes(played: tuple[Traffic, Month]):
    """Else a statement would go through every request. With sequential scans made dear, so that few rows suffice."""
    traffic, month = played
    (bob, hoster) = traffic.hosters[0]
    asked = {**statements.accounts_of(bob.customer), "customer": bob.customer.pk, "hoster": hoster.pk,
             "start": month.start, "until": month.end, "since": month.start, "rows": 10, "skipped": 0}  # fmt: skip
    both = {"billing_transfer_in", "billing_transfer_out"}
    reads = {
        statements.MONTHS: both,
        statements.TOTALS: both,
        statements.LINES: both,
        hoster_statements.MOVED: {"billing_transfer_out"},
        hoster_statements.LINES: {"billing_transfer_out"},
    }
    for read, indexes in reads.items():
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(f"EXPLAIN {read}", asked)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            cursor.execute("RESET enable_seqscan")
        assert {index for index in both if index in plan} == indexes, plan
