"""The admin moves payouts and disputes on, with words that both sides read, and credits accounts within a limit."""

import re
import uuid

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing import crediting, disputes, money, payouts
from billing.acts import page_of
from billing.crediting import CreditRefused
from billing.models import Dispute, LedgerAccount, Payout, Transfer
from tests import bookings, factories
from tests.billing.test_payouts import USD, ask, balance, sound
from tests.factories import Person
from tests.fake_stripe import FakeStripe
from tests.routing.test_usage_api import address
from tests.staff import SECRET, signed_in


@pytest.fixture
def staff() -> Client:
    return staff_with("view_payout", "change_payout", "view_dispute", "change_dispute", "view_ledgeraccount",
                      "change_ledgeraccount")  # fmt: skip


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user(f"{factories.unique('staff')}@example.org", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    TOTP.activate(user, SECRET)
    return signed_in(user)


def act(client: Client, row: Payout | Dispute | LedgerAccount, action: str, **fields: str) -> str:
    """The page after an action; without a reason it is the page that asks for one."""
    data = {"action": action, "_selected_action": str(row.pk), **fields}
    page = reverse(f"admin:billing_{type(row)._meta.model_name}_changelist")
    return client.post(page, data, follow=True).content.decode()


def now(payout: Payout) -> Payout:
    return Payout.objects.get(pk=payout.pk)


def test_a_payout_is_approved_and_paid_by_hand(staff: Client, bob: Person):
    payout = ask(bob)
    act(staff, payout, "approve")
    assert "Reference" in act(staff, payout, "paid")
    assert now(payout).state == "approved"  # only the reference was asked for
    act(staff, payout, "paid", reason=f"SEPA {payout.pk}")
    row = now(payout)
    assert (row.state, row.reference, row.closed_by) == ("paid", f"SEPA {payout.pk}", row.approved_by)
    assert "Only one that is requested" in act(staff, payout, "approve")
    said = LogEntry.objects.filter(object_id=str(payout.pk)).values_list("change_message", flat=True)
    assert any("SEPA" in message for message in said)
    assert sound(bob)


def buttons(client: Client, row: Payout | Dispute) -> list[str]:
    """The acts that the row's own page offers."""
    page = client.get(page_of(row)).content.decode()
    return re.findall(r'<button name="action" value="(\w+)">', page)


def test_a_payouts_page_offers_what_its_state_allows(staff: Client, bob: Person):
    payout = ask(bob)
    looker = staff_with("view_payout")
    assert buttons(staff, payout) == ["approve", "reject"]
    assert buttons(looker, payout) == []
    act(staff, payout, "approve")
    assert buttons(staff, payout) == ["paid", "fail"]
    act(staff, payout, "paid", reason=f"SEPA {payout.pk}")
    assert buttons(staff, payout) == ["came_back"]
    act(staff, payout, "came_back", reason="The account is closed.")
    assert buttons(staff, payout) == []
    page = staff.get(page_of(payout)).content.decode()
    assert "$20.00" in page
    assert str(payout.amount_nanos) not in page


def test_who_acts_on_a_rows_page_is_led_back_to_it(staff: Client, bob: Person):
    payout = ask(bob)
    home = reverse("admin:billing_payout_changelist")
    data = {"_selected_action": str(payout.pk), "from_its_page": "yes"}
    asked = staff.post(home, {**data, "action": "reject"}).content.decode()
    assert f'href="{page_of(payout)}">Do nothing' in asked
    assert 'name="from_its_page"' in asked
    assert staff.post(home, {**data, "action": "approve"})["Location"] == page_of(payout)
    failed = staff.post(home, {**data, "action": "fail", "reason": "The bank said no."})
    assert failed["Location"] == page_of(payout)
    assert now(payout).state == "failed"


@pytest.mark.parametrize(("steps", "state"), [(["reject"], "rejected"), (["approve", "fail"], "failed")])
def test_a_payout_is_given_back_with_a_reason(steps: list[str], state: str, staff: Client, bob: Person):
    before = balance(bob)
    payout = ask(bob)
    for step in steps:
        act(staff, payout, step, reason="The address bounced.")
    assert (now(payout).state, now(payout).reason) == (state, "The address bounced.")
    assert balance(bob) == before
    assert sound(bob)


def test_where_it_goes_is_shown_only_to_who_may_pay(staff: Client, bob: Person):
    payout = ask(bob)
    page = reverse("admin:billing_payout_change", args=[payout.pk])
    assert "bob@example.org" in staff.get(page).content.decode()
    looker = staff_with("view_payout")
    shown = looker.get(page).content.decode()
    assert str(payout.pk) in shown
    assert "bob@example.org" not in shown
    assert payout.sealed not in shown
    act(looker, payout, "approve")
    assert now(payout).state == "requested"


def test_one_that_stripe_pays_is_not_paid_by_hand_too(stripe: FakeStripe, staff: Client, bob: Person):
    payouts.store_destination(customer=bob.customer, method="stripe", destination="acct_1")
    payout = payouts.ask(customer=bob.customer, amount_nanos=20 * USD, method="stripe")
    act(staff, payout, "approve")
    assert "Stripe pays this one by itself" in act(staff, payout, "paid", reason="by hand")
    stripe.trouble = ["down"]
    assert "is not known" in act(staff, payout, "fail", reason="no")
    assert now(payout).state == "approved"
    act(staff, payout, "fail", reason="no")
    assert now(payout).state == "failed"


# ------------------------------------------------------------------------------------------------------ disputes


@pytest.mark.parametrize(("verdict", "state"), [("uphold", "upheld"), ("reject", "rejected")])
def test_a_dispute_is_decided_with_a_verdict_beside_the_evidence(verdict: str, state: str, staff: Client):
    alice = factories.person("alice", sold_nanos=100 * USD)
    _, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster)
    call = bookings.book(alice, offer, input_tokens=321, output_tokens=123)
    dispute = disputes.open_(
        customer=alice.customer, charge=call.id, reason="other", detail="It was <b>odd</b>."
    )
    page = staff.get(reverse("admin:billing_dispute_change", args=[dispute.pk])).content.decode()
    for shown in (offer.model_id, offer.server.name, "321", "123", "finished", "It was &lt;b&gt;odd",
                  money.text(dispute.gross_nanos), str(alice.api_key), *links(dispute)):  # fmt: skip
        assert shown in page
    assert str(dispute.gross_nanos) not in page
    assert buttons(staff_with("view_dispute"), dispute) == []
    assert buttons(staff, dispute) == ["uphold", "reject"]
    act(staff, dispute, verdict)
    dispute.refresh_from_db()
    assert dispute.state == "open"
    act(staff, dispute, verdict, reason="We looked.")
    dispute.refresh_from_db()
    assert (dispute.state, dispute.verdict) == (state, "We looked.")
    assert buttons(staff, dispute) == []
    assert "decided already" in act(staff, dispute, "reject", reason="Again.")


