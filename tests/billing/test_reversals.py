"""Reversals: exact to the nanodollar, once for each charge, and never of what was released."""

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import pytest
from django.db import IntegrityError, connection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing import audit as books
from billing import invariants, ledger
from billing.ledger import Reversal
from billing.models import Charge, LedgerAccount, Maturity, SpendWindow, Transfer
from hosting.models import HostedModel
from tests import bookings, factories
from tests.bookings import Call
from tests.factories import Person
from tests.routing.test_usage_api import address

TRAVELLED = {invariants.NO_STALE_HOLD.name, invariants.NOT_OVERDUE.name}  # nothing sweeps while tests travel


@dataclass(frozen=True)
class Market:
    alice: Person
    bob: Person
    offer: HostedModel

    @property
    def figures(self) -> tuple[int | None, ...]:
        """Posted, earned and bought of Alice; pending and payable of Bob; spent by Alice's key."""
        account = self.alice.account
        due = Maturity.objects.filter(account=self.pending).values_list("amount_nanos", "payable_nanos")
        pending, payable = (sum(amounts) for amounts in zip((0, 0), *due, strict=True))
        window = SpendWindow.objects.filter(key=self.alice.api_key).first()
        money = account.posted_nanos, account.earned_nanos, account.bought_nanos
        return *money, pending, payable, window.spent_nanos if window else 0

    @property
    def pending(self) -> LedgerAccount:
        return ledger.pending_account(self.bob.customer)

    def differences(self) -> list[books.Difference]:
        """What the audit says of these two, and of transfers and charges at all."""
        mine = {f"account {account.pk}" for account in (self.alice.account, self.bob.account, self.pending)}
        mine.add(f"key {self.alice.api_key.pk}")
        rows = {invariants.REVERSED.name, invariants.SPLIT.name, invariants.DIRECTIONS.name}
        return [
            one
            for one in books.audit()
            if (one.subject in mine and one.invariant not in TRAVELLED) or one.invariant in rows
        ]


def market(alice: Person | None = None) -> Market:
    alice = alice or factories.person("alice")
    alice.api_key.spend_limit_nanos = 10**18
    alice.api_key.save(update_fields=["spend_limit_nanos"])
    bob, hoster = factories.hoster("bob")
    return Market(alice, bob, factories.server(address(), of=hoster, price_in=100, price_out=300)[1])


def reverse(call: Call | uuid.UUID, *kept: int) -> tuple[str, int, int]:
    charge = call.id if isinstance(call, Call) else call
    (done,) = ledger.reverse(reversals=[Reversal(charge, *kept)], reason="test")
    assert done.charge == charge
    return done.status, done.gross_back_nanos, done.net_back_nanos


def release_all() -> None:
    while ledger.release()[0]:
        pass


# ------------------------------------------------------------------------------------------------ what comes back


def test_a_full_reversal_leaves_the_books_as_before_the_request():
    shop = market()
    before = shop.figures
    call = bookings.book(shop.alice, shop.offer)
    assert reverse(call) == ("reversed", 100_000, 80_000)
    assert shop.figures == before
    assert not Maturity.objects.filter(account=shop.pending).exists()
    assert Charge.objects.get(pk=call.id).gross_nanos == 100_000, "the charge says what was booked"
    assert shop.differences() == []


def test_a_partial_reversal_leaves_what_a_request_of_the_kept_tokens_leaves():
    shop, other = market(), market()
    call = bookings.book(shop.alice, shop.offer)
    bookings.book(other.alice, other.offer, input_tokens=250, output_tokens=150)
    assert reverse(call, 250, 150) == ("reversed", 30_000, 24_000)
    assert shop.figures == other.figures
    assert shop.differences() == []


def test_a_reversal_takes_its_part_of_a_minute_that_others_share():
    shop = market()
    calls = [bookings.admit(shop.alice, shop.offer) for _ in range(3)]
    bookings.end(*(bookings.Ending(call) for call in calls))
    ledger.reverse(reversals=[Reversal(calls[0].id), Reversal(calls[1].id, 250, 150)], reason="test")
    assert Maturity.objects.get(account=shop.pending).amount_nanos == 80_000 + 56_000
    assert shop.differences() == []


