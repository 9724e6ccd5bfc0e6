"""The dashboard says what the database says, in few queries, and counts no requests."""

import datetime as dt
import itertools
import time
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from hosting import inbox, moderation
from hosting.models import HostedModel, ModerationAction, Server
from neuralgate import dashboard, schedule, waiting
from neuralgate.lateness import late_jobs
from routing import audit, tasks
from routing.models import AuditRun, UsageHour
from tests import bookings, factories
from tests.staff import member, signed_in

QUERIES_MAX = 15
Kind = ModerationAction.Kind


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def today() -> dashboard.Day:
    return dashboard.days(timezone.now().date())[-1]


def served() -> tuple[factories.Person, HostedModel]:
    alice = factories.person()
    _, offer = factories.server()
    bookings.book(alice, offer)
    return alice, offer


def test_a_request_is_in_todays_line_at_once():
    before = today()
    served()
    after = today()
    assert after.requests == before.requests + 1
    assert after.spend_nanos == before.spend_nanos + 100_000
    assert after.fees_nanos == before.fees_nanos + 20_000
    assert after.own_nanos == before.own_nanos


def test_what_the_operators_own_servers_earn_is_no_fee():
    alice = factories.person()
    _, offer = factories.server(kind="local")
    before = today()
    bookings.book(alice, offer)
    after = today()
    spent_nanos = after.spend_nanos - before.spend_nanos
    assert spent_nanos > 0
    assert after.fees_nanos == before.fees_nanos
    assert after.own_nanos == before.own_nanos + spent_nanos
    assert after.income_nanos == before.income_nanos + spent_nanos
    shown = signed_in().get("/admin/").content.decode()
    assert "Platform’s income" in shown


def test_days_have_no_gaps_and_older_ones_are_summed():
    alice, _ = served()
    day = timezone.now().date() - dt.timedelta(days=7)
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    before = {one.date: one for one in dashboard.days(timezone.now().date())}[day]
    cache.clear()
    UsageHour.objects.create(
        customer=alice.customer, key=alice.api_key, model_id="m", provider="hoster", hour=noon, requests=7,
        gross_nanos=10, fee_nanos=2, net_nanos=8,
    )  # fmt: skip
    listed = dashboard.days(timezone.now().date())
    assert len(listed) == dashboard.DAYS
    assert {later.date - earlier.date for earlier, later in itertools.pairwise(listed)} == {
        dt.timedelta(days=1)
    }
    assert next(one for one in listed if one.date == day).requests == before.requests + 7
    UsageHour.objects.filter(model_id="m", customer=alice.customer).delete()


def test_open_holds_and_pending_earnings_are_counted():
    alice, offer = served()
    before = dashboard.state()
    call = bookings.admit(alice, offer)
    during = dashboard.state()
    assert during.holds == before.holds + 1
    assert during.held_nanos == before.held_nanos + call.hold_nanos
    assert during.oldest_hold_at is not None
    bookings.settle(call)
    after = dashboard.state()
    assert after.holds == before.holds
    assert after.pending_nanos == before.pending_nanos + 80_000


def test_failed_tries_are_shown_by_the_hour():
    _, offer = served()
    before = sum(hour.failed for hour in dashboard.errors())
    alice, other = served()
    call = bookings.admit(alice, other)
    bookings.end(bookings.Ending(call, failed_servers=(offer.server_id,)))
    assert sum(hour.failed for hour in dashboard.errors()) == before + 1
    assert dashboard.Hour(timezone.now(), 3, 1).percent == "25.0 %"


def test_the_audit_writes_down_what_it_found_and_the_dashboard_says_it():
    found = tasks.audit_ledger()
    last = AuditRun.objects.latest("pk")
    assert last.differences == found
    assert last.started_at <= last.finished_at
    assert dashboard.state().differences == found
    wrong = audit.Difference("balances are sums", "account 17", "5 and not 4")
    audit.keep(timezone.now(), [wrong] * 30)
    state = dashboard.state()
    assert state.differences == 30
    assert state.found is not None
    assert len(state.found) == audit.FOUND_KEPT_MAX
    page = signed_in().get("/admin/").content.decode()
    assert "30 differences" in page
    assert "account 17: 5 and not 4" in page
    audit.keep(timezone.now(), [])
    assert not dashboard.state().audit_is_late


def test_runs_of_the_audit_are_forgotten_after_a_month():
    old = audit.keep(timezone.now(), [])
    AuditRun.objects.filter(pk=old.pk).update(finished_at=timezone.now() - audit.RUNS_KEPT)
    audit.keep(timezone.now(), [])
    assert not AuditRun.objects.filter(pk=old.pk).exists()


def test_an_audit_that_stopped_and_a_clock_that_differs_are_noticed(monkeypatch: pytest.MonkeyPatch):
    run = audit.keep(timezone.now(), [])
    AuditRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - dt.timedelta(hours=2))
    assert dashboard.state().audit_is_late
    assert not dashboard.state().clocks_differ
    real = time.time
    monkeypatch.setattr(dashboard.time, "time", lambda: real() + 90)
    assert dashboard.state().clocks_differ


