"""/metrics: who may read it, and that each figure moves by what happened and by nothing else."""

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from prometheus_client.parser import text_string_to_metric_families

from billing import disputes, ledger, payouts
from billing.models import LedgerAccount, Notice
from hosting.models import Circuit, HostedModel, Hoster, Server
from neuralgate import figures, metrics, schedule, waiting
from routing import audit, pulse, tasks
from routing.models import AuditRun, GatewayProcess, InferenceRequest
from tests import bookings, factories, site
from tests.ports import ports
from tests.staff import signed_in

TOKEN = "t" * 40
QUERIES_MAX = 15
LABELS = {"result", "outcome", "percentile", "direction", "state", "kind", "task", "channel"}
Figures = dict[tuple[str, str], float]
Travel = Callable[[dt.timedelta], None]


def ask(client: Client | None = None, authorization: str = f"Bearer {TOKEN}", **more: Any) -> HttpResponse:
    with override_settings(METRICS_TOKEN=TOKEN):
        return (client or Client()).get("/metrics", headers={"Authorization": authorization}, **more)


def families() -> dict[str, Any]:
    response = ask()
    assert response.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(response.content.decode())}


def scrape() -> Figures:
    """By name (without the prefix) and the value of its label. A sample that is there twice fails."""
    found: Figures = {}
    for family in families().values():
        for sample in family.samples:
            at = sample.name.removeprefix(metrics.PREFIX), ",".join(sample.labels.values())
            assert at not in found
            found[at] = sample.value
    return found


def moved(before: Figures, after: Figures, *, but: tuple[str, ...] = ()) -> Figures:
    """What changed and by how much; without what time itself moves (the hearts of processes among it)."""
    drifting = ("clock_skew_seconds", "_seconds", "database_", "web_processes", *but)
    return {
        at: after.get(at, 0) - before.get(at, 0)
        for at in {*before, *after}
        if after.get(at) != before.get(at) and not any(word in at[0] for word in drifting)
    }


def served(**fields: Any) -> tuple[factories.Person, Hoster, Server, HostedModel]:
    """Alice, and Bob's server."""
    hoster = factories.hoster()[1]
    server, offer = factories.server(of=hoster, **fields)
    return factories.person(), hoster, server, offer


# ----------------------------------------------------------------------------------------------- who may read


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer é", f"Basic {TOKEN}", TOKEN]
)
def test_without_the_token_there_is_nothing_here(authorization: str):
    assert ask(authorization=authorization).status_code == 404


def test_neither_a_key_nor_a_session_of_staff_opens_it():
    alice = factories.person()
    assert ask(authorization=alice.headers["Authorization"]).status_code == 404
    assert ask(signed_in(), authorization="").status_code == 404


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}"])
def test_without_the_setting_there_is_nothing_for_anybody(authorization: str):
    with override_settings(METRICS_TOKEN=""):
        answer = Client().get("/metrics", headers={"Authorization": authorization})
    assert answer.status_code == 404


def test_a_stranger_cannot_tell_it_from_an_address_that_is_not_there():
    for method in ("get", "post", "put", "options"):
        here, nowhere = (
            getattr(Client(enforce_csrf_checks=True), method)(f"/{name}") for name in ("metrics", "nowhere")
        )
        assert here.status_code == nowhere.status_code == 404
        assert here.content.decode().replace("/metrics", "/nowhere") == nowhere.content.decode()


def test_a_stranger_costs_no_question():
    with CaptureQueriesContext(connection) as asked:
        assert ask(authorization="Bearer guess").status_code == 404
    assert asked.captured_queries == []


