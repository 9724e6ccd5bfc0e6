"""Every page of the admin, found in its registry: it opens, asks little of the database, keeps the policy."""

import datetime as dt
import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, SolarSchedule
from unfold.admin import ModelAdmin

from accounts import issuing
from billing import disputes, ledger, payouts
from billing.models import (
    Debt,
    Dispute,
    IdempotentRequest,
    LedgerAccount,
    Payout,
    Recharge,
    StripeEvent,
    TopUp,
    Webhook,
)
from hosting import moderation
from hosting.models import (
    AutoModel,
    Circuit,
    ConsistencyAnswer,
    HealthCheck,
    ModerationAction,
    Question,
    Server,
)
from neuralgate import navigation, schedule, security
from routing import audit, pulse
from routing.models import GatewayProcess, PayerDay
from tests import bookings, factories
from tests.staff import member, signed_in

QUERIES_MAX = 25
REGISTERED = sorted(admin.site._registry.items(), key=lambda entry: entry[0]._meta.label)
MODELS = [model for model, _ in REGISTERED]
ACTIONS = {  # what may be done to money from here: each is a rule of `billing` with words and a history
    Dispute: {"uphold", "reject"},
    Payout: {"approve", "reject", "paid", "fail", "came_back"},
    LedgerAccount: {"credit"},
}
LEDGER = [model for model in MODELS if model._meta.app_label == "billing"]


@pytest.fixture(scope="module")
def rows(django_db_setup: None, django_db_blocker) -> None:
    """A row of everything."""
    with django_db_blocker.unblock():
        schedule.install()
        alice = factories.person()
        alice.api_key.spend_limit_nanos = 10**9
        alice.api_key.save()
        server, offer = factories.server()
        bookings.book(alice, offer)
        bookings.admit(alice, offer)
        moderation.act(
            ModerationAction.Kind.WARN, server.hoster, reason="Slow.", rule="slow", evidence={"ms": 9}
        )
        HealthCheck.objects.create(server=server, ok=True, latency_ms=3)
        Circuit.objects.create(server=server, open_until=timezone.now(), openings=1)
        asked = Question.objects.create(slug=factories.unique("q"), topic="x", wordings=["?"], answers=["!"])
        ConsistencyAnswer.objects.create(offer=offer, question=asked, right=True, counted=True)
        AutoModel.objects.create(model_id=factories.unique("m"))
        GatewayProcess.objects.create(boot=factories.uuid.uuid4())
        audit.keep(timezone.now(), [])
        pulse.count_outcomes()
        cases(alice, server)
        issuing.rotate(alice.api_key, grace=dt.timedelta(hours=1))
        Group.objects.create(name=factories.unique("g"))
        EmailAddress.objects.create(user=alice.customer.user, email=alice.customer.user.email)
        ClockedSchedule.objects.create(clocked_time=timezone.now())
        CrontabSchedule.objects.create()
        SolarSchedule.objects.get_or_create(event="sunrise", latitude=1, longitude=1)
        UserSession.objects.create(
            user=alice.customer.user, ip="127.0.0.1", session_key=factories.unique("s")
        )
        PayerDay.objects.create(server=server, customer=alice.customer, day=timezone.now().date())


def cases(alice: factories.Person, server: Server) -> None:
    """A row of everything that moves money after a request."""
    assert server.hoster is not None
    bookings.earn(server.hoster, 100 * 10**9)
    call = bookings.book(alice, server.models.get())
    disputes.open_(customer=alice.customer, charge=call.id, reason="other")
    pending = ledger.pending_account(server.hoster.customer)
    payouts.ask(customer=server.hoster.customer, amount_nanos=10 * 10**9, method="crypto", destination="0x1")
    Debt.objects.create(account=pending, owed_nanos=0)
    TopUp.objects.create(customer=alice.customer, amount_nanos=10**9)
    Recharge.objects.create(customer=alice.customer)
    StripeEvent.objects.create(id=factories.unique("evt"), type="charge.updated")
    IdempotentRequest.objects.create(
        customer=alice.customer, name="key", route="/v1/payouts", body_digest=b"x"
    )
    Webhook.objects.create(customer=alice.customer, url="https://example.org", secret_sealed="x")


@pytest.fixture(scope="module")
def staff(rows: None, django_db_blocker) -> Client:
    with django_db_blocker.unblock():
        return signed_in()


