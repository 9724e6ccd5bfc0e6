"""Top-ups by Stripe's own library and a local Stripe: booked once, whatever is told how often and in which order."""

import datetime as dt
import itertools
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing import audit as books
from billing import confirmations, ledger, topups
from billing.models import Notice, StripeEvent, TopUp
from billing.topups import TopUpRefused
from tests import bookings, factories
from tests.factories import Person
from tests.fake_stripe import FakeStripe, Object, deliver

USD = 10**9
WELCOME = 5 * USD


@pytest.fixture
def alice() -> Person:
    return factories.person("alice")


def begin(alice: Person, usd: int = 20) -> TopUp:
    return topups.begin(customer=alice.customer, amount_nanos=usd * USD)[0]


def now(topup: TopUp) -> tuple[str, int]:
    row = TopUp.objects.get(pk=topup.pk)
    return row.state, row.taken_back_nanos // USD


def bought(who: Person) -> int:
    return (who.account.bought_nanos or 0) // USD


def sound(topup: TopUp, who: Person) -> bool:
    mine = {f"top-up {topup.pk}", f"account {who.account.pk}"}
    return [one for one in books.audit() if one.subject in mine] == []


# Each history: what is told, in this order; then the state, all that was ever taken back, and what Alice has bought.
PAID, REFUND, REST, REST_2 = "paid", "refund 5", "refund 15", "refund 15 again"
HISTORIES: dict[str, tuple[list[str], tuple[str, int, int]]] = {
    "nothing": ([], ("open", 0, 0)),
    "complete, not paid yet": (["unpaid"], ("open", 0, 0)),
    "paid": ([PAID], ("paid", 0, 20)),
    "paid, by the intent only": (["intent"], ("paid", 0, 20)),
    "paid days later": (["unpaid", "async paid"], ("paid", 0, 20)),
    "never paid": (["unpaid", "async failed"], ("expired", 0, 0)),
    "closed": (["expired"], ("expired", 0, 0)),
    "closed and paid after all": (["expired", PAID], ("paid", 0, 20)),
    "paid, the page's end told late": ([PAID, "expired"], ("paid", 0, 20)),
    "refunded in part": ([PAID, REFUND], ("paid", 5, 15)),
    "refunded in two parts": ([PAID, REFUND, REST], ("paid", 20, 0)),
    "the refund told first": ([REFUND, PAID], ("paid", 5, 15)),
    "everything backwards": ([REST, REFUND, "intent", PAID, "unpaid"], ("paid", 20, 0)),
    "charged back": ([PAID, "withdrawn"], ("paid", 20, 0)),
    "refunded, then charged back": ([PAID, REFUND, "withdrawn"], ("paid", 20, 0)),
    "charged back and won": ([PAID, "withdrawn", "reinstated"], ("paid", 20, 20)),
    "won before it was told to be lost": ([PAID, "reinstated", "withdrawn"], ("paid", 20, 20)),
    "a refund that failed": ([PAID, REFUND, "refund failed"], ("paid", 5, 20)),
    "refunded again after a refund that failed": (
        [PAID, REST, "rest failed", REFUND, REST_2],
        ("paid", 35, 0),
    ),
    "refunded after a chargeback that was won": ([PAID, "withdrawn", "reinstated", REFUND], ("paid", 25, 15)),
    "its failure told first": (["refund failed", REFUND, PAID], ("paid", 5, 20)),
}