def test_the_limit_of_the_key_is_given_back_too():
    shop = market()
    call = bookings.book(shop.alice, shop.offer)
    key = shop.alice.api_key
    key.spend_limit_nanos = 100_000
    key.save(update_fields=["spend_limit_nanos"])
    with pytest.raises(AssertionError, match="spend_limit"):
        bookings.admit(shop.alice, shop.offer)
    reverse(call)
    bookings.void(bookings.admit(shop.alice, shop.offer))


def test_the_transfers_say_who_reversed_and_why():
    shop = market()
    call = bookings.book(shop.alice, shop.offer)
    actor = shop.bob.customer.user
    ledger.reverse(reversals=[Reversal(call.id)], reason="wrong answers", actor=actor)
    refunds = Transfer.objects.filter(charge=call.id, kind="refund")
    assert {(t.debit.kind, t.credit_id, t.reason, t.actor) for t in refunds} == {
        ("hoster_pending", shop.alice.account.pk, "wrong answers", actor),
        ("platform_fees", shop.alice.account.pk, "wrong answers", actor),
    }


# ------------------------------------------------------------------------------------------------------ the statuses


def of_a_stranger(shop: Market) -> uuid.UUID:
    return bookings.new_id()


def held(shop: Market) -> uuid.UUID:
    return bookings.admit(shop.alice, shop.offer).id


def voided(shop: Market) -> uuid.UUID:
    call = bookings.admit(shop.alice, shop.offer)
    bookings.void(call)
    return call.id


def posted(shop: Market) -> uuid.UUID:
    return bookings.book(shop.alice, shop.offer).id


def free(shop: Market) -> uuid.UUID:
    return bookings.book(shop.alice, shop.offer, free=True).id


def reversed_in_part(shop: Market) -> uuid.UUID:
    charge = posted(shop)
    reverse(charge, 250, 249)
    return charge


def reversed_in_full(shop: Market) -> uuid.UUID:
    charge = posted(shop)
    reverse(charge)
    return charge


def served_by_the_platform(shop: Market) -> uuid.UUID:
    _, offer = factories.server(address(), kind="cloud", price_in=100, price_out=300)
    return bookings.book(shop.alice, offer).id


def all_of_it_the_fee(shop: Market) -> uuid.UUID:
    call = bookings.admit(shop.alice, shop.offer, fee_bps=10_000)
    bookings.settle(call)
    return call.id


STATUSES = {
    of_a_stranger: ("missing", 0, 0),
    held: ("not_posted", 0, 0),
    voided: ("not_posted", 0, 0),
    posted: ("reversed", 100_000, 80_000),
    free: ("nothing", 0, 0),
    reversed_in_part: ("already", 0, 0),
    reversed_in_full: ("already", 0, 0),
    served_by_the_platform: ("reversed", 100_000, 0),
    all_of_it_the_fee: ("reversed", 100_000, 0),
}


@pytest.mark.parametrize("charge", STATUSES, ids=lambda charge: charge.__name__)
def test_what_a_reversal_answers(charge: Callable[[Market], uuid.UUID]):
    shop = market()
    name = charge(shop)
    before = shop.figures
    status, gross_back, net_back = STATUSES[charge]
    assert reverse(name) == (status, gross_back, net_back)
    after = shop.figures
    assert (after[0] - before[0], before[3] - after[3]) == (gross_back, net_back)
    assert reverse(name)[0] == ("already" if status == "reversed" else status)
    assert shop.figures == after
    assert shop.differences() == []


RELEASED = {
    posted: ("released", 0, 0),
    reversed_in_part: ("already", 0, 0),
    reversed_in_full: ("already", 0, 0),
    free: ("nothing", 0, 0),
    served_by_the_platform: ("reversed", 100_000, 0),
}


@pytest.mark.parametrize("charge", RELEASED, ids=lambda charge: charge.__name__)
def test_what_a_reversal_answers_after_the_release(
    charge: Callable[[Market], uuid.UUID], travel: Callable[[dt.timedelta], None]
):
    shop = market()
    name = charge(shop)
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    before = shop.figures
    assert reverse(name) == RELEASED[charge]
    assert (shop.figures == before) == (RELEASED[charge][0] != "reversed")
    assert shop.differences() == []


