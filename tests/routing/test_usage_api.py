"""/v1/usage…: the fields of the reference, and sums that agree with the ledger to the nanodollar."""

import datetime as dt

import pytest
from django.db.models import Sum
from django.test import Client

from billing.models import Transfer
from tests import bookings, factories

DAY = dt.timedelta(days=1)
USAGE_FIELDS = {"customer", "tier", "credit_balance_usd", "rate_limits", "usage_30d"}
PERIOD_FIELDS = {
    "period", "input_tokens", "output_tokens", "total_tokens", "cost_usd", "requests", "local_requests",
    "hoster_requests", "cloud_requests", "avg_latency_ms",
}  # fmt: skip
MODEL_FIELDS = {
    "model_id", "provider", "requests", "input_tokens", "output_tokens", "total_cost_usd", "platform_fee_usd",
    "hoster_earned_usd", "avg_latency_ms",
}  # fmt: skip


def get(path: str, who: factories.Person) -> dict:
    response = Client().get(path, headers=who.headers)
    assert response.status_code == 200, response.content
    return response.json()


def address() -> str:
    return f"https://{factories.unique('server')}.example"


def debited(who: factories.Person) -> int:
    """What the ledger took from the customer, in nanodollars."""
    return Transfer.objects.filter(debit=who.account).aggregate(sum=Sum("amount_nanos"))["sum"] or 0


def nanos(usd: float) -> int:
    return round(usd * 10**9)


def test_a_new_customer_sees_the_welcome_credit_and_zeros():
    alice = factories.person(tier="free")
    answer = get("/v1/usage", alice)
    assert set(answer) == USAGE_FIELDS
    assert answer == {
        "customer": alice.customer.user.email,
        "tier": "free",
        "credit_balance_usd": 5.0,
        "rate_limits": {
            "requests_this_minute": 0,
            "requests_today": 0,
            "limit_per_minute": 60,
            "limit_per_day": 5000,
            "remaining_this_minute": 60,
            "remaining_today": 5000,
        },
        "usage_30d": {
            "total_requests": 0,
            "total_input_tokens": 0,
            "total_output_tokens": 0,
            "total_cost_microdollars": 0,
            "avg_latency_ms": 0,
        },
    }


def test_the_worked_example_costs_100_microdollars():
    alice = factories.person(tier="free")
    _, offer = factories.server(address(), price_in=100, price_out=300)
    bookings.book(alice, offer, latency_ms=1_240)
    answer = get("/v1/usage", alice)
    assert answer["credit_balance_usd"] == 4.9999
    assert answer["usage_30d"] == {
        "total_requests": 1,
        "total_input_tokens": 250,
        "total_output_tokens": 250,
        "total_cost_microdollars": 100,
        "avg_latency_ms": 1240,
    }
    assert answer["rate_limits"]["requests_today"] == 1
    assert answer["rate_limits"]["remaining_today"] == 4999


def test_a_running_request_lowers_the_spendable_balance_by_its_hold():
    alice = factories.person()
    _, offer = factories.server(address(), price_in=100, price_out=300)
    call = bookings.admit(alice, offer, input_tokens=1_000, output_tokens=1_000)
    assert get("/v1/usage", alice)["credit_balance_usd"] == 4.9996
    bookings.void(call)
    assert get("/v1/usage", alice)["credit_balance_usd"] == 5.0


def test_a_tier_without_limits_shows_null():
    limits = get("/v1/usage", factories.person(tier="internal"))["rate_limits"]
    assert limits["limit_per_minute"] is limits["remaining_this_minute"] is None
    assert limits["limit_per_day"] is limits["remaining_today"] is None


def test_windows_count_only_the_present_minute_and_day(travel):
    alice = factories.person(tier="free")
    _, offer = factories.server(address())
    bookings.book(alice, offer)
    travel(DAY)
    limits = get("/v1/usage", alice)["rate_limits"]
    assert (limits["requests_this_minute"], limits["requests_today"]) == (0, 0)


def test_tokens_over_time_have_every_period_and_add_up_to_the_ledger(travel):
    alice = factories.person()
    _, offer = factories.server(address(), price_in=7, price_out=13)
    for age_days, tokens in ((40, 999), (6, 11), (2, 23), (0, 5)):
        travel(-age_days * DAY)
        bookings.book(alice, offer, input_tokens=tokens, output_tokens=tokens + 1, latency_ms=100 * tokens)
    travel(dt.timedelta())
    answer = get("/v1/usage/tokens?days=7&interval=day", alice)
    assert (answer["period_days"], answer["interval"], len(answer["timeseries"])) == (7, "day", 7)
    assert [period["requests"] for period in answer["timeseries"]] == [1, 0, 0, 0, 1, 0, 1]
    assert all(set(period) == PERIOD_FIELDS for period in answer["timeseries"])
    assert all(period["period"].endswith("T00:00:00+00:00") for period in answer["timeseries"])
    assert answer["totals"] == {
        "input_tokens": 39,
        "output_tokens": 42,
        "total_tokens": 81,
        "cost_usd": 0.000000819,
        "requests": 3,
    }
    assert answer["timeseries"][0]["avg_latency_ms"] == 1_100
    everything = get("/v1/usage/tokens?days=365&interval=month", alice)
    assert nanos(everything["totals"]["cost_usd"]) == debited(alice) == 819 + 999 * 7 + 1000 * 13


