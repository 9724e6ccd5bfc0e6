"""A month of random traffic with everything that can move money, booked by the books' own functions.

Alice, Amir and Ada buy, Bob and Bo host and buy too. It begins in the month before and goes on in the one after.
"""

import calendar
import datetime as dt
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from django.utils import timezone

from accounts.models import User
from billing import disputes, ledger, payouts
from billing.ledger import Reversal
from billing.models import Dispute
from billing.months import Month
from hosting.models import HostedModel, Hoster
from tests import bookings, factories
from tests.factories import Person
from tests.routing.test_usage_api import address

USD = 10**9
HOUR = dt.timedelta(hours=1)
CALLS_A_DAY = 12
DISPUTES_MAX = 4  # of one customer: the limit counts days of the real clock


@dataclass
class Traffic:
    """keys: of every customer, one or more. calls: served and paid ones that nobody complained about, by payer."""

    chance: random.Random
    travel: Callable[[dt.timedelta], None]
    keys: list[Person] = field(default_factory=list)
    hosters: list[tuple[Person, Hoster]] = field(default_factory=list)
    offers: list[HostedModel] = field(default_factory=list)
    free: HostedModel | None = None
    calls: list[tuple[Person, bookings.Call]] = field(default_factory=list)
    used: dict[uuid.UUID, int] = field(default_factory=dict)  # tokens of the answer
    opened: list[Dispute] = field(default_factory=list)
    staff: User = field(
        default_factory=lambda: User.objects.create_superuser(f"{factories.unique('eve')}@example.org")
    )
    happened: set[str] = field(default_factory=set)

    @property
    def customers(self) -> list[Person]:
        """One key of each."""
        return list({one.customer.pk: one for one in self.keys}.values())

    def go_to(self, moment: dt.datetime) -> None:
        self.travel(moment - timezone.now())

    def open(self) -> None:
        for name in ("alice", "amir", "ada"):
            self.keys.append(factories.person(name, sold_nanos=400 * USD))
        for name in ("bob", "bo"):
            owner, hoster = factories.hoster(name)
            self.hosters.append((owner, hoster))
            self.keys.append(owner)
        for one in self.keys[:3]:
            string, row = factories.new_key(one.customer)
            self.keys.append(Person(one.customer, string, row))
        shared = factories.unique("shared-model")
        for _, hoster in self.hosters:
            for model in (shared, factories.unique("own-model")):
                price = self.chance.randrange(1_000_001, 2_000_000)
                _, offer = factories.server(
                    address(), of=hoster, model=model, price_in=price, price_out=price + 77
                )
                self.offers.append(offer)
        self.offers.append(factories.server(address(), kind="cloud", price_in=100_003, price_out=300_007)[1])
        self.offers.append(factories.server(address(), price_in=0, price_out=0)[1])
        self.free = factories.server(address(), kind="local", price_in=3, price_out=3)[1]

    def day(self, calls: int = CALLS_A_DAY) -> None:
        """Requests that end in a batch, in every way; then perhaps a complaint, a refund, a verdict."""
        endings = []
        for _ in range(calls):
            who, offer = self.chance.choice(self.keys), self.chance.choice([*self.offers, self.free])
            tokens_max = (
                200 if who in [owner for owner, _ in self.hosters] else 1_500
            )  # they save for payouts
            most = self.chance.randrange(1, tokens_max), self.chance.randrange(1, tokens_max)
            call = bookings.admit(
                who, offer, input_tokens=most[0], output_tokens=most[1], free=offer is self.free
            )
            if self.chance.random() < 0.12:
                endings.append(bookings.Ending(call, 0, 0, 0, "upstream_failed"))
                continue
            used = self.chance.randrange(most[0] + 1), self.chance.randrange(most[1] + 1)
            outcome = self.chance.choice(["finished", "finished", "hung_up"])
            endings.append(bookings.Ending(call, 1, *used, outcome))
            if offer.price_per_input_token and offer is not self.free and sum(used):
                self.calls.append((who, call))
                self.used[call.id] = used[1]
        bookings.end(*endings)
        self.happened |= {ending.outcome for ending in endings}
        self.chance.shuffle(self.calls)
        for act in (self.dispute, self.refund, self.decide):
            if self.chance.random() < 0.6:
                act()

    def dispute(self) -> None:
        who, call = self.calls.pop()
        if who.customer.disputes.count() >= DISPUTES_MAX:
            return
        try:
            self.opened.append(disputes.open_(customer=who.customer, charge=call.id, reason="other"))
        except disputes.DisputeRefused:
            return  # it is released by now

    def decide(self) -> None:
        if self.opened:
            upheld = "upheld" not in self.happened or self.chance.random() < 0.5
            disputes.decide(dispute=self.opened.pop(0), upheld=upheld, verdict="So it is.", actor=self.staff)
            self.happened.add("upheld" if upheld else "rejected")

    def refund(self) -> None:
        """In part or in all, of a pending or of a released earning."""
        _, call = self.calls.pop()
        kept = Reversal(call.id, kept_output_tokens=self.chance.choice([0, min(self.used[call.id], 1)]))
        (done,) = ledger.reverse(reversals=[kept], reason='=a refund, and "why"', at_our_loss=True)
        self.happened.add(done.status)

    def release(self) -> None:
        while ledger.release()[0]:
            self.happened.add("released")

    def pay_out(self) -> None:
        """Each hoster asks twice: the first comes back, the second is paid."""
        for number, (owner, _) in enumerate(self.hosters):
            for ending in ("rejected", "paid"):
                payout = payouts.ask(
                    customer=owner.customer, amount_nanos=10 * USD + number, method="paypal",
                    destination="host@example.org",
                )  # fmt: skip
                if ending == "rejected":
                    payouts.reject(payout=payout, reason="Not yet.", actor=self.staff)
                else:
                    payouts.approve(payout=payout, actor=self.staff)
                    payouts.pay(payout=payout, reference=factories.unique("paid"), actor=self.staff)
                self.happened.add(ending)


def play(seed: int, travel: Callable[[dt.timedelta], None]) -> tuple[Traffic, Month]:
    """Traffic up to the last hour of the month."""
    traffic, month = Traffic(random.Random(seed), travel), Month.of(timezone.now()).earlier(2)
    traffic.go_to(month.start - 30 * HOUR)
    traffic.open()
    traffic.day()
    last = calendar.monthrange(month.year, month.number)[1]
    for day in range(last):
        traffic.go_to(month.start + dt.timedelta(days=day, seconds=traffic.chance.randrange(80_000)))
        traffic.release()
        traffic.day()
        if day == 9:
            alice = traffic.keys[0].customer
            ledger.sell(customer=alice, amount_nanos=20 * USD, reference="topup", reason="top-up")
            ledger.grant(customer=alice, amount_nanos=USD + 1, reference="sorry", reason="for an outage")
            ledger.claw_back(customer=alice, amount_nanos=7 * USD, reference="back", reason="charged back")
    traffic.go_to(month.end - HOUR)
    traffic.release()
    traffic.pay_out()
    return traffic, month