def test_the_token_opens_it_for_reading_and_nobody_keeps_the_answer():
    answer = ask()
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    assert answer["Content-Type"].startswith("text/plain; version=")
    with override_settings(METRICS_TOKEN=TOKEN):
        assert Client().post("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


def test_prometheus_is_not_sent_to_https():
    with override_settings(SECURE_SSL_REDIRECT=True):
        assert ask().status_code == 200
        assert Client().get("/status").status_code == 301


def test_who_asks_for_openmetrics_gets_it():
    answer = ask(HTTP_ACCEPT="application/openmetrics-text; version=1.0.0")
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


# --------------------------------------------------------------------------------------------------- the form


def test_every_figure_is_a_family_with_its_meaning_and_its_type():
    found = families()
    assert set(found) == {(metrics.PREFIX + one.name).removesuffix("_total") for one in metrics.FIGURES}
    for figure in metrics.FIGURES:
        family = found[(metrics.PREFIX + figure.name).removesuffix("_total")]
        assert family.type == ("counter" if figure.name.endswith("_total") else "gauge")
        assert family.documentation == figure.means
        assert all(
            set(sample.labels) == ({figure.label} if figure.label else set()) for sample in family.samples
        )
        assert not re.search(r"_(ms|nanos|minutes|hours|days|usd)$", figure.name), "base units"


def test_every_figure_has_a_value_once_something_happened():
    alice, *_, offer = served()
    call = bookings.book(alice, offer)
    InferenceRequest.objects.filter(pk=call.id).update(streamed=True)
    tasks.audit_ledger()
    schedule.install()
    values = scrape()
    assert {name for name, _ in values} == {figure.name for figure in metrics.FIGURES}
    assert {label for name, label in values if name == "newest_requests"} == set(
        InferenceRequest.Outcome.values
    )
    assert {label for name, label in values if name == "ledger_nanodollars"} == set(LedgerAccount.Kind.values)
    assert {label for name, label in values if name == "waiting"} == set(waiting.QUEUE)
    assert {label for name, label in values if name == "task_late"} >= {job.task for job in schedule.jobs()}


def test_labels_do_not_grow_with_customers_servers_or_requests():
    """And so they name none of them."""
    schedule.install()
    tasks.audit_ledger()
    alice, *_, offer = served()
    call = bookings.book(alice, offer)
    InferenceRequest.objects.filter(pk=call.id).update(streamed=True)
    before = scrape()
    market = site.open_market()
    after = scrape()
    assert set(after) == set(before)
    assert {
        name for family in families().values() for sample in family.samples for name in sample.labels
    } == LABELS
    assert all(re.fullmatch(r"[a-z_0-9.]*", label) for _, label in after)
    assert [mark for mark in market.marks if mark in ask().content.decode()] == []


def test_a_scrape_asks_at_most_fifteen_questions_of_one_moment():
    with CaptureQueriesContext(connection) as asked:
        ask()
    questions = [query["sql"] for query in asked]
    assert len([sql for sql in questions if "SELECT" in sql]) <= QUERIES_MAX
    assert len(questions) <= QUERIES_MAX + 4, "the transaction's own"
    assert any("REPEATABLE READ, READ ONLY" in sql for sql in questions)
    for table in ("routing_inferencerequest", "billing_transfer"):
        assert all("LIMIT" in sql for sql in questions if table in sql), "nothing goes through all of them"


# ------------------------------------------------------------------------------------------------- the figures


def test_a_served_request_moves_what_it_should_and_nothing_else(travel: Travel):
    day = dt.timedelta(days=9, hours=5)  # when nobody else has requests
    travel(day)
    alice, *_, offer = served()
    before = scrape()
    bookings.book(alice, offer, latency_ms=2_500)
    after = scrape()
    assert moved(before, after) == {("newest_requests", "finished"): 1, ("pending_nanodollars", ""): 80_000}
    assert {after["newest_latency_seconds", str(at)] for at in figures.PERCENTILES} == {2.5}
    assert ("newest_first_token_seconds", "50") not in after, "it was not streamed"
    travel(day + dt.timedelta(minutes=1))
    assert moved(before, scrape())["tries_5m", "served"] == 1
    travel(day + dt.timedelta(hours=1))
    past = moved(before, scrape())
    assert past["last_hour_requests", ""] == 1
    assert past["last_hour_tokens", "input"] == past["last_hour_tokens", "output"] == 250
    assert past["last_hour_spend_nanodollars", ""] == 100_000
    assert past["last_hour_fees_nanodollars", ""] == 20_000
    assert ("newest_requests", "finished") not in past


def test_the_total_of_requests_only_rises():
    alice, *_, offer = served()
    pulse.count_outcomes()
    before = scrape()
    bookings.book(alice, offer)
    bookings.void(bookings.admit(alice, offer))
    pulse.count_outcomes()
    after = moved(before, scrape(), but=("newest", "tries", "pending"))
    assert after == {("requests_total", "served"): 1, ("requests_total", "failed"): 1}


def test_only_the_newest_requests_are_looked_at(monkeypatch: pytest.MonkeyPatch, travel: Travel):
    travel(dt.timedelta(days=13, hours=7))
    alice, *_, offer = served()
    for _ in range(3):
        bookings.book(alice, offer)
    monkeypatch.setattr(figures, "NEWEST_MAX", 2)
    assert scrape()["newest_requests", "finished"] == 2


def test_an_open_hold_is_counted_and_its_expiry_watched(travel: Travel):
    alice, *_, offer = served()
    before = scrape()
    call = bookings.admit(alice, offer)
    held = scrape()
    assert moved(before, held) == {("holds_open", ""): 1, ("holds_nanodollars", ""): call.hold_nanos}
    travel(dt.timedelta(seconds=bookings.HOLD_EXPIRY_S + 120))
    late = scrape()
    assert late["holds_oldest_seconds", ""] >= bookings.HOLD_EXPIRY_S + 120
    assert late["holds_overdue_seconds", ""] >= 119
    travel(dt.timedelta())
    bookings.void(call)
    assert moved(before, scrape(), but=("newest", "tries")) == {}


def test_an_earning_that_is_due_and_stays_is_a_lag():
    alice, *_, offer = served()
    while ledger.release()[0]:
        pass
    assert scrape()["release_lag_seconds", ""] == 0
    bookings.settle(bookings.admit(alice, offer), hold_s=-600)
    assert scrape()["release_lag_seconds", ""] > 500
    while ledger.release()[0]:
        pass
    assert scrape()["release_lag_seconds", ""] == 0


def test_the_audit_says_what_the_ledger_holds_and_that_it_adds_up_to_zero():
    tasks.audit_ledger()
    before = scrape()
    alice = factories.person(sold_nanos=7_000_000_000)
    assert scrape()["ledger_nanodollars", "customer"] == before["ledger_nanodollars", "customer"], (
        "at the audit"
    )
    tasks.audit_ledger()
    after = scrape()
    gift = settings.WELCOME_CREDIT_NANOS
    assert alice.account.posted_nanos == 7_000_000_000 + gift
    assert moved(before, after) == {
        ("ledger_nanodollars", "customer"): 7_000_000_000 + gift,
        ("ledger_nanodollars", "platform_sales"): -7_000_000_000,
        ("ledger_nanodollars", "platform_promotions"): -gift,
    }
    assert after["ledger_imbalance_nanodollars", ""] == 0
    assert after["audit_late", ""] == 0
    assert after["audit_age_seconds", ""] < 60


def test_a_failed_audit_moves_its_figures():
    wrong = audit.Difference("balances are sums", "account 17", "5 and not 4")
    run = audit.keep(timezone.now(), [wrong] * 3, {"customer": 5, "platform_sales": -4})
    failed = scrape()
    assert failed["audit_differences", ""] == 3
    assert failed["ledger_imbalance_nanodollars", ""] == 1
    long_ago = timezone.now() - dt.timedelta(seconds=4 * settings.AUDIT_EVERY_S)
    AuditRun.objects.filter(pk=run.pk).update(finished_at=long_ago)
    assert scrape()["audit_late", ""] == 1
    audit.keep(timezone.now(), [])
    sound = scrape()
    assert (sound["audit_differences", ""], sound["audit_late", ""]) == (0, 0)


def test_before_the_first_audit_it_is_late(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(figures, "AUDIT", figures.AUDIT.replace("ORDER BY", "WHERE false ORDER BY"))
    values = scrape()
    assert values["audit_late", ""] == 1
    assert ("audit_differences", "") not in values


def test_a_job_that_does_not_run_is_late_and_two_entries_for_one_task_are_one_figure():
    schedule.install()
    name = "hosting.tasks.check_health"
    job = PeriodicTask.objects.get(task=name)
    PeriodicTask.objects.filter(pk=job.pk).update(last_run_at=timezone.now())
    on_time = scrape()
    assert on_time["task_late", name] == 0
    assert on_time["task_age_seconds", name] < 60
    twin = PeriodicTask.objects.create(name="by hand", task=name, interval=job.interval)
    PeriodicTask.objects.filter(pk=job.pk).update(last_run_at=timezone.now() - dt.timedelta(hours=1))
    late = scrape()
    assert late["task_late", name] == 1
    assert late["task_age_seconds", name] >= 3_600
    twin.delete()
    PeriodicTask.objects.filter(pk=job.pk).update(enabled=False)
    assert ("task_late", name) not in scrape()
    PeriodicTask.objects.filter(pk=job.pk).update(enabled=True, last_run_at=timezone.now())


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("down", {"health": 0.1}),
        ("draining", {"draining": True}),
        ("waiting", {"waiting_since": Now()}),
        ("unverified", {"verified_at": None}),
    ],
)
def test_a_server_that_stops_leaves_up_and_its_model_is_without_one(state: str, change: dict[str, Any]):
    _, _, server, _ = served()
    before = scrape()
    Server.objects.filter(pk=server.pk).update(**change)
    after = moved(before, scrape())
    expected = {("servers", "up"): -1, ("servers", state): 1, ("models", "served"): -1}
    if state == "unverified":
        expected["waiting", "unverified_servers"] = 1
    else:
        expected["models", "unserved"] = 1
    assert after == expected