class Story:
    """A purchase that was paid, refunded and charged back at Stripe; its events are told as a test likes."""

    def __init__(self, stripe: FakeStripe, topup: TopUp) -> None:
        page = stripe.the("checkout.session")
        unpaid = {**page, "status": "complete", "payment_status": "unpaid"}
        intent = stripe.pay(page)
        refund, rest = stripe.refund(intent, 500), stripe.refund(intent, 1_500)
        rest_2 = stripe.refund(intent, 1_500)
        dispute = stripe.dispute(intent, 2_000)
        self.events = {
            "unpaid": stripe.event("checkout.session.completed", unpaid),
            PAID: stripe.event("checkout.session.completed", page),
            "async paid": stripe.event("checkout.session.async_payment_succeeded", page),
            "async failed": stripe.event("checkout.session.async_payment_failed", unpaid),
            "expired": stripe.event(
                "checkout.session.expired", {**page, "status": "expired", "payment_status": "unpaid"}
            ),
            "intent": stripe.event("payment_intent.succeeded", intent),
            REFUND: stripe.event("refund.created", refund),
            REST: stripe.event("refund.updated", rest),
            "rest failed": stripe.event("refund.failed", {**rest, "status": "failed"}),
            REST_2: stripe.event("refund.created", rest_2),
            "refund failed": stripe.event("refund.failed", {**refund, "status": "failed"}),
            "withdrawn": stripe.event("charge.dispute.funds_withdrawn", dispute),
            "reinstated": stripe.event("charge.dispute.funds_reinstated", dispute),
        }


@pytest.mark.parametrize("history", HISTORIES)
def test_every_history_ends_the_same_when_each_event_comes_twice(
    history: str, stripe: FakeStripe, alice: Person
):
    told, (state, taken_back, has) = HISTORIES[history]
    topup = begin(alice)
    events = Story(stripe, topup).events
    for name in told:
        assert deliver(events[name]) == deliver(events[name]) == 200
    assert (*now(topup), bought(alice)) == (state, taken_back, has)
    for name in reversed(told):  # and again, late, as other events of the same kind
        again: Object = {**events[name], "id": stripe.new_id("evt")}
        assert deliver(again) == 200
    assert (*now(topup), bought(alice)) == (state, taken_back, has)
    assert sound(topup, alice)


def test_any_order_of_what_happened_ends_the_same(stripe: FakeStripe, alice: Person):
    ends = set()
    for order in itertools.permutations((PAID, REFUND, "withdrawn")):
        before = bought(alice)
        topup = begin(alice)
        events = Story(stripe, topup).events
        for name in order:
            assert deliver(events[name]) == 200
        ends.add((*now(topup), bought(alice) - before))
        TopUp.objects.filter(pk=topup.pk).update(created_at=timezone.now() - dt.timedelta(hours=2))
    assert ends == {("paid", 20, 0)}


def test_an_event_told_ten_times_at_once_is_booked_once(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    event = Story(stripe, topup).events[PAID]

    def tell(_: int) -> int:
        try:
            return deliver(event)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(tell, range(10))) <= {200, 500}  # a busy pool may refuse: Stripe tells it again
    assert deliver(event) == 200
    assert (*now(topup), bought(alice)) == ("paid", 0, 20)
    assert StripeEvent.objects.filter(pk=event["id"]).count() == 1
    assert sound(topup, alice)


