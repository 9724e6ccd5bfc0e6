"""Payouts: only earned money, reserved at once, each step once, and back to the nanodollar when it fails."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from billing import audit as books
from billing import disputes, ledger, payouts
from billing.ledger import Reversal
from billing.models import Notice, Payout
from billing.payouts import PayoutRefused
from tests import bookings, factories
from tests.billing.test_reversals import release_all
from tests.factories import Person
from tests.routing.test_usage_api import address

USD = 10**9
Travel = Callable[[dt.timedelta], None]


def ask(who: Person, usd: int = 20, **fields: str) -> Payout:
    fields = {"method": "paypal", "destination": "bob@example.org", **fields}
    return payouts.ask(customer=who.customer, amount_nanos=usd * USD, **fields)


def balance(who: Person) -> tuple[int | None, int | None]:
    account = who.account
    return account.posted_nanos, account.earned_nanos


def sound(who: Person) -> bool:
    mine = {f"account {who.account.pk}", *(f"payout {one.pk}" for one in who.customer.payouts.all())}
    return [one for one in books.audit() if one.subject in mine or one.subject.startswith("payout")] == []


STEPS: dict[str, Callable[[Payout, object], Payout]] = {
    "approve": lambda payout, staff: payouts.approve(payout=payout, actor=staff),
    "reject": lambda payout, staff: payouts.reject(payout=payout, reason="no", actor=staff),
    "cancel": lambda payout, staff: payouts.cancel(payout=payout, actor=staff),
    "pay": lambda payout, staff: payouts.pay(payout=payout, reference=f"ref {payout.pk}", actor=staff),
    "fail": lambda payout, staff: payouts.fail(payout=payout, reason="it bounced", actor=staff),
    "come back": lambda payout, staff: payouts.came_back(payout=payout, reason="it came back", actor=staff),
}
# The whole machine: (state, step) → state; every pair that is not here is refused.
MACHINE = {
    ("requested", "approve"): "approved",
    ("requested", "reject"): "rejected",
    ("requested", "cancel"): "cancelled",
    ("approved", "pay"): "paid",
    ("approved", "fail"): "failed",
    ("paid", "come back"): "failed",
}
WAYS = {
    "requested": (), "approved": ("approve",), "rejected": ("reject",), "cancelled": ("cancel",),
    "paid": ("approve", "pay"), "failed": ("approve", "fail"),
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", WAYS)
def test_every_step_from_every_state_and_twice(bob: Person, state: str, step: str):
    staff = factories.person("staff").customer.user
    before = balance(bob)
    payout = ask(bob)
    for way in WAYS[state]:
        payout = STEPS[way](payout, staff)
    assert payout.state == state
    if (state, step) in MACHINE:
        payout = STEPS[step](payout, staff)
        assert payout.state == MACHINE[state, step]
    for _ in range(2):
        if (payout.state, step) not in MACHINE:
            with pytest.raises(PayoutRefused):
                STEPS[step](payout, staff)
    back = {"rejected", "cancelled", "failed"}
    taken = 0 if payout.state in back else 20 * USD
    posted, earned = before
    assert balance(bob) == (posted - taken, earned - taken)
    assert sound(bob)


def test_a_payout_reserves_at_once_and_only_what_was_earned(bob: Person):
    ask(bob, 50)
    with pytest.raises(PayoutRefused, match="not so much earned credit"):
        ask(bob, 31)  # 30 USD earned and 5 USD promotional are left
    ask(bob, 30)
    assert balance(bob) == (5 * USD, 0)


def test_below_ten_dollars_nothing_is_paid_out(bob: Person):
    with pytest.raises(PayoutRefused, match=r"at least \$10.00"):
        payouts.ask(
            customer=bob.customer, amount_nanos=10 * USD - 1, method="paypal", destination="bob@example.org"
        )
    ask(bob, 10)


def test_what_running_requests_may_need_stays(bob: Person):
    _, offer = factories.server(address(), price_in=1_000_000, price_out=0)
    bookings.admit(bob, offer, input_tokens=70_000, output_tokens=0)
    with pytest.raises(PayoutRefused):
        ask(bob, 20)
    ask(bob, 15)


def test_bought_and_given_credit_is_never_paid_out():
    alice = factories.person("alice", sold_nanos=100 * USD)
    with pytest.raises(PayoutRefused, match="not so much earned credit"):
        ask(alice, 10)


def test_free_credit_cannot_become_cash(travel: Travel):
    """Own hoster, own customers with their welcome credit: it can be spent, and 0 of it can be paid out."""
    mallory, hoster = factories.hoster("mallory")
    _, offer = factories.server(address(), of=hoster, price_in=1_000_000, price_out=0)
    for _ in range(4):
        sybil = factories.person("sybil")
        bookings.book(sybil, offer, input_tokens=5_000, output_tokens=0)
    bookings.book(mallory, offer, input_tokens=5_000, output_tokens=0)
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    assert balance(mallory) == (20 * USD, 0)
    with pytest.raises(PayoutRefused):
        ask(mallory, 10)
    bookings.book(mallory, offer, input_tokens=20_000, output_tokens=0)  # round once more
    travel(dt.timedelta(hours=48, minutes=4))
    release_all()
    assert mallory.account.earned_nanos == 0


def test_twenty_requests_at_once_pay_out_no_more_than_there_is(bob: Person):
    payouts.store_destination(customer=bob.customer, method="paypal", destination="bob@example.org")

    def attempt(_: int) -> bool:
        try:
            ask(bob, 10)
        except PayoutRefused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(attempt, range(20))) == 8
    assert balance(bob) == (5 * USD, 0)
    assert sound(bob)


def test_two_people_approve_a_large_one_and_never_the_one_who_is_paid(bob: Person, settings):
    settings.PAYOUT_SECOND_APPROVAL_NANOS = 15 * USD
    first, second = (factories.person("staff").customer.user for _ in range(2))
    payout = ask(bob)
    with pytest.raises(PayoutRefused, match="himself"):
        payouts.approve(payout=payout, actor=bob.customer.user)
    assert payouts.approve(payout=payout, actor=first).state == "requested"
    with pytest.raises(PayoutRefused, match="second person"):
        payouts.approve(payout=payout, actor=first)
    assert payouts.approve(payout=payout, actor=second).state == "approved"


def test_a_small_one_to_a_known_destination_needs_nobody_where_the_operator_says_so(bob: Person, settings):
    settings.PAYOUT_AUTO_MAX_NANOS = 15 * USD
    staff = factories.person("staff").customer.user
    first = ask(bob, 10)
    assert (first.state, first.waits_for) == ("requested", payouts.FIRST)
    payouts.approve(payout=first, actor=staff)
    payouts.pay(payout=first, reference="one", actor=staff)
    assert ask(bob, 10).state == "approved"
    large = ask(bob, 16)
    assert (large.state, large.waits_for) == ("requested", payouts.LARGE)
    changed = ask(bob, 10, destination="mallory@example.org")
    assert (changed.state, changed.waits_for) == ("requested", payouts.CHANGED)


def test_the_destination_is_kept_encrypted_and_asked_for_once(bob: Person):
    with pytest.raises(PayoutRefused, match="destination"):
        ask(bob, 10, destination="")
    payout = ask(bob, 10)
    again = ask(bob, 10, destination="")
    assert payouts.destination_of(payout) == payouts.destination_of(again) == "bob@example.org"
    with connection.cursor() as cursor:
        cursor.execute("SELECT p::text || d::text FROM billing_payout p, billing_payoutdestination d")
        assert not any("bob@example.org" in row for (row,) in cursor.fetchall())


def test_a_reference_belongs_to_one_payout(bob: Person):
    staff = factories.person("staff").customer.user
    one, other = ask(bob, 10), ask(bob, 10)
    for payout in (one, other):
        payouts.approve(payout=payout, actor=staff)
    payouts.pay(payout=one, reference=f"bank {one.pk}", actor=staff)
    with pytest.raises(PayoutRefused, match="reference"):
        payouts.pay(payout=other, reference=f"bank {one.pk}", actor=staff)
    assert sound(bob)


def test_it_is_due_within_five_business_days():
    assert payouts.business_days_after(dt.date(2026, 11, 25), 5) == dt.date(2026, 12, 2)
    assert payouts.business_days_after(dt.date(2026, 11, 28), 3) == dt.date(2026, 12, 2)  # a Saturday


def test_every_step_is_told(bob: Person):
    staff = factories.person("staff").customer.user
    payout = payouts.approve(payout=ask(bob), actor=staff)
    payouts.pay(payout=payout, reference=str(payout.pk), actor=staff)
    kinds = Notice.objects.filter(customer=bob.customer, kind__startswith="payout").values_list(
        "kind", flat=True
    )
    assert sorted(kinds) == ["payout_approved", "payout_paid", "payout_requested"]


def test_a_disputed_earning_cannot_be_paid_out(travel: Travel):
    alice = factories.person("alice", sold_nanos=100 * USD)
    bookings.spend(alice, 5 * USD)
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=1_000_000, price_out=0)
    call = bookings.book(alice, offer, input_tokens=100_000, output_tokens=0)
    disputes.open_(customer=alice.customer, charge=call.id, reason="other")
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    with pytest.raises(PayoutRefused):
        ask(bob, 10)
    assert ledger.pending_account(bob.customer).maturity_set.count() == 0


def test_a_paid_one_does_not_fail_it_comes_back(bob: Person):
    """Somebody with a stale page must not give money back that has left the house."""
    staff = factories.person("staff").customer.user
    payout = payouts.approve(payout=ask(bob), actor=staff)
    stale = Payout.objects.get(pk=payout.pk)
    payouts.pay(payout=payout, reference=f"bank {payout.pk}", actor=staff)
    with pytest.raises(PayoutRefused):
        payouts.fail(payout=stale, reason="I did not see that it was paid", actor=staff)
    assert bob.account.earned_nanos == 60 * USD


def test_what_is_owed_for_refunds_cannot_leave(bob: Person):
    earned = ledger.pending_account(bob.customer).credits.get(kind="charge")
    assert earned.charge is not None
    kept = Reversal(earned.charge, kept_input_tokens=50_000)
    ledger.reverse(reversals=[kept], reason="test", at_our_loss=True)  # 40 of his 80 USD
    with pytest.raises(PayoutRefused, match="owed for refunds"):
        ask(bob, 41)
    assert ask(bob, 40).waits_for == payouts.OWES


def test_a_key_alone_does_not_redirect_payouts(bob: Person):
    ask(bob, 10)
    with pytest.raises(PayoutRefused, match="signed in"):
        payouts.ask(
            customer=bob.customer, amount_nanos=10 * USD, method="paypal", destination="thief@example.org",
            may_replace=False,
        )  # fmt: skip
    assert payouts.destination_of(ask(bob, 10, destination="")) == "bob@example.org"
