"""The pages of credit and payouts: what they say, what they do once, and what a stranger cannot see."""

import re
import uuid

import pytest
from django.test import Client

from billing import payouts
from billing.models import PayoutDestination, Recharge
from tests import factories
from tests.accounts.test_pages import signed_in, text
from tests.billing.test_payouts import USD, ask
from tests.billing.test_tasks import at_once
from tests.factories import Person
from tests.fake_stripe import DECLINED, FakeStripe, deliver

ASKED = {"amount_nanos": "20", "method": "paypal", "destination": "bob@example.org"}
FORM = {"enabled": "on", "below_nanos": "5", "amount_nanos": "20", "month_max_nanos": "100"}


def once_of(page: str) -> str:
    (found,) = re.findall(r'name="once" value="([^"]+)"', page)
    return found


@pytest.fixture
def alice() -> Person:
    return factories.person("alice")


def test_without_keys_the_page_says_so_and_whom_to_ask(alice: Person, settings):
    settings.ADMINS = [("Admin", "olga@example.org")]
    page = text(signed_in(alice), "/account/credit")
    assert "switched off here" in page
    assert "mailto:olga@example.org" in page
    assert "<form" not in page.partition("<main")[2].partition("</main>")[0]
    bought = signed_in(alice).post("/account/credit", {"amount_nanos": "20"})
    assert alice.customer.topups.count() == 0
    assert bought.status_code == 200


def test_the_credit_page_shows_what_the_balance_is_made_of(bob: Person):
    """5 USD free, 80 earned; what is not bought explains the difference."""
    page = text(signed_in(bob), "/account/credit")
    for part, amount in (("Free credit", "$5.00"), ("Bought", "$0.00"), ("Earned", "$80.00")):
        assert re.search(rf"{part}</dt><dd>{re.escape(amount)} ", page), part
    assert "Reserved" in page
    balance = re.compile(r'<dl class="stats">.*?</dl>', re.DOTALL)
    assert balance.search(page)[0] == balance.search(text(signed_in(bob), "/account"))[0]


def test_buying_leads_to_stripe_and_back_to_the_credit(stripe: FakeStripe, alice: Person):
    client = signed_in(alice)
    leave = client.post("/account/credit", {"amount_nanos": "19.99"}).content.decode()
    session = stripe.the("checkout.session")
    assert f'content="0; url={session["url"]}"' in leave
    assert session["amount_total"] == 1_999
    back = session["success_url"].removeprefix("http://127.0.0.1:8000")
    waiting = text(client, back)
    assert "Waiting for the payment" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    stripe.pay(session)
    deliver(stripe.event("checkout.session.completed", session))
    part = client.get(back, headers={"HX-Request": "true"}).content.decode()
    assert "$19.99 of credit is yours" in part
    assert "<html" not in part
    assert "hx-get" not in part
    assert "$19.99" in text(client, "/account/credit")


@pytest.mark.parametrize("amount", ["4.99", "1000.01", "5.001", "-5", "NaN", ""])
def test_nonsense_is_not_bought(amount: str, stripe: FakeStripe, alice: Person):
    page = signed_in(alice).post("/account/credit", {"amount_nanos": amount}).content.decode()
    assert "errorlist" in page
    assert stripe.calls == []


def test_an_automatic_top_up_is_set_shown_and_switched_off(stripe: FakeStripe, alice: Person):
    client = signed_in(alice)
    client.post("/account/credit/automatic", FORM)
    assert "waits for a card" in text(client, "/account/credit")
    client.post("/account/credit", {"amount_nanos": "5"})
    session = stripe.the("checkout.session")
    deliver(stripe.event("payment_intent.succeeded", stripe.pay(session)))
    row = Recharge.objects.get(customer=alice.customer)
    assert (row.below_nanos, row.amount_nanos, row.month_max_nanos) == (5 * USD, 20 * USD, 100 * USD)
    assert '<span class="badge good">on</span>' in text(client, "/account/credit")
    Recharge.objects.filter(customer=alice.customer).update(paused_because=DECLINED[1]["message"])
    assert "Your card was declined." in text(client, "/account/credit")
    refused = client.post("/account/credit/automatic", {**FORM, "month_max_nanos": "19"})
    assert "limit is at least one top-up" in refused.content.decode()
    client.post("/account/credit/automatic", {**FORM, "enabled": ""})
    row.refresh_from_db()
    assert (row.enabled, row.payment_method) == (False, "")


