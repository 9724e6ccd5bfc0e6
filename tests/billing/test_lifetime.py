"""Everything that a hoster ever earned is somewhere, to the nanodollar."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

from billing import disputes, ledger, lifetime, payouts
from billing.ledger import Reversal
from billing.lifetime import Lifetime
from tests import bookings, factories
from tests.billing.test_payouts import USD
from tests.billing.test_reversals import release_all
from tests.routing.test_usage_api import address


def test_each_part_is_shown_and_they_add_up(travel: Callable[[dt.timedelta], None]):
    alice = factories.person("alice", sold_nanos=1_000 * USD)
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=1_000_000, price_out=0)
    _, other = factories.server(address(), price_in=1_000_000, price_out=0)

    def book(usd: int) -> bookings.Call:
        return bookings.book(alice, offer, input_tokens=usd * 1_000, output_tokens=0)

    lost, _ = book(5), book(100)  # the first is paid with the welcome credit
    travel(dt.timedelta(hours=24, minutes=2))
    release_all()
    ledger.reverse(reversals=[Reversal(lost.id)], reason="test", at_our_loss=True)
    staff = factories.person("staff").customer.user
    first, _ = (
        payouts.ask(customer=bob.customer, amount_nanos=n * USD, method="crypto", destination="0x1")
        for n in (20, 30)
    )
    payouts.pay(payout=payouts.approve(payout=first, actor=staff), reference=str(first.pk))
    bookings.book(
        bob, other, input_tokens=12_000, output_tokens=0
    )  # 5 welcome, 4 from welcome credit, 3 earned
    book(10)
    travel(dt.timedelta(hours=48, minutes=4))
    release_all()  # 8 USD, of which 4 pay the debt
    book(50)
    disputes.open_(customer=alice.customer, charge=book(20).id, reason="other")
    ledger.reverse(reversals=[Reversal(book(7).id)], reason="test")
    upheld = disputes.open_(customer=alice.customer, charge=book(3).id, reason="other")
    disputes.decide(dispute=upheld, upheld=True, verdict="test", actor=None)

    found = lifetime.of(bob.customer)
    assert found.next_release_at is not None
    assert replace(found, next_release_at=None) == Lifetime(
        pending_nanos=40 * USD,
        frozen_nanos=16 * USD,
        available_nanos=31 * USD,
        released_nanos=88 * USD,
        in_payout_nanos=30 * USD,
        paid_out_nanos=20 * USD,
        reversed_nanos=8 * USD,
        kept_back_nanos=4 * USD,
        owed_nanos=0,
        promotional_nanos=8 * USD,  # of the welcome credit, which came back to Alice once
        spendable_nanos=bob.account.posted_nanos - bob.account.held_nanos,
    )
    assert found.spent_nanos == 7 * USD
    assert found.earned_nanos == (5 + 100 + 10 + 50 + 20 + 7 + 3) * USD * 8 // 10


def test_who_never_hosted_earned_nothing():
    assert lifetime.of(factories.person("carol").customer) == Lifetime(spendable_nanos=5 * USD)