def test_what_has_matured_and_was_not_released_yet_is_reversed(travel: Callable[[dt.timedelta], None]):
    shop = market()
    charge = posted(shop)
    travel(dt.timedelta(hours=24, minutes=2))
    assert reverse(charge) == ("reversed", 100_000, 80_000)
    release_all()
    assert shop.bob.account.posted_nanos == 5_000_000_000
    assert shop.differences() == []


def test_keeping_every_token_gives_nothing_back_and_leaves_it_open():
    charge = posted(market())
    assert reverse(charge, 250, 250) == ("nothing", 0, 0)
    assert reverse(charge) == ("reversed", 100_000, 80_000)


def test_a_charge_that_is_named_twice_is_reversed_by_the_first_mention():
    charge = posted(market())
    done = ledger.reverse(reversals=[Reversal(charge, 250, 150), Reversal(charge)], reason="test")
    assert [(one.status, one.gross_back_nanos) for one in done] == [("reversed", 30_000), ("already", 0)]


def test_the_answers_stand_in_the_order_of_the_question():
    shop = market()
    asked = [posted(shop), held(shop), bookings.new_id(), posted(shop)]
    for order in (asked[::-1], asked):
        done = ledger.reverse(reversals=[Reversal(charge) for charge in order], reason="test")
        assert [one.charge for one in done] == order
    assert [one.status for one in done] == ["already", "not_posted", "missing", "already"]


@pytest.mark.parametrize("kept", [(251, 0), (0, 251), (-1, 250), (250, -1)])
def test_more_tokens_than_were_billed_cannot_be_kept(kept: tuple[int, int]):
    shop = market()
    good, bad = posted(shop), posted(shop)
    before = shop.figures
    with pytest.raises(IntegrityError, match=r"was billed 250 \+ 250 tokens and cannot keep"):
        ledger.reverse(reversals=[Reversal(good), Reversal(bad, *kept)], reason="test")
    assert shop.figures == before, "all of the batch or nothing"


def test_a_reversal_needs_a_reason_and_an_end():
    charge = uuid.uuid4()
    for reason in ("", " \n"):
        with pytest.raises(ValueError, match="reason"):
            ledger.reverse(reversals=[Reversal(charge)], reason=reason)
    with pytest.raises(ValueError, match="At most 500"):
        ledger.reverse(reversals=[Reversal(charge)] * 501, reason="test")
    assert ledger.reverse(reversals=[], reason="test") == []


# ------------------------------------------------------------------------------------------------------- any amounts

price = st.sampled_from([0, 1, 3, 7, 100, 1_003])
tokens = st.integers(0, 40)
amount = st.sampled_from([0, 1, 2, 50, 333, 10_000])
share = st.fractions(0, 1, max_denominator=7)