def path(kind: str, model: type[Model], *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


def test_an_empty_list_says_what_to_do_and_only_what_one_may(staff: Client):
    assert "Add the first" not in opened(staff, path("changelist", Payout) + "?q=nothing-like-it")
    assert "Nothing found" in opened(staff, path("changelist", Payout) + "?q=nothing-like-it")


def opened(client: Client, page: str) -> str:
    """The page, which is there, cheap, and neither inline nor from elsewhere."""
    with CaptureQueriesContext(connection) as asked:
        response = client.get(page)
    assert response.status_code == 200, page
    assert len(asked) <= QUERIES_MAX, page
    assert response["Content-Security-Policy"] == security.ADMIN
    shown = response.content.decode()
    for script in re.findall(r"<script\b[^>]*>", shown):
        assert " src=" in script or 'type="application/json"' in script, f"{page}: {script}"
    assert not re.search(r"<style|\son[a-z]+=\"", shown), page
    assert not re.search(r"(?:src|srcset)=\"(?:https?:)?//|<link[^>]+href=\"(?:https?:)?//", shown), page
    return shown


def test_everything_is_in_unfolds_look():
    assert [model.__name__ for model, shown in REGISTERED if not isinstance(shown, ModelAdmin)] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_list_and_a_row_and_the_form_of_a_new_one_open(model: type[Model], staff: Client):
    row = model._default_manager.first()
    assert row is not None, f"{model.__name__} has no row: make one above"
    opened(staff, path("changelist", model))
    opened(staff, path("change", model, row.pk))
    opened(staff, path("history", model, row.pk))
    add = staff.get(path("add", model))
    if add.status_code != 403:
        opened(staff, path("add", model))


@pytest.mark.parametrize("page", ["admin:index", "admin:moderation_queue", "admin:password_change"])
def test_the_pages_that_belong_to_no_table_open(page: str, staff: Client):
    opened(staff, reverse(page))


@pytest.mark.parametrize("label", sorted({model._meta.app_label for model in MODELS}))
def test_the_page_of_an_app_opens(label: str, staff: Client):
    opened(staff, reverse("admin:app_list", args=[label]))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_table_is_called_by_a_plural(model: type[Model]):
    assert not re.search(r"[^aeou]ys$|sss$|[^s]ss$", str(model._meta.verbose_name_plural))


@pytest.mark.parametrize("model", LEDGER, ids=lambda model: model.__name__)
def test_nothing_here_edits_the_ledger(model: type[Model], staff: Client):
    row = model._default_manager.first()
    assert row is not None
    before = model._default_manager.filter(pk=row.pk).values().get()
    for kind in ("change", "delete"):
        assert staff.post(path(kind, model, row.pk), {"post": "yes"}).status_code == 403
    assert staff.post(path("add", model), {}).status_code == 403
    delete = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    staff.post(path("changelist", model), delete)
    assert model._default_manager.filter(pk=row.pk).values().get() == before
    actions = admin.site._registry[model].get_actions(_request(staff, path("changelist", model)))
    assert set(actions) == ACTIONS.get(model, set())


def _request(client: Client, page: str):
    return client.get(page).wsgi_request


def test_the_sidebar_leads_to_every_table_that_an_operator_needs(staff: Client):
    shown = opened(staff, reverse("admin:index"))
    for group, entries in navigation.GROUPS.items():
        assert group in shown
        for words, _, label in entries:
            app, name = label.split(".")
            assert f'href="{reverse(f"admin:{app}_{name}_changelist")}"' in shown, words
    missing = {model._meta.label_lower for model in MODELS} - {
        label for entries in navigation.GROUPS.values() for _, _, label in entries
    }
    assert missing == {
        "account.emailaddress",
        "accounts.replacedkey",
        "billing.idempotentrequest",
        "billing.openingbalance",
        "billing.payoutdestination",
        "billing.releaseday",
        "billing.stripeevent",
        "billing.webhook",
        "django_celery_beat.clockedschedule",
        "django_celery_beat.solarschedule",
    }


def test_the_sidebar_shows_only_what_one_may_see(rows: None):
    user = member()
    user.is_superuser = False
    user.save()
    shown = signed_in(user).get(reverse("admin:index")).content.decode()
    assert reverse("admin:billing_transfer_changelist") not in shown
    assert signed_in(user).get(reverse("admin:moderation_queue")).status_code == 403


def test_no_secret_of_a_second_factor_and_no_session_key_is_shown(staff: Client):
    user = member()
    factor = Authenticator.objects.get(user=user)
    shown = opened(staff, path("change", Authenticator, factor.pk))
    assert factor.data["secret"] not in shown
    session = staff.session.session_key
    listed = opened(staff, reverse("admin:usersessions_usersession_changelist"))
    assert session not in listed