@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_every_interval_adds_up_to_the_same(interval: str, travel):
    alice = factories.person()
    _, offer = factories.server(address(), price_in=7, price_out=13)
    for age_hours in (0, 5, 30, 200):
        travel(dt.timedelta(hours=-age_hours))
        bookings.book(alice, offer, input_tokens=10 + age_hours, output_tokens=3)
    travel(dt.timedelta())
    answer = get(f"/v1/usage/tokens?days=30&interval={interval}", alice)
    assert answer["totals"]["requests"] == sum(period["requests"] for period in answer["timeseries"]) == 4
    assert nanos(answer["totals"]["cost_usd"]) == debited(alice)


def test_requests_are_counted_by_the_kind_of_provider():
    alice = factories.person()
    for kind in ("local", "hoster", "hoster", "cloud"):
        _, offer = factories.server(address(), kind=kind)
        bookings.book(alice, offer, free=kind == "local")
    today = get("/v1/usage/tokens?days=1", alice)["timeseries"][0]
    assert (today["local_requests"], today["hoster_requests"], today["cloud_requests"]) == (1, 2, 1)


def test_failed_requests_are_not_counted():
    alice = factories.person()
    _, offer = factories.server(address())
    bookings.void(bookings.admit(alice, offer))
    assert get("/v1/usage/tokens", alice)["totals"]["requests"] == 0
    assert get("/v1/usage/breakdown", alice)["by_model"] == []


def test_the_breakdown_splits_the_cost_between_platform_and_hoster():
    alice = factories.person()
    _, offer = factories.server(address(), price_in=100, price_out=300)
    _, cloud = factories.server(address(), kind="cloud", price_in=1, price_out=1)
    bookings.book(alice, offer, latency_ms=1_000)
    bookings.book(alice, offer, latency_ms=2_001)
    bookings.book(alice, cloud)
    answer = get("/v1/usage/breakdown?days=3", alice)
    assert set(answer) == {"by_model", "daily"}
    assert answer["by_model"][0] == {
        "model_id": offer.model_id,
        "provider": "hoster",
        "requests": 2,
        "input_tokens": 500,
        "output_tokens": 500,
        "total_cost_usd": 0.0002,
        "platform_fee_usd": 0.00004,
        "hoster_earned_usd": 0.00016,
        "avg_latency_ms": 1501,
    }
    platforms_own = answer["by_model"][1]
    assert set(platforms_own) == MODEL_FIELDS
    assert (platforms_own["total_cost_usd"], platforms_own["platform_fee_usd"]) == (0.0000005, 0.0000005)
    assert platforms_own["hoster_earned_usd"] == 0
    assert [day["requests"] for day in answer["daily"]] == [0, 0, 3]
    assert set(answer["daily"][0]) == {"date", "requests", "input_tokens", "output_tokens", "total_cost_usd"}
    assert sum(nanos(day["total_cost_usd"]) for day in answer["daily"]) == debited(alice)


def test_a_stranger_sees_nothing_of_it():
    alice, carol = factories.person(), factories.person("carol")
    _, offer = factories.server(address())
    bookings.book(alice, offer)
    assert get("/v1/usage/tokens", carol)["totals"]["requests"] == 0
    assert get("/v1/usage/breakdown", carol)["by_model"] == []


@pytest.mark.parametrize("days", ["0", "366", "-1", "x", "", "1.5", "9" * 2_000])
@pytest.mark.parametrize(
    "path", ["usage/tokens", "usage/breakdown", "usage/export", "earnings", "earnings/by-model"]
)
def test_wrong_days_name_the_parameter_and_what_is_allowed(path: str, days: str, alice: factories.Person):
    response = Client().get(f"/v1/{path}", {"days": days}, headers=alice.headers)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "days")
    assert "1 to 365" in error["message"]


def test_a_wrong_interval_names_those_that_exist(alice: factories.Person):
    error = Client().get("/v1/usage/tokens?interval=year", headers=alice.headers).json()["error"]
    assert error["param"] == "interval"
    assert "hour, day, week, month" in error["message"]


@pytest.fixture(scope="module")
def alice(django_db_setup, django_db_blocker) -> factories.Person:
    with django_db_blocker.unblock():
        return factories.person()
