"""The hosters' portal: where the money is, who gets the requests, scores, disputes, payouts; in few questions."""

import datetime as dt
import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import disputes, ledger, payouts
from hosting import looks
from hosting.models import ConsistencyAnswer, HealthCheck, Question, Server
from neuralgate import portal, score_charts
from routing import shares
from routing.models import OfferHour
from routing.shares import Share
from tests import bookings, factories
from tests.hosting.test_pages import page_of, signed_in

USD = 10**9
PARTS = {"success": {"value": 0.9, "detail": "90 of 100"}}


def bobs(**fields: Any) -> tuple[factories.Person, factories.HostedModel]:
    bob, hoster = factories.hoster()
    _, offer = factories.server(of=hoster, **fields)
    return bob, offer


def of(bob: factories.Person, days: str = "30") -> portal.Portal:
    found = portal.of(bob.customer, days=days)
    assert found is not None
    return found


def charts_of(page: str) -> list[dict[str, Any]]:
    return [json.loads(html.unescape(found)) for found in re.findall(r'data-charts="([^"]*)"', page)]


def section(page: str, name: str) -> str:
    return page[page.index(f'<section id="{name}">') :].split("</section>")[0]


# ------------------------------------------------------------------------------------------------------- money


def test_the_table_of_where_everything_is_adds_up_to_what_was_earned(travel: Callable[[dt.timedelta], None]):
    bob, offer = bobs()
    bookings.earn(of(bob).hoster, 40 * USD)
    payouts.ask(customer=bob.customer, amount_nanos=12 * USD, method="crypto", destination="0x1")
    bookings.spend(bob, 8 * USD)  # 5 given, 3 earned
    alice = factories.person()
    bookings.book(alice, offer)
    disputes.open_(
        customer=alice.customer, charge=bookings.book(alice, offer).id, reason="other", detail="Private."
    )
    found = of(bob)
    places = {name: amount for name, _, amount, _ in found.places}
    assert places == {
        "pending": 80_000, "frozen": 80_000, "available": 17 * USD, "spent": 3 * USD, "leaving": 12 * USD,
        "paid": 0, "reversed": 0, "kept": 0,
    }  # fmt: skip
    assert sum(places.values()) == found.money.earned_nanos
    assert {part.name for part in found.parts} == {name for name, amount in places.items() if amount}
    page = page_of(signed_in(bob), "/hosters/portal")
    assert "$32.00016" in section(page, "money")
    assert "$0.00008" in section(page, "disputes")
    assert "Private." not in page
    assert alice.customer.user.email not in page
    assert "$12.00" in section(page, "payouts")
    assert 'href="/hosters/payouts"' in page


def test_the_next_release_is_counted_down_to():
    bob, offer = bobs()
    assert "data-countdown" not in page_of(signed_in(bob), "/hosters/portal")
    bookings.book(factories.person(), offer)
    assert 86_000 < of(bob).release_in_s <= 86_460
    assert re.search(
        r'data-countdown="86\d\d\d">2[34]:\d\d:\d\d<', page_of(signed_in(bob), "/hosters/portal")
    )


# ---------------------------------------------------------------------------------------------------- earnings


@pytest.mark.parametrize(
    ("days", "periods"), [("7", 7), ("30", 30), ("90", 90), ("365", None), ("nonsense", 30)]
)
def test_earnings_are_shown_by_day_and_by_model(days: str, periods: int | None):
    bob, offer = bobs()
    _, second = factories.server(of=of(bob).hoster, price_in=10_000)
    alice = factories.person()
    bookings.book(alice, offer)
    bookings.book(alice, second)
    page = page_of(signed_in(bob), f"/hosters/portal?days={days}")
    chart = charts_of(page)[0]
    assert [group["name"] for group in chart["groups"]] == [second.model_id, offer.model_id]
    assert sum(chart["groups"][1]["earned"]) == 0.00008
    assert len(chart["labels"]) == periods if periods else len(chart["labels"]) in {12, 13}
    found = of(bob, days).earned
    assert found.total.requests == 2
    assert found.total.net_nanos == sum(sums.net_nanos for _, sums in found.rows)


def test_who_earned_nothing_is_told_what_to_do():
    bob, _ = bobs()
    page = page_of(signed_in(bob), "/hosters/portal?days=7")
    assert "No requests served in these 7 days" in page
    assert len(charts_of(page)) == 1  # of health


# ----------------------------------------------------------------------------------------------------- traffic


def test_requests_are_counted_by_kind_of_server():
    bob, offer = bobs()
    _, free = factories.server(of=of(bob).hoster, price_in=0, price_out=0)
    _, other = factories.server(model=offer.model_id)
    _, elsewhere = factories.server()
    _, cloud = factories.server(kind="cloud", model=offer.model_id)
    local, small = factories.server(kind="local", price_in=0, price_out=0)
    now = of(bob).now
    before = shares.of_servers([], [], now=now, days=7).local.requests
    alice = factories.person()
    for served, times in ((offer, 3), (free, 2), (other, 1), (elsewhere, 5), (cloud, 1)):
        for _ in range(times):
            bookings.book(alice, served)
    bookings.book(alice, small, free=True)
    OfferHour.objects.create(
        server=local, model_id=small.model_id, hour=timezone.now() - dt.timedelta(days=40), requests=1_000
    )
    found = of(bob).shares
    assert (found.own.requests, found.own.free, found.own.net_nanos) == (5, 2, 240_000)
    assert (found.others.requests, found.cloud.requests, found.local.requests) == (1, 1, before + 1)
    assert found.others == Share(1, 0, 500, 80_000)
    page = section(page_of(signed_in(bob), "/hosters/portal"), "traffic")
    assert "2 of your 5 requests were served at a price of 0" in page