def parts(gross: int, *, fee_bps: int, promotional: int) -> tuple[int, int, int]:
    """(fee, net, payable) of a charge that had so much promotional money to spend first."""
    fee, paid = gross * fee_bps // 10_000, max(gross - promotional, 0)
    return fee, gross - fee, paid - (-(-paid * fee // gross) if gross else 0)


def test_kept_and_given_back_are_the_charge_for_any_amounts(travel: Callable[[dt.timedelta], None]):
    alice, hoster = factories.hoster("alice")
    _, hers = factories.server(address(), of=hoster, price_in=1, price_out=0)
    carol = factories.person("carol", sold_nanos=10**12)
    bookings.spend(carol, 5_000_000_000)
    travel(dt.timedelta(hours=-25))
    bookings.book(carol, hers, input_tokens=10**12, output_tokens=0)
    travel(dt.timedelta())
    release_all()
    bookings.spend(alice, 5_000_000_000)  # what she has now she has earned
    shop = market(alice)

    @settings(max_examples=100, deadline=None)
    @example(
        (1, 0), (6, 0), 2_000, 5, 0, (Fraction(5, 6), Fraction(0))
    )  # what comes back is the hoster's, unpaid
    @example((1, 0), (12, 0), 5_000, 10, 2, (Fraction(11, 12), Fraction(0)))  # it is the platform's, paid
    @given(
        prices=st.tuples(price, price),
        billed=st.tuples(tokens, tokens),
        fee_bps=st.sampled_from([0, 1, 2_000, 3_333, 5_000, 9_999, 10_000]),
        promotional=amount,
        bought=amount,
        kept=st.tuples(share, share),
    )
    def check(
        prices: tuple[int, int],
        billed: tuple[int, int],
        fee_bps: int,
        promotional: int,
        bought: int,
        kept: tuple[Fraction, Fraction],
    ) -> None:
        for credit, nanos in ((ledger.grant, promotional), (ledger.sell, bought)):
            if nanos:
                reference = factories.unique("money")
                credit(customer=alice.customer, amount_nanos=nanos, reference=reference, reason="test")
        shop.offer.price_per_input_token, shop.offer.price_per_output_token = prices
        before = shop.figures
        call = bookings.admit(
            alice, shop.offer, input_tokens=billed[0], output_tokens=billed[1], fee_bps=fee_bps
        )
        gross = bookings.settle(call, input_tokens=billed[0], output_tokens=billed[1])
        stays = tuple(int(one * part) for one, part in zip(billed, kept, strict=True))
        left = stays[0] * prices[0] + stays[1] * prices[1]
        _, net, _ = parts(gross, fee_bps=fee_bps, promotional=promotional)
        fee_left, net_left, payable_left = parts(left, fee_bps=fee_bps, promotional=promotional)

        assert reverse(call, *stays) == (
            "reversed" if left < gross else "nothing",
            gross - left,
            net - net_left,
        )
        posted, earned, bought_left, pending, payable, spent = (
            after - was for after, was in zip(shop.figures, before, strict=True)
        )
        assert (-posted, spent, pending, fees_of(call)) == (left, left, net_left, fee_left)
        assert abs(payable - payable_left) <= 1
        assert 0 <= -earned - bought_left - max(left - promotional, 0) <= 1
        if not left:
            assert (earned, bought_left, payable) == (0, 0, 0)
        bookings.spend(alice, promotional + bought + posted - earned)  # the next finds earned money only

    check()
    assert shop.differences() == []


def fees_of(call: Call) -> int:
    """What the platform has of a call."""
    moved = Transfer.objects.filter(charge=call.id)
    came = sum(moved.filter(credit__kind="platform_fees").values_list("amount_nanos", flat=True))
    return came - sum(moved.filter(debit__kind="platform_fees").values_list("amount_nanos", flat=True))


# -------------------------------------------------------------------------------------------------------- at once


def test_an_earning_is_released_or_reversed_never_both(travel: Callable[[dt.timedelta], None]):
    shops = [market() for _ in range(12)]
    calls = [(shop, bookings.book(shop.alice, shop.offer)) for shop in shops for _ in range(2)]
    travel(dt.timedelta(hours=24, minutes=2))
    start = threading.Barrier(8)

    def sweep() -> list[ledger.Reversed]:
        start.wait()
        for _ in range(40):
            ledger.release(rows_max=1)
        return []

    def convict(order: int) -> list[ledger.Reversed]:
        """The first call of each hoster, in batches of three, from either end."""
        start.wait()
        asked = [Reversal(call.id) for _, call in calls[::2]][::order]
        return [
            done
            for n in range(0, len(asked), 3)
            for done in ledger.reverse(reversals=asked[n : n + 3], reason="test")
        ]

    tasks = [*[sweep] * 4, *[lambda: convict(1), lambda: convict(-1)] * 2]
    answers = [done for found in at_once(tasks) for done in found]
    release_all()

    for (shop, convicted), (_, honest) in zip(calls[::2], calls[1::2], strict=True):
        statuses = sorted(done.status for done in answers if done.charge == convicted.id)
        back = 80_000 * statuses.count("reversed")
        assert statuses in (["already"] * 3 + ["reversed"], ["released"] * 4)
        assert shop.bob.account.posted_nanos == 5_000_000_000 + 160_000 - back
        assert reverse(honest) == ("released", 0, 0)
        assert shop.differences() == []


def at_once(tasks: list[Callable[[], list[ledger.Reversed]]]) -> list[list[ledger.Reversed]]:
    """Run tasks in threads, each with a connection of its own."""

    def run(task: Callable[[], list[ledger.Reversed]]) -> list[ledger.Reversed]:
        try:
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))
