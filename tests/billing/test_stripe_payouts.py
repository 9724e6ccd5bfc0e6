"""Payouts by Stripe Connect: sent once, whatever becomes of the answer; back when they fail; nothing lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from billing import payouts, processor, stripe_payouts
from billing.models import Payout, PayoutDestination
from billing.payouts import PayoutRefused
from billing.stripe_client import Unavailable
from tests import factories
from tests.billing.test_payouts import USD, balance, sound
from tests.factories import Person
from tests.fake_stripe import CLOSED, NO_MONEY, FakeStripe, deliver


@pytest.fixture
def bob(stripe: FakeStripe, bob: Person) -> Person:
    """Stripe knows him, too."""
    stripe_payouts.onboarding_url(bob.customer)
    welcome(stripe, bob)
    return bob


def welcome(stripe: FakeStripe, bob: Person, **fields: object) -> None:
    found = stripe.the("account")
    found.update({"capabilities": {"transfers": "active"}, "payouts_enabled": True, **fields})
    assert deliver(stripe.event("account.updated", found)) == 200


def ask(bob: Person, usd: int = 20) -> Payout:
    return payouts.ask(customer=bob.customer, amount_nanos=usd * USD, method="stripe")


def approved(bob: Person, usd: int = 20) -> Payout:
    return payouts.approve(payout=ask(bob, usd), actor=factories.person("staff").customer.user)


def now(payout: Payout) -> str:
    return Payout.objects.get(pk=payout.pk).state


def taken(bob: Person) -> int:
    return (85 * USD - (balance(bob)[0] or 0)) // USD


def send(payout: Payout) -> bool:
    return stripe_payouts.send(payout.pk)


# --------------------------------------------------------------------------------------------------- the account


def test_an_account_is_opened_once_and_ready_when_stripe_says_so(stripe: FakeStripe, bob: Person):
    url = stripe_payouts.onboarding_url(bob.customer)
    assert stripe.the("account")["id"] in url
    assert stripe.count("account") == 1
    for fields in ({"payouts_enabled": False}, {"capabilities": {"transfers": "inactive"}}):
        welcome(stripe, bob, **fields)
        with pytest.raises(PayoutRefused, match="Connect your Stripe account"):
            ask(bob)
    welcome(stripe, bob)
    ask(bob)


def test_a_late_word_of_an_account_does_not_count(stripe: FakeStripe, bob: Person):
    early = {**stripe.the("account"), "payouts_enabled": False}
    deliver(stripe.event("account.updated", early))
    assert PayoutDestination.objects.get(customer=bob.customer).ready


def test_another_account_does_not_become_bobs(stripe: FakeStripe, bob: Person):
    other = stripe.make("account", "acct", metadata={"customer": str(bob.customer.pk)}, payouts_enabled=False)
    deliver(stripe.event("account.updated", other))
    assert PayoutDestination.objects.get(customer=bob.customer).ready


def test_after_the_onboarding_stripe_is_asked_without_an_event(stripe: FakeStripe, bob: Person):
    PayoutDestination.objects.filter(customer=bob.customer).update(ready=False)
    stripe_payouts.look_again(bob.customer)
    ask(bob)


# ------------------------------------------------------------------------------------------------------- sending


def test_an_approved_one_is_sent_and_marked_paid_with_the_transfers_id(stripe: FakeStripe, bob: Person):
    waiting, payout = ask(bob, 10), approved(bob)
    stripe_payouts.send_approved()
    stripe_payouts.send_approved()
    sent = stripe.the("transfer")
    assert (sent["amount"], sent["destination"]) == (2_000, stripe.the("account")["id"])
    assert stripe.count("transfer") == 1
    assert Payout.objects.get(pk=payout.pk).reference == sent["id"]
    assert (now(payout), now(waiting), taken(bob)) == ("paid", "requested", 30)
    assert sound(bob)


# What befalls the two calls (was it sent? send it); then the state after it, and after the next run.
TROUBLE = {
    "not even asked": (["down"], "approved", "paid"),
    "slow before": (["slow"], "approved", "paid"),
    "refused to talk": ([None, "error"], "approved", "paid"),
    "cut off": ([None, "down"], "approved", "paid"),
    "too slow": ([None, "slow"], "approved", "paid"),
    "500 after it did it": ([None, "done, 500"], "approved", "paid"),
    "our balance is too small": ([None, NO_MONEY], "approved", "paid"),
    "the key is wrong": ([(401, {"type": "invalid_request_error", "message": "No"})], "approved", "paid"),
    "too many calls": ([None, (429, {"type": "invalid_request_error", "message": "No"})], "approved", "paid"),
    "the account is closed": ([None, CLOSED], "failed", "failed"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_whatever_befalls_it_it_is_sent_once_or_the_money_is_back(name: str, stripe: FakeStripe, bob: Person):
    trouble, after, at_last = TROUBLE[name]
    payout = approved(bob)
    stripe.trouble = [*trouble]
    if after == "approved":
        with pytest.raises(Unavailable):
            send(payout)
    else:
        assert send(payout) is False
    assert (now(payout), taken(bob)) == (after, 0 if after == "failed" else 20)
    for _ in range(2):
        send(payout)
    assert now(payout) == at_last
    assert taken(bob) == (20 if at_last == "paid" else 0)
    assert stripe.count("transfer") == (1 if at_last == "paid" else 0)
    assert sound(bob)


def test_an_answer_lost_longer_ago_than_the_key_lives_is_looked_up(stripe: FakeStripe, bob: Person):
    payout = approved(bob)
    stripe.trouble = [None, "done, 500"]
    with pytest.raises(Unavailable):
        send(payout)
    stripe._answers.clear()  # after a day Stripe forgets the key
    assert send(payout) is True
    assert stripe.count("transfer") == 1


def test_five_workers_send_once(stripe: FakeStripe, bob: Person):
    payout = approved(bob)

    def attempt(_: int) -> bool:
        try:
            return send(payout)
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(attempt, range(5))) == 1
    assert stripe.count("transfer") == 1
    assert sound(bob)


# -------------------------------------------------------------------------------------------------------- events

HISTORIES: dict[str, tuple[list[str], str]] = {
    "told before we knew": (["transfer.created"], "paid"),
    "sent and told": (["send", "transfer.created"], "paid"),
    "sent and taken back": (["send", "transfer.reversed"], "failed"),
    "taken back before we knew": (["transfer.reversed"], "failed"),
    "everything backwards": (["transfer.reversed", "transfer.created", "send"], "failed"),
    "taken back in part: a person looks": (["send", "in part"], "paid"),
}


@pytest.mark.parametrize("history", HISTORIES)
def test_every_history_of_a_transfer_each_event_twice(history: str, stripe: FakeStripe, bob: Person):
    told, state = HISTORIES[history]
    payout = approved(bob)
    if told[0] != "send":  # it was sent, but the answer was lost
        processor.send(payout=payout.pk, amount_cents=2_000, account=payouts.destination_of(payout))
    for name in told:
        if name == "send":
            send(payout)
            continue
        made = stripe.the("transfer")
        back = {"transfer.reversed": 2_000, "in part": 700}.get(name, 0)
        kind = "transfer.reversed" if back else name
        event = stripe.event(kind, {**made, "amount_reversed": back})
        assert deliver(event) == deliver(event) == 200
        assert deliver({**event, "id": stripe.new_id("evt")}) == 200
    assert now(payout) == state
    assert taken(bob) == (20 if state == "paid" else 0)
    assert sound(bob)


def test_another_programs_transfer_is_nothing_to_us(stripe: FakeStripe):
    other = stripe.make("transfer", "tr", amount=5, metadata={})
    assert deliver(stripe.event("transfer.created", other)) == 200


# ------------------------------------------------------------------------------------------------- giving it up


def test_one_that_stripe_has_sent_is_not_given_up(stripe: FakeStripe, bob: Person):
    staff = factories.person("staff").customer.user
    payout = approved(bob)
    stripe.trouble = [None, "done, 500"]
    with pytest.raises(Unavailable):
        send(payout)
    stripe.trouble = ["down"]
    with pytest.raises(PayoutRefused, match="not known"):
        stripe_payouts.withdraw(payout=payout, reason="no answer", actor=staff)
    assert now(payout) == "approved"
    with pytest.raises(PayoutRefused, match="sent it already"):
        stripe_payouts.withdraw(payout=payout, reason="no answer", actor=staff)
    assert (now(payout), taken(bob)) == ("paid", 20)
    assert sound(bob)


def test_one_that_was_never_sent_is_given_up(stripe: FakeStripe, bob: Person):
    payout = approved(bob)
    stripe_payouts.withdraw(payout=payout, reason="no", actor=factories.person("staff").customer.user)
    assert send(payout) is False
    assert (now(payout), taken(bob), stripe.count("transfer")) == ("failed", 0, 0)


def test_stripe_pays_whole_cents(stripe: FakeStripe, bob: Person):
    with pytest.raises(PayoutRefused, match="cents"):
        payouts.ask(customer=bob.customer, amount_nanos=20 * USD + 1, method="stripe")
