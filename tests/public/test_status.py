"""The status page says in plain words what works, and is there when nothing else is."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from hosting import availability
from hosting.models import Circuit, Server
from neuralgate import charts, network
from routing import pulse, tasks
from routing.models import GatewayProcess, OutcomeHour
from routing.pulse import Outcomes, Pulse
from tests import bookings, factories

QUIET = Pulse(2, 10.0, Outcomes(0, 0), ())


def status() -> str:
    caches["process"].clear()
    response = Client().get("/status")
    assert response.status_code == 200
    return response.content.decode()


def test_requests_are_counted_by_how_they_ended():
    alice = factories.person()
    _, offer = factories.server()
    tasks.count_outcomes()
    before = pulse.now().now
    bookings.book(alice, offer)
    bookings.void(bookings.admit(alice, offer))
    bookings.void(bookings.admit(alice, offer), outcome="refused")
    bookings.void(bookings.admit(alice, offer), outcome="abandoned")
    tasks.count_outcomes()
    tasks.count_outcomes()  # counting again counts nothing twice
    after = pulse.now()
    assert (after.now.served - before.served, after.now.failed - before.failed) == (1, 1)
    assert after.days[-1][1].served >= 1
    assert len(after.days) == 30
    assert after.counted_s is not None
    assert after.counted_s < 60


def test_no_count_falls_when_a_request_ends_in_the_hour_after_it_was_admitted(
    travel: Callable[[dt.timedelta], None],
):
    start = timezone.now().replace(minute=0, second=0, microsecond=0) + dt.timedelta(days=5)

    def at(**since: int) -> None:
        travel(start + dt.timedelta(**since) - timezone.now())

    alice = factories.person()
    _, offer = factories.server()
    at(seconds=-10)
    call = bookings.admit(alice, offer)
    at(seconds=5)
    bookings.void(call)
    failed = []
    for minutes in (30, 62, 122, 182):
        at(minutes=minutes)
        tasks.count_outcomes()
        failed.append(OutcomeHour.objects.get(hour=start).failed)
    OutcomeHour.objects.filter(hour__gt=timezone.now()).delete()
    assert failed == [1, 1, 1, 1]


def test_an_hour_without_a_request_is_counted_too():
    tasks.count_outcomes()
    assert OutcomeHour.objects.filter(hour__gte=timezone.now() - dt.timedelta(hours=1)).exists()


def test_a_server_is_up_down_or_resting():
    word = factories.unique("0")  # the page lists the first 50 by name
    before = availability.now()
    host = f"https://{factories.unique('gpu')}.example"
    _up, _ = factories.server(f"{host}:8001", model=f"{word}-up")
    _ill, _ = factories.server(f"{host}:8002", model=f"{word}-ill", health=0.1)
    paused, _ = factories.server(f"{host}:8003", model=f"{word}-paused")
    Circuit.objects.create(server=paused, open_until=timezone.now() + dt.timedelta(minutes=1), openings=1)
    factories.server(f"{host}:8004", model=f"{word}-draining", draining=True)
    unverified, _ = factories.server(f"{host}:8005", model=f"{word}-unverified")
    Server.objects.filter(pk=unverified.pk).update(verified_at=None)
    after = availability.now()
    changes = (after.up - before.up, after.down - before.down, after.resting - before.resting)
    assert changes == (1, 2, 1)
    mine = {name for name in after.models_away if name.startswith(word)}
    assert mine == {f"{word}-ill", f"{word}-paused", f"{word}-draining"}
    page = status()
    assert f"{word}-ill" in page
    assert f"{word}-up" not in page
    assert host not in page


@pytest.mark.parametrize(
    ("beat", "name", "level"),
    [
        (QUIET, "Gateway", "good"),
        (Pulse(0, 10.0, Outcomes(0, 0), ()), "Gateway", "bad"),
        (QUIET, "Background jobs", "good"),
        (Pulse(2, 301.0, Outcomes(0, 0), ()), "Background jobs", "fair"),
        (Pulse(2, None, Outcomes(0, 0), ()), "Background jobs", "fair"),
        (QUIET, "Requests", "good"),
        (Pulse(2, 10.0, Outcomes(99, 1), ()), "Requests", "good"),
        (Pulse(2, 10.0, Outcomes(98, 2), ()), "Requests", "fair"),
        (Pulse(2, 10.0, Outcomes(1, 2), ()), "Requests", "bad"),
    ],
)
def test_each_part_is_judged_by_what_was_seen(monkeypatch, beat: Pulse, name: str, level: str):
    monkeypatch.setattr(network.pulse, "now", lambda: beat)
    monkeypatch.setattr(network.availability, "now", lambda: availability.Availability(3, 0, 0, ()))
    found = network.status()
    assert {check.name: check.level for check in found.checks}[name] == level
    assert found.level == max((check.level for check in found.checks), key=["good", "fair", "bad"].index)
    assert {"good": "Everything works", "fair": "with a flaw", "bad": "Something is down"}[
        found.level
    ] in status()


def test_a_dead_gateway_is_seen_by_its_heartbeat():
    GatewayProcess.objects.create(boot=bookings.new_id(), heartbeat_at=timezone.now() - dt.timedelta(hours=1))
    before = pulse.now().gateways
    GatewayProcess.objects.create(boot=bookings.new_id())
    assert pulse.now().gateways == before + 1


def test_the_page_is_there_when_the_database_is_not(monkeypatch):
    def away() -> None:
        raise OperationalError("no")

    monkeypatch.setattr(network, "status", away)
    response = Client().get("/status")
    assert response.status_code == 503
    assert "database cannot be reached" in response.content.decode()


def test_a_crowd_reads_the_status_once():
    status()
    with connection.execute_wrapper(lambda *_: pytest.fail("the database was asked again")):
        assert Client().get("/status").status_code == 200


def test_a_day_is_green_amber_red_or_grey():
    day = dt.date(2026, 1, 1)
    days = [(day, Outcomes(*pair)) for pair in ((99, 1), (95, 5), (1, 1), (0, 0))]
    assert [tile.level for tile in charts.uptime(days)] == ["good", "fair", "bad", "none"]
    assert charts.uptime(days)[1].words == "01 Jan: 95 of 100 requests served"