def test_a_suspended_hosters_server_is_in_one_state_only():
    _, hoster, server, _ = served()
    before = scrape()
    Hoster.objects.filter(pk=hoster.pk).update(status="suspended")
    Server.objects.filter(pk=server.pk).update(draining=True, health=0)
    assert moved(before, scrape()) == {
        ("servers", "up"): -1, ("servers", "suspended"): 1, ("models", "served"): -1, ("models", "unserved"): 1,
        ("waiting", "restricted_hosters"): 1,
    }  # fmt: skip


def test_a_model_is_served_while_one_server_has_it():
    _, _, server, offer = served()
    factories.server(model=offer.model_id)
    before = scrape()
    Server.objects.filter(pk=server.pk).update(draining=True)
    assert moved(before, scrape()) == {("servers", "up"): -1, ("servers", "draining"): 1}


def test_an_open_circuit_is_counted_until_it_closes():
    _, _, server, _ = served()
    before = scrape()
    circuit = Circuit.objects.create(
        server=server, open_until=timezone.now() + dt.timedelta(minutes=5), openings=1
    )
    assert moved(before, scrape()) == {("circuits_open", ""): 1}
    Circuit.objects.filter(pk=circuit.pk).update(open_until=timezone.now() - dt.timedelta(seconds=1))
    assert moved(before, scrape()) == {}


