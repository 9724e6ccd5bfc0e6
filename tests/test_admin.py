"""The admin shows everything, edits no money, and asks the database a bounded number of questions."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import ApiKey
from billing import money
from billing.models import LedgerAccount
from routing import pulse, tasks
from routing.models import AuditRun
from tests import bookings, factories
from tests.routing.test_usage_api import address
from tests.staff import signed_in

MODELS = [
    model for app in ("accounts", "billing", "routing") for model in apps.get_app_config(app).get_models()
]
READ_ONLY = [model for model in MODELS if model._meta.app_label != "accounts" or model is ApiKey]
NANOS = re.compile(r"<label[^>]*>[^<]*nanos", re.IGNORECASE)


@pytest.fixture
def staff() -> Client:
    return signed_in()


def page(kind: str, model: type, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


def book_something() -> factories.Person:
    alice = factories.person()
    alice.api_key.spend_limit_nanos = 10**9
    alice.api_key.save()
    _, offer = factories.server(address())
    bookings.book(alice, offer)
    pulse.count_outcomes()
    return alice


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_table_has_a_list_whose_queries_do_not_grow_with_its_rows(model: type, staff: Client):
    assert admin.site.is_registered(model)
    queries = []
    for _ in range(2):
        book_something()
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert staff.get(page("changelist", model)).status_code == 200
        queries.append(len(captured))
    assert queries[0] == queries[1]


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_money_and_requests_can_be_read_but_not_edited(model: type, staff: Client):
    book_something()
    row = model.objects.first()
    if row is None:
        return
    shown = staff.get(page("change", model, row.pk))
    assert shown.status_code == 200
    assert not NANOS.search(shown.content.decode()), "amounts are shown in dollars"
    assert staff.post(page("change", model, row.pk), {}).status_code == 403
    assert staff.post(page("delete", model, row.pk), {"post": "yes"}).status_code == 403
    assert staff.get(page("add", model)).status_code == 403


def test_a_search_by_id_finds_a_charge(staff: Client):
    alice = factories.person()
    _, offer = factories.server(address())
    call = bookings.book(alice, offer)
    for name in ("billing_charge", "billing_transfer", "routing_inferencerequest"):
        listed = staff.get(reverse(f"admin:{name}_changelist"), {"q": str(call.id)}).content.decode()
        assert str(call.id) in listed


def test_a_key_is_revoked_by_the_operator_and_who_did_it_is_kept(staff: Client):
    alice = factories.person()
    data = {"action": "revoke", "_selected_action": [alice.api_key.pk]}
    staff.post(reverse("admin:accounts_apikey_changelist"), data)
    assert Client().get("/v1/usage", headers=alice.headers).json()["error"]["code"] == "revoked_api_key"
    assert (
        "revoked in the admin"
        in staff.get(page("history", type(alice.api_key), alice.api_key.pk)).content.decode()
    )


def test_the_platforms_accounts_say_what_the_last_audit_found(staff: Client):
    book_something()
    tasks.audit_ledger()
    found = AuditRun.objects.latest("pk")
    listed = staff.get(page("changelist", LedgerAccount), {"kind__exact": "platform_fees"}).content.decode()
    assert money.text(found.sums["platform_fees"]) in listed
    assert f"at the last audit, {found.finished_at:%Y-%m-%d %H:%M}" in listed
    fees = LedgerAccount.objects.get(kind="platform_fees")
    assert (
        money.text(found.sums["platform_fees"])
        in staff.get(page("change", LedgerAccount, fees.pk)).content.decode()
    )
    AuditRun.objects.all().delete()
    assert "not audited yet" in staff.get(page("change", LedgerAccount, fees.pk)).content.decode()


def test_a_hosters_earnings_are_found_on_the_accounts_statement(staff: Client):
    book_something()
    pending = LedgerAccount.objects.filter(kind="hoster_pending").latest("pk")
    listed = staff.get(page("changelist", LedgerAccount), {"q": pending.customer.user.email}).content.decode()
    assert f'href="{page("statement", LedgerAccount, pending.pk)}">on its statement' in listed


def test_a_keys_digest_is_nowhere_shown(staff: Client):
    alice = factories.person()
    shown = staff.get(page("change", type(alice.api_key), alice.api_key.pk)).content.decode()
    assert bytes(alice.api_key.digest).hex() not in shown
    assert alice.key not in shown


def test_a_tier_can_be_changed(staff: Client):
    alice = factories.person(tier="free")
    staff.post(page("change", type(alice.customer), alice.customer.pk), {"tier": "pro"})
    alice.customer.refresh_from_db()
    assert alice.customer.tier_id == "pro"


def test_the_admin_is_closed_to_customers():
    client = Client()
    client.force_login(factories.person().customer.user)
    assert client.get("/admin/billing/transfer/").status_code == 302