def links(dispute: Dispute) -> list[str]:
    """To what it is about."""
    tables = ("routing_inferencerequest", "billing_charge")
    return [f'href="{reverse(f"admin:{table}_change", args=[dispute.charge])}"' for table in tables]


# ------------------------------------------------------------------------------------------------------ crediting


@pytest.mark.parametrize(("kind", "bought"), [("paid", 30), ("promotional", 0)])
def test_an_account_is_credited_once_with_a_reason(kind: str, bought: int, staff: Client):
    alice = factories.person("alice")
    form = act(staff, alice.account, "credit")
    once = form.partition('name="once" value="')[2].partition('"')[0]
    said = {"once": once, "amount_usd": "30", "kind": kind, "reason": "invoice 7"}
    assert "This field is required" in act(staff, alice.account, "credit", **{**said, "reason": ""})
    act(staff, alice.account, "credit", **said)
    assert "booked before" in act(staff, alice.account, "credit", **said)
    assert (alice.account.posted_nanos, alice.account.bought_nanos) == (35 * USD, bought * USD)
    transfer = Transfer.objects.get(credit=alice.account, reason="invoice 7")
    assert transfer.actor is not None


def test_above_the_limit_a_second_person_books_the_rest():
    alice = factories.person("alice")
    first, second = (factories.person("staff").customer.user for _ in range(2))

    def credit(actor: User, usd: int) -> bool:
        return crediting.credit(
            customer=alice.customer, amount_nanos=usd * USD, paid=True, reason="invoice 8",
            reference=str(uuid.uuid4()), actor=actor,
        )  # fmt: skip

    with pytest.raises(CreditRefused, match="second person"):
        credit(first, 101)
    assert credit(first, 60)
    with pytest.raises(CreditRefused, match=r"\$40.00 more"):
        credit(first, 41)
    assert credit(second, 41)
    assert alice.account.bought_nanos == 101 * USD


def test_nobody_credits_himself_or_without_a_reason():
    alice = factories.person("alice")
    for actor, reason in ((alice.customer.user, "a gift"), (factories.person("staff").customer.user, " ")):
        with pytest.raises(CreditRefused):
            crediting.credit(
                customer=alice.customer,
                amount_nanos=USD,
                paid=False,
                reason=reason,
                reference="x",
                actor=actor,
            )


def test_who_may_only_look_credits_nobody():
    alice = factories.person("alice")
    form = act(staff_with("view_ledgeraccount"), alice.account, "credit")
    assert 'name="once"' not in form