def test_what_waits_for_a_person_is_counted_by_its_kind():
    alice, hoster, _, offer = served()
    call = bookings.book(alice, offer)
    bookings.earn(hoster, 40_000_000_000)
    before = scrape()
    dispute = disputes.open_(customer=alice.customer, charge=call.id, reason="incomplete")
    payout = payouts.ask(
        customer=hoster.customer, amount_nanos=12_000_000_000, method="paypal", destination="bob@example.org"
    )
    after = moved(before, scrape(), but=("notices", "newest", "tries"))
    assert after == {
        ("waiting", "disputes"): 1, ("disputes_open", ""): 1, ("disputes_frozen_nanodollars", ""): dispute.net_nanos,
        ("pending_nanodollars", ""): -dispute.net_nanos, ("waiting", "payouts"): 1,
        ("payouts_open", "requested"): 1, ("payouts_open_nanodollars", ""): 12_000_000_000,
    }  # fmt: skip
    type(payout).objects.filter(pk=payout.pk).update(due_on=timezone.now() - dt.timedelta(days=2))
    assert moved(before, scrape())["payouts_overdue", ""] == 1


def test_notices_wait_by_channel_until_they_are_out_or_given_up():
    before = scrape()
    notice = Notice.objects.create(
        customer=factories.person().customer, subject=factories.unique("notice"), kind="test", facts={},
        hook_next_at=timezone.now() - dt.timedelta(minutes=10), created_at=timezone.now() - dt.timedelta(minutes=20),
    )  # fmt: skip
    waits = scrape()
    assert moved(before, waits) == {("notices_waiting", "mail"): 1, ("notices_waiting", "webhook"): 1}
    assert waits["notices_lag_seconds", "mail"] >= 1_200
    assert waits["notices_lag_seconds", "webhook"] >= 600
    Notice.objects.filter(pk=notice.pk).update(
        hook_next_at=None, created_at=timezone.now() - dt.timedelta(days=3)
    )
    assert moved(before, scrape()) == {}


