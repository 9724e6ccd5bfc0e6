"""How fast offers answer and how much of the day their servers were up, as the requests and the checks say."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from hosting.models import HealthCheck, HostedModel, Server
from routing import measures, tasks
from routing.models import InferenceRequest
from tests import bookings, factories


@pytest.fixture
def offer() -> HostedModel:
    return factories.server()[1]


@pytest.fixture
def alice() -> factories.Person:
    return factories.person()


def served(who: factories.Person, offer: HostedModel, **fields: object) -> None:
    row = {
        **{
            "id": bookings.new_id(),
            "created_at": timezone.now(),
            "customer": who.customer,
            "key": who.api_key,
        },
        **{"model_asked": offer.model_id, "model_id": offer.model_id, "provider": "hoster"},
        **{"server_id": offer.server_id, "endpoint": "chat.completions", "streamed": True, "attempts": 1},
        **{"outcome": "finished", "success": True, "input_tokens": 10, "output_tokens": 50, "cost_nanos": 0},
        **{"input_bytes": 40, "output_bytes": 200, "ttft_ms": 100, "latency_ms": 1_100, "flags": 0},
        **fields,
    }
    InferenceRequest.objects.create(**row)


def test_percentiles_and_speed_are_those_of_the_requests(alice: factories.Person, offer: HostedModel):
    for number in range(1, 21):
        served(alice, offer, ttft_ms=10 * number, latency_ms=10 * number + 1_000, output_tokens=50)
    measures.measure()
    offer.refresh_from_db()
    assert (offer.ttft_ms_p50, offer.ttft_ms_p95) == (105, 190)  # 190.5, to the even one
    assert (offer.latency_ms_p50, offer.latency_ms_p95) == (1_105, 1_190)
    assert offer.tokens_per_s == 50.0


def test_answers_that_came_as_a_whole_say_nothing_about_the_first_token(
    alice: factories.Person, offer: HostedModel
):
    served(alice, offer, streamed=False, ttft_ms=900, latency_ms=900)
    measures.measure()
    offer.refresh_from_db()
    assert (offer.ttft_ms_p50, offer.tokens_per_s, offer.latency_ms_p50) == (None, None, 900)


@pytest.mark.parametrize("fields", [{"ttft_ms": None}, {"ttft_ms": 1_100}, {"output_tokens": 1}])
def test_a_speed_that_cannot_be_measured_is_none(
    alice: factories.Person, offer: HostedModel, fields: dict[str, object]
):
    served(alice, offer, **fields)
    measures.measure()
    offer.refresh_from_db()
    assert (offer.tokens_per_s, offer.latency_ms_p50) == (None, 1_100)


def test_only_what_succeeded_here_and_with_this_model_counts(alice: factories.Person, offer: HostedModel):
    other = factories.server(model=offer.model_id)[1]
    served(alice, offer, latency_ms=200)
    served(alice, offer, latency_ms=9_000, success=False, outcome="upstream_failed")
    served(alice, offer, latency_ms=9_000, model_id="another")
    served(alice, other, latency_ms=700)
    measures.measure()
    for row, latency_ms in ((offer, 200), (other, 700)):
        row.refresh_from_db()
        assert row.latency_ms_p95 == latency_ms


def test_the_last_requests_count_and_those_of_yesterday_do_not(
    alice: factories.Person, offer: HostedModel, travel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measures, "SAMPLE_MAX", 3)
    travel(dt.timedelta(hours=-25))
    served(alice, offer, latency_ms=9_000)
    travel(dt.timedelta())
    measures.measure()
    offer.refresh_from_db()
    assert offer.latency_ms_p50 is None
    for second, latency_ms in enumerate((8_000, 8_000, 100, 100, 100)):
        travel(dt.timedelta(seconds=second))
        served(alice, offer, latency_ms=latency_ms)
    measures.measure()
    offer.refresh_from_db()
    assert offer.latency_ms_p95 == 100
    travel(dt.timedelta(hours=25))
    measures.measure()
    offer.refresh_from_db()
    assert offer.latency_ms_p50 is None


def test_uptime_is_the_share_of_checks_of_a_day_without_the_excused_ones(offer: HostedModel):
    for fields in ({"ok": True}, {"ok": True}, {"ok": False}, {"ok": False, "excused": True}):
        HealthCheck.objects.create(server_id=offer.server_id, latency_ms=1, **fields)
    old = HealthCheck.objects.create(server_id=offer.server_id, latency_ms=1, ok=False)
    HealthCheck.objects.filter(pk=old.pk).update(checked_at=timezone.now() - dt.timedelta(hours=25))
    measures.measure()
    assert Server.objects.get(pk=offer.server_id).uptime == 0.6667


def test_a_server_without_checks_has_no_uptime(offer: HostedModel):
    Server.objects.filter(pk=offer.server_id).update(uptime=0.5)
    measures.measure()
    assert Server.objects.get(pk=offer.server_id).uptime is None


def test_only_what_changed_is_written_and_nobody_is_told(alice: factories.Person, offer: HostedModel):
    measures.measure()
    served(alice, offer)
    HealthCheck.objects.create(server_id=offer.server_id, latency_ms=1, ok=True)
    version = Server.objects.get(pk=offer.server_id).version
    with psycopg.connect(
        settings.DATABASE_DSN, dbname=connection.settings_dict["NAME"], autocommit=True
    ) as ear:
        ear.execute("LISTEN offers")
        assert tasks.measure_offers() == 2
        assert tasks.measure_offers() == 0
        assert list(ear.notifies(timeout=0.2)) == []
    assert Server.objects.get(pk=offer.server_id).version == version


def test_a_row_that_somebody_writes_is_left_for_the_next_minute(alice: factories.Person, offer: HostedModel):
    measures.measure()
    served(alice, offer)
    with psycopg.connect(settings.DATABASE_DSN, dbname=connection.settings_dict["NAME"]) as writer:
        writer.execute("SELECT 1 FROM hosting_hostedmodel WHERE id = %s FOR UPDATE", [offer.pk])
        assert measures.measure() == 0
    assert measures.measure() == 1


def test_measuring_at_the_same_time_is_safe(alice: factories.Person, offer: HostedModel):
    served(alice, offer)

    def run(_: int) -> None:
        try:
            measures.measure()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(6)))
    measures.measure()
    offer.refresh_from_db()
    assert offer.latency_ms_p50 == 1_100


def test_customers_see_what_was_measured(alice: factories.Person, offer: HostedModel):
    served(alice, offer)
    HealthCheck.objects.create(server_id=offer.server_id, latency_ms=1, ok=True)
    HostedModel.objects.filter(pk=offer.pk).update(consistency=0.8, consistency_at=timezone.now())
    measures.measure()
    found = Client().get(f"/v1/models/{offer.model_id}", headers=alice.headers).json()
    measured = {
        **{"ttft_ms_p50": 100, "ttft_ms_p95": 100, "latency_ms_p50": 1_100, "latency_ms_p95": 1_100},
        **{"tokens_per_s": 50.0, "uptime": 1.0, "health": 1.0, "trust": 0.5, "consistency": 0.8},
        **{"context_window": 100_000, "status": "active"},
    }
    for shown in (found, found["servers"][0]):
        assert {name: shown[name] for name in measured} == measured
    page = Client().get(f"/models?q={offer.model_id}").content.decode()
    row = page[page.index(f">{offer.model_id}<") :].split("</li>")[0]
    for words in ("100 ms", ">50<", "100.0 %", "0.80"):
        assert words in row
