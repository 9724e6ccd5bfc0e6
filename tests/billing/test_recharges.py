"""Automatic top-ups: when they are due, never two at once, never above the month's limit, and paused by a refusal."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from billing import audit as books
from billing import confirmations, recharges, topups
from billing.models import Notice, Recharge, TopUp
from billing.topups import TopUpRefused
from tests import bookings, factories
from tests.billing.test_topups import USD, bought
from tests.factories import Person
from tests.fake_stripe import DECLINED, FakeStripe, deliver


def wish(who: Person, **fields: int) -> Recharge:
    amounts = {"below": 10, "amount": 20, "month_max": 50, **fields}
    return recharges.wish(
        customer=who.customer,
        enabled=True,
        **{f"{name}_nanos": usd * USD for name, usd in amounts.items()},
    )


@pytest.fixture
def alice(stripe: FakeStripe) -> Person:
    """She has 5 USD, wants 20 USD whenever less than 10 are left, and her card is kept since her first purchase."""
    alice = factories.person("alice")
    wish(alice)
    topups.begin(customer=alice.customer, amount_nanos=5 * USD)
    deliver(stripe.event("payment_intent.succeeded", stripe.pay(stripe.the("checkout.session"))))
    bookings.spend(alice, 5 * USD)
    row = Recharge.objects.get(customer=alice.customer)
    assert row.payment_method
    assert row.stripe_customer
    return alice


def automatic(who: Person) -> list[str]:
    return list(
        who.customer.topups.filter(automatic=True).order_by("created_at").values_list("state", flat=True)
    )


def charge(who: Person) -> bool:
    return recharges.charge(who.customer.pk)


def sound(who: Person) -> bool:
    mine = {f"account {who.account.pk}", *(f"top-up {one.pk}" for one in who.customer.topups.all())}
    return [one for one in books.audit() if one.subject in mine] == []


def test_low_credit_is_topped_up_once(stripe: FakeStripe, alice: Person):
    recharges.charge_due()
    assert automatic(alice) == ["paid"]
    assert bought(alice) == 25
    assert charge(alice) is False
    for _ in range(2):
        deliver(stripe.event("payment_intent.succeeded", stripe.the("payment_intent")))
    assert bought(alice) == 25
    assert sound(alice)


def test_what_running_requests_hold_counts_as_spent(stripe: FakeStripe):
    bob = factories.person("bob", sold_nanos=10 * USD)
    wish(bob)
    Recharge.objects.filter(pk=bob.customer.pk).update(stripe_customer="cus_1", payment_method="pm_1")
    assert charge(bob) is False
    _, offer = factories.server(price_in=1_000_000, price_out=0)
    bookings.admit(bob, offer, input_tokens=6_000, output_tokens=0)
    assert charge(bob) is True


@pytest.mark.parametrize(
    "fields",
    [
        {"enabled": False},
        {"payment_method": ""},
        {"paused_because": "refused"},
        {"below_nanos": 5 * USD},  # 5 USD are not below 5 USD
    ],
)
def test_nobody_is_charged_who_does_not_want_it(fields: dict[str, object], alice: Person):
    Recharge.objects.filter(pk=alice.customer.pk).update(**fields)
    assert charge(alice) is False


def test_a_blocked_customers_card_is_left_alone(alice: Person):
    User.objects.filter(customer=alice.customer).update(is_active=False)
    assert charge(alice) is False


def test_the_limit_of_the_month_counts_what_is_open_and_paid(stripe: FakeStripe, alice: Person):
    wish(alice, below=1_000)
    assert [charge(alice) for _ in range(3)] == [True, True, False]  # 40 of 50 USD
    TopUp.objects.filter(customer=alice.customer).update(created_at=timezone.now() - dt.timedelta(days=32))
    assert charge(alice) is True  # another month


def test_twenty_at_once_charge_once(stripe: FakeStripe, alice: Person):
    wish(alice, below=1_000)
    stripe.trouble = ["slow"]  # the winner's top-up is open meanwhile
    stripe.slow_s = 0.3

    def attempt(_: int) -> bool:
        try:
            return charge(alice)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(20))) <= 2  # a second one only after the first was paid
    assert stripe.count("payment_intent") - 1 == len(automatic(alice))
    assert sound(alice)


def test_whoever_comes_second_goes_away(alice: Person):
    """The row is locked while somebody decides; a second one neither waits nor charges."""
    locked, decided = threading.Event(), threading.Event()

    def decide() -> None:
        with transaction.atomic():
            Recharge.objects.select_for_update().get(pk=alice.customer.pk)
            locked.set()
            decided.wait(5)
        connection.close()

    first = threading.Thread(target=decide)
    first.start()
    assert locked.wait(5)
    assert charge(alice) is False
    decided.set()
    first.join()
    assert charge(alice) is True


@pytest.mark.parametrize("status", ["requires_action", "requires_payment_method"])
def test_a_payment_that_its_owner_must_confirm_pauses_it(status: str, stripe: FakeStripe, alice: Person):
    stripe.card_status = status
    assert charge(alice) is True
    assert automatic(alice) == ["expired"]
    assert "confirm" in Recharge.objects.get(customer=alice.customer).paused_because
    assert charge(alice) is False


def test_a_refused_card_pauses_it_and_the_customer_is_told_once(stripe: FakeStripe, alice: Person):
    stripe.trouble = [DECLINED]
    charge(alice)
    deliver(
        stripe.event(
            "payment_intent.payment_failed",
            {"id": "pi_x", "status": "requires_payment_method", "metadata": {"topup": str(_last(alice).pk)}},
        )
    )
    assert automatic(alice) == ["expired"]
    assert Recharge.objects.get(customer=alice.customer).paused_because == "Your card was declined."
    assert Notice.objects.filter(customer=alice.customer, kind="recharge_paused").count() == 1
    assert charge(alice) is False
    wish(alice)  # saying it again ends the pause
    assert charge(alice) is True


def test_a_new_card_ends_the_pause(stripe: FakeStripe, alice: Person):
    stripe.trouble = [DECLINED]
    charge(alice)
    topups.begin(customer=alice.customer, amount_nanos=5 * USD)
    deliver(stripe.event("payment_intent.succeeded", stripe.pay(stripe.the("checkout.session"))))
    bookings.spend(alice, 5 * USD)
    assert charge(alice) is True


def test_a_chargeback_pauses_it(stripe: FakeStripe, alice: Person):
    charge(alice)
    dispute = stripe.dispute(stripe.the("payment_intent"), 2_000)
    deliver(stripe.event("charge.dispute.funds_withdrawn", dispute))
    assert Recharge.objects.get(customer=alice.customer).paused_because == confirmations.CHARGED_BACK
    assert sound(alice)


# What befalls the charge; then what the sweep finds out: the states, and what Alice has bought beside her 5 USD.
LOST = {
    "down": (["expired"], 0),
    "error": (["expired"], 0),
    "slow": (["paid"], 20),
    "done, 500": (["paid"], 20),
}


@pytest.mark.parametrize("trouble", LOST)
def test_without_an_answer_no_other_begins_until_it_is_found_out(
    trouble: str, stripe: FakeStripe, alice: Person
):
    stripe.trouble = [trouble]
    charge(alice)
    assert automatic(alice) == ["open"]
    assert charge(alice) is False
    confirmations.settle_open()
    assert automatic(alice) == ["open"]  # too young to be asked about
    TopUp.objects.filter(pk=_last(alice).pk).update(created_at=timezone.now() - dt.timedelta(minutes=11))
    for _ in range(2):
        confirmations.settle_open()
    assert (automatic(alice), bought(alice) - 5) == LOST[trouble]
    assert sound(alice)


def test_a_bank_that_takes_its_time_is_waited_for(stripe: FakeStripe, alice: Person):
    stripe.card_status = "processing"
    charge(alice)
    assert automatic(alice) == ["open"]
    intent = {**stripe.the("payment_intent"), "status": "succeeded", "amount_received": 2_000}
    deliver(stripe.event("payment_intent.succeeded", intent))
    assert automatic(alice) == ["paid"]


def test_switched_off_the_card_is_forgotten(alice: Person):
    recharges.wish(
        customer=alice.customer, enabled=False, below_nanos=0, amount_nanos=20 * USD, month_max_nanos=20 * USD
    )
    row = Recharge.objects.get(customer=alice.customer)
    assert (row.enabled, row.payment_method) == (False, "")


def test_the_card_of_who_does_not_want_it_is_not_kept(stripe: FakeStripe):
    carol = factories.person("carol")
    topups.begin(customer=carol.customer, amount_nanos=5 * USD)
    asked = stripe.calls[-1][2]
    assert "setup_future_usage" not in asked["payment_intent_data"]
    assert asked["customer_email"] == carol.customer.user.email
    assert not Recharge.objects.filter(customer=carol.customer).exists()


def test_a_months_limit_is_at_least_one_top_up(alice: Person):
    for fields in ({"month_max": 19}, {"amount": 4}):
        with pytest.raises(TopUpRefused):
            wish(alice, **fields)


def _last(who: Person) -> TopUp:
    return who.customer.topups.filter(automatic=True).latest("created_at")
