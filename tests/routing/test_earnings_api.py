"""/v1/earnings…: what a hoster earned, what is pending and when it is released."""

import datetime as dt

from django.test import Client

from billing import ledger
from billing.models import LedgerAccount, Transfer
from routing import earnings
from tests import bookings, factories
from tests.routing.test_usage_api import address, get

LIFETIME_FIELDS = {
    f"{part}_usd"
    for part in ("earned", "pending", "frozen", "available", "spent", "in_payout", "paid_out", "reversed",
                 "kept_back", "owed")
}  # fmt: skip
EARNINGS_FIELDS = {
    "hoster", "period_days", "total_earned_usd", "reversed_usd", "pending_usd", "frozen_usd", "available_usd",
    "paid_out_usd", "next_release_at", "lifetime", "daily", "by_model",
}  # fmt: skip


def test_the_worked_example_to_the_digit(travel):
    alice = factories.person("alice")
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=100, price_out=300)
    before = alice.account.posted_nanos, bob.account.posted_nanos
    call = bookings.book(alice, offer, input_tokens=250, output_tokens=250)

    assert alice.account.posted_nanos - before[0] == -100_000
    parts = {t.kind: (t.credit.kind, t.amount_nanos) for t in Transfer.objects.filter(charge=call.id)}
    assert parts == {"charge": ("hoster_pending", 80_000), "fee": ("platform_fees", 20_000)}
    answer = get("/v1/earnings", bob)
    assert set(answer) == EARNINGS_FIELDS
    assert answer["hoster"] == hoster.name
    assert (answer["total_earned_usd"], answer["pending_usd"], answer["available_usd"]) == (
        0.00008,
        0.00008,
        5.0,
    )
    assert (answer["frozen_usd"], answer["paid_out_usd"]) == (0, 0)
    due = dt.datetime.fromisoformat(answer["next_release_at"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=23, minutes=59) < due < dt.timedelta(hours=24, minutes=2)
    assert answer["next_release_at"].endswith("+00:00")

    travel(dt.timedelta(hours=23, minutes=59))
    ledger.release()
    assert bob.account.posted_nanos == before[1], "nothing is released before 24 hours"
    travel(dt.timedelta(hours=24, minutes=2))
    while ledger.release()[0]:
        pass
    assert bob.account.posted_nanos - before[1] == 80_000
    answer = get("/v1/earnings", bob)
    assert (answer["pending_usd"], answer["available_usd"], answer["next_release_at"]) == (0, 5.00008, None)
    assert answer["total_earned_usd"] == 0.00008
    assert get("/v1/usage", bob)["credit_balance_usd"] == 5.00008


def test_earnings_by_day_and_model_add_up(travel):
    alice = factories.person("alice")
    bob, hoster = factories.hoster("bob")
    _, small = factories.server(address(), of=hoster, price_in=10, price_out=10)
    _, large = factories.server(address(), of=hoster, price_in=500, price_out=500)
    travel(dt.timedelta(days=-1))
    bookings.book(alice, small, latency_ms=200)
    travel(dt.timedelta())
    bookings.book(alice, large, latency_ms=300)
    answer = get("/v1/earnings?days=3", bob)
    assert [day["requests"] for day in answer["daily"]] == [0, 1, 1]
    assert answer["daily"][2] == {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "requests": 1,
        "input_tokens": 250,
        "output_tokens": 250,
        "gross_usd": 0.00025,
        "platform_fee_usd": 0.00005,
        "earned_usd": 0.0002,
    }
    assert [model["model_id"] for model in answer["by_model"]] == [large.model_id, small.model_id]
    assert answer["total_earned_usd"] == 0.000204
    by_model = get("/v1/earnings/by-model?days=3", bob)
    assert by_model == {"period_days": 3, "by_model": answer["by_model"]}
    assert by_model["by_model"][1] == {
        "model_id": small.model_id,
        "requests": 1,
        "input_tokens": 250,
        "output_tokens": 250,
        "gross_usd": 0.000005,
        "platform_fee_usd": 0.000001,
        "earned_usd": 0.000004,
        "avg_latency_ms": 200,
    }
    assert get("/v1/earnings?days=1", bob)["total_earned_usd"] == 0.0002


def test_what_was_earned_is_pending_released_or_reversed(travel):
    alice = factories.person("alice")
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=100, price_out=300)
    travel(dt.timedelta(hours=-25))
    bookings.book(alice, offer)
    travel(dt.timedelta())
    while ledger.release()[0]:
        pass
    calls = [bookings.book(alice, offer) for _ in range(3)]
    reversals = [ledger.Reversal(calls[0].id), ledger.Reversal(calls[1].id, 250, 150)]
    ledger.reverse(reversals=reversals, reason="test")

    statement = earnings.statement(bob.customer.pk, days=30)
    released_nanos = bob.account.posted_nanos - 5_000_000_000
    assert (statement.pending_nanos, released_nanos) == (80_000 + 56_000, 80_000)
    assert statement.reversed_nanos == 80_000 + 24_000
    assert statement.total_earned_nanos == statement.pending_nanos + released_nanos + statement.reversed_nanos
    assert sum(day.net_nanos for day in statement.daily) == statement.total_earned_nanos == 320_000
    assert get("/v1/earnings", bob)["reversed_usd"] == 0.000104
    travel(dt.timedelta(days=2))
    assert get("/v1/earnings?days=1", bob)["reversed_usd"] == 0


def test_pending_is_what_the_ledger_says():
    alice = factories.person("alice")
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=3, price_out=7)
    for tokens in range(1, 8):
        bookings.book(alice, offer, input_tokens=tokens, output_tokens=tokens)
    account = LedgerAccount.objects.get(kind="hoster_pending", customer=bob.customer)
    pending = sum(account.credits.values_list("amount_nanos", flat=True))
    assert round(get("/v1/earnings", bob)["pending_usd"] * 10**9) == pending


def test_a_customer_who_hosts_nothing_sees_zeros():
    alice = factories.person("alice")
    assert get("/v1/earnings", alice) == {
        "hoster": None,
        "period_days": 30,
        "total_earned_usd": 0,
        "reversed_usd": 0,
        "pending_usd": 0,
        "frozen_usd": 0,
        "available_usd": 0,
        "paid_out_usd": 0,
        "next_release_at": None,
        "lifetime": dict.fromkeys(LIFETIME_FIELDS, 0),
        "daily": [],
        "by_model": [],
    }
    assert get("/v1/earnings/by-model", alice) == {"period_days": 30, "by_model": []}


def test_a_stranger_does_not_see_bobs_earnings():
    alice, (_, hoster), (carol, _) = factories.person(), factories.hoster("bob"), factories.hoster("carol")
    _, offer = factories.server(address(), of=hoster)
    bookings.book(alice, offer)
    assert get("/v1/earnings", carol)["pending_usd"] == 0
    assert get("/v1/earnings/by-model", carol)["by_model"] == []


def test_earnings_need_a_key():
    assert Client().get("/v1/earnings").status_code == 401