def test_a_job_that_does_not_run_is_late_unless_it_is_switched_off():
    schedule.install()
    name = "hosting.tasks.check_health"
    job = PeriodicTask.objects.filter(task=name)
    job.update(last_run_at=timezone.now() - dt.timedelta(minutes=1))
    assert name not in [late.name for late in late_jobs()]
    job.update(last_run_at=timezone.now() - dt.timedelta(minutes=30))
    assert name in [late.name for late in late_jobs()]
    job.update(enabled=False)
    assert name not in [late.name for late in late_jobs()]
    job.update(enabled=True, last_run_at=timezone.now())


def test_an_answer_waits_until_a_person_reacts():
    _, hoster = factories.hoster()
    action = moderation.act(Kind.WARN, hoster, reason="Slow.", rule="slow")
    assert action is not None
    assert action not in inbox.answers()
    moderation.answer(action, "We moved house.")
    assert action in inbox.answers()
    moderation.act(Kind.PROBATION, hoster, reason="Still slow.", rule="slow")
    assert action in inbox.answers(), "a rule is not a person"
    moderation.act(Kind.NOTICE, hoster, reason="Thank you.", actor=member())
    assert action not in inbox.answers()


def test_restricted_hosters_retests_and_unverified_servers_wait():
    _, hoster = factories.hoster(status="probation")
    _, suspended = factories.hoster(status="suspended")
    _, warned = factories.hoster(status="warned")
    assert {hoster, suspended} <= set(inbox.restricted())
    assert warned not in inbox.restricted()
    server, offer = factories.server(of=hoster)
    assert server not in inbox.unverified()
    Server.objects.filter(pk=server.pk).update(verified_at=None)
    assert server in inbox.unverified()
    moderation.deactivate_offer(offer, reason="Wrong.", rule="consistency")
    assert offer not in inbox.retests()
    moderation.ask_for_retest(offer)
    assert offer in inbox.retests()


def test_the_queue_shows_evidence_and_its_buttons_ask_for_a_reason():
    staff = signed_in()
    _, hoster = factories.hoster()
    action = moderation.act(Kind.WARN, hoster, reason="Slow.", rule="slow", evidence={"ms": 43_210})
    assert action is not None
    moderation.answer(action, "We moved <b>house</b>.")
    page = staff.get("/admin/moderation/").content.decode()
    assert "43210" in page
    assert "We moved &lt;b&gt;house&lt;/b&gt;." in page
    asked = staff.post("/admin/hosting/hoster/", {"_selected_action": hoster.pk, "action": "notice"})
    assert 'name="reason"' in asked.content.decode()
    data = {"_selected_action": hoster.pk, "action": "notice", "reason": "Thank you, all is well."}
    staff.post("/admin/hosting/hoster/", data)
    hoster.refresh_from_db()
    assert hoster.status == "warned"
    assert hoster.actions.latest("pk").reason == "Thank you, all is well."
    assert "43210" not in staff.get("/admin/moderation/").content.decode()


def test_another_kind_of_waiting_is_one_function_more(monkeypatch: pytest.MonkeyPatch):
    more = {**waiting.QUEUE, "cases": lambda: waiting.Waiting("Disputes", 4_321, "/admin/disputes")}
    monkeypatch.setattr(waiting, "QUEUE", more)
    page = signed_in().get("/admin/").content.decode()
    assert 'href="/admin/disputes">Disputes</a> <strong>4,321' in page


def test_it_renders_in_few_queries_and_little_time():
    served()
    staff = signed_in()
    staff.get("/admin/")
    with CaptureQueriesContext(connection) as asked:
        assert staff.get("/admin/").status_code == 200
    assert len(asked) <= QUERIES_MAX
    assert not [query["sql"] for query in asked if "routing_inferencerequest" in query["sql"]]


def test_a_statement_is_shown_by_period_and_nonsense_is_refused_in_words():
    alice, _ = served()
    staff, page = signed_in(), f"/admin/billing/ledgeraccount/{alice.account.pk}/statement/"
    month = staff.get(page).content.decode()
    assert '<dd id="opening">$0.00</dd>' in month
    assert '<dd id="closing">$4.9999</dd>' in month
    later = staff.get(page, {"first": "2999-01-01", "last": "2999-01-31"}).content.decode()
    assert '<dd id="opening">$4.9999</dd>' in later
    assert "Nothing was booked" in later
    wrong = staff.get(page, {"first": "2999-01-31", "last": "2999-01-01"}).content.decode()
    assert "The first day is after the last" in wrong
    assert staff.get(page, {"first": "x", "last": ""}).status_code == 200
    assert staff.get("/admin/billing/ledgeraccount/0/statement/").status_code == 404