def test_what_is_spent_already_is_our_loss_and_the_rest_is_taken(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    events = Story(stripe, topup).events
    deliver(events[PAID])
    bookings.spend(alice, WELCOME + 12 * USD)
    deliver(events["withdrawn"])
    assert (*now(topup), bought(alice), alice.account.posted_nanos) == ("paid", 20, 0, 0)
    deliver(events["reinstated"])
    assert bought(alice) == 8  # what was taken from her, not what she had used
    assert sound(topup, alice)


def test_another_amount_than_agreed_is_not_booked(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    page = stripe.the("checkout.session")
    stripe.pay(page)
    for wrong in ({"amount_total": 1_999}, {"currency": "eur"}):
        assert deliver(stripe.event("checkout.session.completed", {**page, **wrong})) == 200
    assert now(topup) == ("open", 0)
    assert "person" in TopUp.objects.get(pk=topup.pk).error
    assert bought(alice) == 0


# ------------------------------------------------------------------------------------------------- the endpoint


def test_forged_stale_and_misshapen_events_are_refused(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    event = Story(stripe, topup).events[PAID]
    assert deliver(event, secret="whsec_mallory") == 400
    assert deliver(event, at=time.time() - 301) == 400
    assert deliver(b"[]") == deliver(b"no json") == 400
    assert Client().post("/stripe/events", event, content_type="application/json").status_code == 400
    assert Client().get("/stripe/events").status_code == 405
    assert deliver(b" " * 300_000) == 413
    assert now(topup) == ("open", 0)


def test_without_secrets_nothing_is_believed(stripe: FakeStripe, alice: Person, settings):
    topup = begin(alice)
    settings.STRIPE_WEBHOOK_SECRET = []
    assert deliver(Story(stripe, topup).events[PAID], secret="") == 400


def test_what_is_not_for_us_is_accepted_and_changes_nothing(stripe: FakeStripe, alice: Person):
    others = stripe.make("payment_intent", "pi", status="succeeded", metadata={}, amount_received=5)
    for event in (
        stripe.event("invoice.paid", {"id": "in_1"}),
        stripe.event("payment_intent.succeeded", others),
        stripe.event("refund.created", stripe.refund(others, 5)),
        stripe.event("checkout.session.completed", {"id": "cs_x", "metadata": {"topup": "no uuid"}}),
    ):
        assert deliver(event) == 200
    assert bought(alice) == 0


def test_the_same_event_is_acted_upon_once(stripe: FakeStripe):
    foreign = stripe.make("payment_intent", "pi", status="succeeded", metadata={})
    event = stripe.event("refund.created", stripe.refund(foreign, 5))
    assert deliver(event) == deliver(event) == 200
    assert len(stripe.calls) == 1  # whose payment it is was asked once


def test_an_event_that_fails_leaves_no_trace_and_works_when_it_is_told_again(
    stripe: FakeStripe, alice: Person, monkeypatch: pytest.MonkeyPatch
):
    topup = begin(alice)
    event = Story(stripe, topup).events[PAID]

    def broken(**_: object) -> bool:
        raise RuntimeError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "sell", broken)
        assert deliver(event) == 500
    assert now(topup) == ("open", 0)
    assert not StripeEvent.objects.filter(pk=event["id"]).exists()
    assert deliver(event) == 200
    assert now(topup) == ("paid", 0)


def test_a_refund_that_must_be_looked_up_waits_for_stripe(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    event = Story(stripe, topup).events[REFUND]
    stripe.trouble = ["down"]
    assert deliver(event) == 500
    assert deliver(event) == 200
    assert (*now(topup), bought(alice)) == ("paid", 5, 15)


# ------------------------------------------------------------------------------------------------- begin, sweep


def test_limits_of_an_amount(stripe: FakeStripe, alice: Person):
    for amount_nanos in (5 * USD - 1, 1_000 * USD + 1, 5 * USD + 1):
        with pytest.raises(TopUpRefused):
            topups.begin(customer=alice.customer, amount_nanos=amount_nanos)
    assert stripe.calls == []
    begin(alice, 5)
    begin(alice, 1_000)


def test_nobody_begins_a_heap_of_purchases(stripe: FakeStripe, alice: Person):
    for _ in range(topups.OPEN_MAX):
        begin(alice)
    with pytest.raises(TopUpRefused, match="wait an hour"):
        begin(alice)


def test_without_keys_it_says_that_it_is_off(alice: Person):
    with pytest.raises(TopUpRefused, match="switched off"):
        begin(alice)


@pytest.mark.parametrize("trouble", ["down", "slow", "error", "done, 500"])
def test_stripe_in_trouble_is_told_and_the_next_try_works(trouble: str, stripe: FakeStripe, alice: Person):
    stripe.trouble = [trouble]
    with pytest.raises(TopUpRefused, match="try again"):
        begin(alice)
    assert alice.customer.topups.get().state == "expired"
    assert now(begin(alice)) == ("open", 0)


def test_the_library_repeats_a_call_with_the_same_key(
    stripe: FakeStripe, alice: Person, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("billing.stripe_client.RETRIES", 1)
    stripe.trouble = ["done, 500"]
    begin(alice)
    assert stripe.count("checkout.session") == 1


def old(topup: TopUp) -> None:
    TopUp.objects.filter(pk=topup.pk).update(created_at=timezone.now() - dt.timedelta(minutes=11))


def test_a_lost_event_is_found_out(stripe: FakeStripe, alice: Person):
    paid, unpaid, closed, young = (begin(alice) for _ in range(4))
    pages = [stripe.objects[TopUp.objects.get(pk=one.pk).checkout or ""] for one in (paid, closed, young)]
    stripe.pay(pages[0])
    pages[1]["status"] = "expired"
    stripe.pay(pages[2])
    for one in (paid, unpaid, closed):
        old(one)
    for _ in range(2):
        confirmations.settle_open()
        assert [now(one)[0] for one in (paid, unpaid, closed, young)] == ["paid", "open", "expired", "open"]
    assert bought(alice) == 20
    deliver(stripe.event("checkout.session.completed", pages[0]))
    assert bought(alice) == 20
    assert sound(paid, alice)


# What Stripe has of a purchase of 20 USD, of which no event came; what the sweep makes of it.
UNHEARD: dict[str, tuple[dict[str, str], tuple[int, int]]] = {
    "refunds": ({"refund": "succeeded"}, (20, 0)),
    "a refund that failed": ({"refund": "failed"}, (20, 20)),
    "an inquiry": ({"dispute": "warning_needs_response"}, (0, 20)),
    "a chargeback": ({"dispute": "under_review"}, (20, 0)),
    "a chargeback that was won": ({"dispute": "won"}, (20, 20)),
}


@pytest.mark.parametrize("name", UNHEARD)
def test_refunds_and_chargebacks_whose_events_were_lost_are_found(
    name: str, stripe: FakeStripe, alice: Person
):
    made, (taken_back, has) = UNHEARD[name]
    topup = begin(alice)
    intent = stripe.pay(stripe.the("checkout.session"))
    deliver(stripe.event("payment_intent.succeeded", intent))
    for kind, status in made.items():
        (stripe.refund if kind == "refund" else stripe.dispute)(intent, 2_000)["status"] = status
    foreign = stripe.make("payment_intent", "pi", status="succeeded", metadata={})
    stripe.refund(foreign, 5)
    for _ in range(2):
        confirmations.look_for_taken_back()
    assert (*now(topup), bought(alice)) == ("paid", taken_back, has)
    assert sound(topup, alice)


def test_another_installations_purchase_is_nothing_to_us(stripe: FakeStripe, alice: Person):
    page = (
        {**stripe.the("checkout.session"), "metadata": {"topup": str(uuid.uuid4())}} if begin(alice) else {}
    )
    intent = stripe.pay(stripe.the("checkout.session"))
    intent["metadata"] = page["metadata"]
    assert deliver(stripe.event("checkout.session.completed", {**page, "payment_status": "paid"})) == 200
    assert deliver(stripe.event("payment_intent.succeeded", intent)) == 200
    assert deliver(stripe.event("refund.created", stripe.refund(intent, 500))) == 200
    assert bought(alice) == 0


def test_while_stripe_is_away_nothing_is_given_up(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    stripe.pay(stripe.the("checkout.session"))
    old(topup)
    stripe.trouble = ["down"] * 50
    confirmations.settle_open()
    assert now(topup)[0] == "open"
    stripe.trouble = []
    confirmations.settle_open()
    assert now(topup)[0] == "paid"


def test_the_customer_is_told_once_of_each(stripe: FakeStripe, alice: Person):
    topup = begin(alice)
    events = Story(stripe, topup).events
    for name in (PAID, "intent", REFUND, REFUND, "refund failed"):
        deliver(events[name])
    kinds = Notice.objects.filter(customer=alice.customer, kind__startswith="topup")
    assert sorted(kinds.values_list("kind", flat=True)) == [
        "topup_given_again",
        "topup_paid",
        "topup_taken_back",
    ]