def test_carol_sees_neither_alices_purchase_nor_bobs_payout(stripe: FakeStripe, alice: Person, bob: Person):
    signed_in(alice).post("/account/credit", {"amount_nanos": "5"})
    topup, payout = alice.customer.topups.get(), ask(bob)
    carol = signed_in(factories.person("carol"))
    assert carol.get(f"/account/credit/{topup.pk}").status_code == 404
    assert carol.post(f"/hosters/payouts/{payout.pk}/cancel").status_code == 404
    payout.refresh_from_db()
    assert payout.state == "requested"


def test_a_form_that_is_sent_twice_asks_for_one_payout(bob: Person):
    client = signed_in(bob)
    sent = {**ASKED, "once": once_of(text(client, "/hosters/payouts"))}
    answers = at_once(lambda: signed_in(bob).post("/hosters/payouts", sent).status_code, times=4)
    assert answers == [302] * 4
    payout = bob.customer.payouts.get()
    assert bob.account.earned_nanos == 60 * USD
    assert once_of(text(client, "/hosters/payouts")) != sent["once"], "another payout can be asked for"
    carol = factories.hoster("carol")[0]
    page = signed_in(carol).post("/hosters/payouts", sent).content.decode()
    assert "Load the page anew" in page
    other = {**sent, "amount_nanos": "50"}
    assert "Load the page anew" in client.post("/hosters/payouts", other).content.decode()
    assert bob.customer.payouts.get().amount_nanos == 20 * USD
    assert str(payout.customer.user.email) not in page
    assert carol.customer.payouts.count() == 0


def test_a_payout_is_asked_for_shown_and_cancelled(bob: Person):
    client = signed_in(bob)
    assert "$80.00" in text(client, "/hosters/payouts")
    client.post("/hosters/payouts", {**ASKED, "once": once_of(text(client, "/hosters/payouts"))})
    page = text(client, "/hosters/payouts")
    payout = bob.customer.payouts.get()
    for words in ("waits for approval", payouts.FIRST, f"by {payout.due_on.isoformat()}", "exactly $60.00"):
        assert words in page
    client.post(f"/hosters/payouts/{payout.pk}/cancel")
    assert "cancelled: the money is back" in text(client, "/hosters/payouts")
    again = client.post(f"/hosters/payouts/{payout.pk}/cancel", follow=True).content.decode()
    assert "This payout is cancelled" in again


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"amount_nanos": "9.99"}, "at least $10.00"),
        ({"amount_nanos": "80.01"}, "not so much earned credit"),
        ({"destination": ""}, "needed the first time"),
        ({"method": "stripe"}, "Choose one from the list"),
    ],
)
def test_a_payout_that_cannot_be_is_explained(fields: dict[str, str], words: str, bob: Person):
    asked = {**ASKED, "once": str(uuid.uuid4()), **fields}
    assert words in signed_in(bob).post("/hosters/payouts", asked).content.decode()
    assert bob.customer.payouts.count() == 0


def test_connecting_with_stripe_and_being_paid_by_it(stripe: FakeStripe, bob: Person):
    client = signed_in(bob)
    assert "Connect with Stripe" in text(client, "/hosters/payouts")
    leave = client.post("/hosters/payouts/stripe").content.decode()
    account = stripe.the("account")
    assert f"/join/{account['id']}" in leave
    client.get("/hosters/payouts/stripe")
    assert "Go on at Stripe" in text(client, "/hosters/payouts")
    account.update(capabilities={"transfers": "active"}, payouts_enabled=True)
    client.get("/hosters/payouts/stripe")
    assert '<span class="badge good">connected</span>' in text(client, "/hosters/payouts")
    once = once_of(text(client, "/hosters/payouts"))
    client.post("/hosters/payouts", {"amount_nanos": "20", "method": "stripe", "once": once})
    assert bob.customer.payouts.get().method == "stripe"


def test_stripe_away_is_said_on_the_page(stripe: FakeStripe, bob: Person):
    stripe.trouble = ["down"]
    page = signed_in(bob).post("/hosters/payouts/stripe", follow=True).content.decode()
    assert "Stripe did not answer" in page
    assert not PayoutDestination.objects.filter(customer=bob.customer).exists()


def test_who_has_earned_nothing_is_told_when_it_can_be_paid_out(alice: Person):
    page = text(signed_in(alice), "/hosters/payouts")
    assert "You can ask once $10.00" in page


def test_a_page_is_needed_to_move_money(alice: Person):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.customer.user)
    for path in (
        "/account/credit",
        "/account/credit/automatic",
        "/hosters/payouts",
        "/hosters/payouts/stripe",
    ):
        assert strict.post(path).status_code == 403
    assert signed_in(alice).get("/account/credit/automatic")["Location"] == "/account/credit"