def test_web_processes_are_counted_while_their_hearts_beat():
    process = GatewayProcess.objects.create(boot=bookings.new_id())
    live = GatewayProcess.objects.filter(heartbeat_at__gt=timezone.now() - dt.timedelta(seconds=60))
    others = live.exclude(pk=process.pk)
    try:
        counted = scrape()["web_processes", ""]
        assert 1 <= counted <= others.count() + 1  # a gateway of another test may die at this moment
        GatewayProcess.objects.filter(pk=process.pk).update(
            heartbeat_at=timezone.now() - dt.timedelta(minutes=2)
        )
        assert scrape()["web_processes", ""] <= others.count()
    finally:
        process.delete()


def test_the_clock_of_this_machine_is_compared_with_the_databases(travel: Travel):
    assert abs(scrape()["clock_skew_seconds", ""]) < 1
    travel(dt.timedelta(seconds=90))
    assert -91 < scrape()["clock_skew_seconds", ""] < -89


def test_the_database_says_how_large_and_how_busy_it_is():
    import psycopg

    parameters = connection.get_connection_params()
    wanted = {
        name: parameters[name]
        for name in ("host", "port", "user", "password", "dbname")
        if parameters.get(name)
    }
    with psycopg.connect(**wanted) as other:
        other.execute("SELECT 1")
        time.sleep(0.2)
        values = scrape()
        other.rollback()
    assert values["database_bytes", ""] > 1_000_000
    assert 1 <= values["database_connections", ""] < values["database_connections_max", ""]
    assert values["database_oldest_transaction_seconds", ""] >= 0.2


# ------------------------------------------------------------------------------------------------------ faults


@pytest.fixture
def _no_database() -> Iterator[None]:
    """As when the server is stopped: its address refuses connections."""
    before = {name: connection.settings_dict[name] for name in ("HOST", "PORT")}
    connection.close()
    connection.close_pool()
    connection.settings_dict.update(HOST="127.0.0.1", PORT=str(next(ports)))
    yield
    connection.close()
    connection.close_pool()
    connection.settings_dict.update(before)


@pytest.mark.usefixtures("_no_database")
def test_without_the_database_it_says_so_and_nothing_more():
    answer = ask()
    assert answer.status_code == 503
    (family,) = text_string_to_metric_families(answer.content.decode())
    assert [(sample.name, sample.value) for sample in family.samples] == [("neuralgate_up", 0)]
    assert "127.0.0.1" not in answer.content.decode()


def test_a_question_that_takes_too_long_is_no_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT_S", "0.05")
    monkeypatch.setattr(figures, "BOOKS", "SELECT pg_sleep(2)")
    assert ask().status_code == 503
    monkeypatch.undo()
    assert ask().status_code == 200, "and the connection is as good as before"