def test_traffic_without_earnings_is_explained_by_itself():
    bob, offer = bobs(price_in=0, price_out=0)
    bookings.book(factories.person(), offer)
    page = section(page_of(signed_in(bob), "/hosters/portal"), "traffic")
    assert '<details class="small" open><summary>I serve traffic and earn 0. Why?' in page
    assert "1 of your 1 requests" in page


def test_money_from_free_credit_is_named():
    bob, offer = bobs()
    call = bookings.admit(factories.person(), offer)
    bookings.settle(call, hold_s=-60)
    while ledger.release()[0]:
        pass
    page = section(page_of(signed_in(bob), "/hosters/portal"), "traffic")
    assert "$0.00008 of what was released to you was paid with credit that customers got as a gift" in page


# ------------------------------------------------------------------------------------------------------ scores


def test_the_last_days_looks_stand_hour_by_hour():
    bob, offer = bobs()
    now = of(bob).now
    hour = now.replace(minute=0, second=0, microsecond=0)
    for at, ok, excused in ((0, True, False), (1, False, False), (2, False, True), (3, True, False)):
        HealthCheck.objects.create(
            server_id=offer.server_id, checked_at=hour - dt.timedelta(hours=1, seconds=-at), ok=ok, excused=excused,
            latency_ms=40, error="" if ok else "timeout",
        )  # fmt: skip
    HealthCheck.objects.create(
        server_id=offer.server_id,
        checked_at=now - dt.timedelta(hours=30),
        ok=False,
        latency_ms=1,
        error="old",
    )
    (seen,) = looks.of_servers([offer.server_id], now)[offer.server_id]
    assert (seen.looks, seen.well, seen.share, seen.error, seen.latency_ms) == (4, 3, 0.75, "timeout", 40)
    server = Server.objects.get(pk=offer.server_id)
    chart = json.loads(score_charts.health([server], {server.pk: [seen]}, now))
    assert len(chart["labels"]) == looks.HOURS
    assert chart["groups"][0]["health"][-2:] == [0.75, None]
    page = section(page_of(signed_in(bob), "/hosters/portal"), "scores")
    assert "timeout" in page
    assert ">old<" not in page


def test_the_history_of_trust_is_drawn_with_its_gaps_and_stands_in_a_table():
    bob, hoster = factories.hoster(
        trust_parts=PARTS, trust_days={"2026-02-27": 0.5, "2026-02-28": 0.61, "2026-03-02": 0.82}
    )
    page = section(page_of(signed_in(bob), "/hosters/portal"), "scores")
    (chart,) = (chart for chart in charts_of(page) if chart["groups"] and "trust" in chart["groups"][0])
    assert chart["labels"] == ["27 Feb", "28 Feb", "01 Mar", "02 Mar"]
    assert chart["groups"][0]["trust"] == [0.5, 0.61, None, 0.82]
    assert page.index("2026-03-02") < page.index("2026-02-28")
    hoster.trust_days = {}
    hoster.save(update_fields=["trust_days"])
    assert "Trust, by day" not in page_of(signed_in(bob), "/hosters/portal")


def test_test_rounds_stand_beside_their_model():
    bob, offer = bobs()
    question = Question.objects.first()
    for number in range(5):
        ConsistencyAnswer.objects.create(
            offer=offer,
            question=question,
            right=number > 0,
            counted=True,
            answer="" if number else "Lyon <b>",
        )
    page = section(page_of(signed_in(bob), "/hosters/portal"), "scores")
    assert "4 right, 1 wrong" in page
    assert "Lyon &lt;b&gt;" in page


# ----------------------------------------------------------------------------------------------- the whole page


def test_a_large_portal_asks_no_more_questions_than_a_small_one():
    bob, _ = bobs()
    client = signed_in(bob)

    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/hosters/portal").status_code == 200
        return len(asked)

    few = questions()
    for _ in range(5):
        _, offer = factories.server(of=of(bob).hoster)
        alice = factories.person()
        call = bookings.book(alice, offer)
        disputes.open_(customer=alice.customer, charge=call.id, reason="other")
        HealthCheck.objects.create(server_id=offer.server_id, ok=True, latency_ms=1)
    assert questions() == few <= 15


def test_a_hoster_without_servers_has_a_portal_too():
    bob, _ = factories.hoster()
    page = page_of(signed_in(bob), "/hosters/portal")
    assert "Register one to start earning." in page


def test_carols_portal_says_nothing_of_bobs():
    bob, offer = bobs()
    bookings.book(factories.person(), offer)
    carol, _ = factories.hoster("carol")
    page = page_of(signed_in(carol), "/hosters/portal")
    assert offer.model_id not in page
    assert portal.of(factories.person("carol").customer, days="30") is None
    assert of(carol).earned.total.requests == 0
    assert of(bob).earned.total.requests == 1
