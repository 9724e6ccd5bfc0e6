"""/v1/usage/export: every request as CSV, in pages, without formulas."""

import asyncio
import csv
import datetime as dt
import io

import pytest
from django.db import connection
from django.test import AsyncClient

from routing import export
from tests import bookings, factories
from tests.routing.test_usage_api import address, debited, get


def download(who: factories.Person, days: int = 30) -> list[dict[str, str]]:
    async def run() -> str:
        response = await AsyncClient().get(f"/v1/usage/export?days={days}", headers=who.headers)
        assert response.status_code == 200
        assert response["Content-Type"].startswith("text/csv")
        assert response["x-request-id"].startswith("req_")
        return "".join([piece.decode() async for piece in response.streaming_content])

    text = asyncio.run(run())
    assert text.splitlines()[0] == (
        "timestamp,model,provider,input_tokens,output_tokens,total_tokens,cost_usd,latency_ms,success"
    )
    return list(csv.DictReader(io.StringIO(text)))


def test_a_served_request_is_one_line():
    alice = factories.person()
    _, offer = factories.server(address(), price_in=100, price_out=300)
    bookings.book(alice, offer, input_tokens=200, output_tokens=16, latency_ms=1_842)
    (line,) = download(alice)
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "model": offer.model_id,
        "provider": "hoster",
        "input_tokens": "200",
        "output_tokens": "16",
        "total_tokens": "216",
        "cost_usd": "0.0000248",
        "latency_ms": "1842",
        "success": "true",
    }


def test_a_failed_request_costs_nothing_and_says_so():
    alice = factories.person()
    _, offer = factories.server(address())
    bookings.void(bookings.admit(alice, offer))
    (line,) = download(alice)
    assert (line["success"], line["cost_usd"], line["provider"]) == ("false", "0", "")


@pytest.mark.parametrize("page_rows", [1, 2, 3, 5, 100])
def test_pages_join_without_loss_and_the_total_is_the_ledgers(page_rows: int, settings):
    settings.EXPORT_PAGE_ROWS = page_rows
    alice, carol = factories.person(), factories.person("carol")
    _, offer = factories.server(address(), price_in=3, price_out=7)
    for tokens in range(1, 6):
        bookings.book(alice, offer, input_tokens=tokens, output_tokens=1)
        bookings.book(carol, offer)
    lines = download(alice)
    assert [line["input_tokens"] for line in lines] == ["1", "2", "3", "4", "5"]
    total = sum(round(float(line["cost_usd"]) * 10**9) for line in lines)
    assert total == debited(alice) == round(get("/v1/usage/tokens", alice)["totals"]["cost_usd"] * 10**9)


def test_only_the_days_asked_for_are_exported(travel):
    alice = factories.person()
    _, offer = factories.server(address())
    for age_days in (3, 1, 0):
        travel(dt.timedelta(days=-age_days))
        bookings.book(alice, offer, input_tokens=age_days + 1, output_tokens=0)
    travel(dt.timedelta())
    assert [line["input_tokens"] for line in download(alice, days=2)] == ["2", "1"]
    assert [line["input_tokens"] for line in download(alice, days=4)] == ["4", "2", "1"]


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx", " =1", "|x"])
def test_a_model_name_cannot_be_a_formula(name: str):
    assert export.harmless(name) == f"'{name}"


def test_a_dangerous_model_name_is_disarmed_in_the_file():
    alice = factories.person()
    name = factories.unique('=HYPERLINK("http://evil.example","x")')
    _, offer = factories.server(address(), model=name)
    bookings.book(alice, offer)
    assert download(alice)[0]["model"] == f"'{name}"


def test_ordinary_model_names_are_left_alone():
    for name in ("gemma-4-31B-it-Q8_0.gguf", "org/model:free", ""):
        assert export.harmless(name) == name


def test_no_connection_is_held_between_pages():
    alice = factories.person()
    period = export.period(1)
    export.page(alice.customer.pk, period, export.first_id(period.since))
    assert connection.connection is None


def test_the_export_needs_a_key_and_a_get():
    async def status(method: str) -> int:
        response = await getattr(AsyncClient(), method)("/v1/usage/export")
        assert set(response.json()) == {"error"}
        return response.status_code

    assert asyncio.run(status("get")) == 401
    assert asyncio.run(status("post")) == 405
