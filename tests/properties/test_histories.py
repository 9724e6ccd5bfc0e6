"""Random histories of calls, endings (each twice) and releases keep every invariant of the books."""

import datetime as dt
import random

import pytest

from billing import audit as books
from billing import invariants, ledger
from hosting.models import HostedModel, ServerMinute
from routing import audit as requests
from routing.models import InferenceRequest
from tests import bookings, factories
from tests.routing.test_usage_api import address

EVERYTHING = (*invariants.INVARIANTS, *requests.INVARIANTS)
LEFT_OPEN = {
    invariants.NO_STALE_HOLD.name,
    invariants.NOT_OVERDUE.name,
}  # nothing sweeps while these tests travel
STEPS = 60
WELCOME_NANOS = 5_000_000_000


class World:
    """Two customers, two hosters and a cloud provider; everybody is nearly out of promotional credit."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        _, drain = factories.server(address(), kind="cloud", price_in=1, price_out=0)
        buyers = [factories.person("alice", sold_nanos=dice.choice([0, 5, 1_000_000])) for _ in range(2)]
        for buyer in buyers:
            buyer.api_key.spend_limit_nanos = 10**12
            buyer.api_key.save()
        pairs = [factories.hoster("bob") for _ in range(2)]
        self.people = buyers + [owner for owner, _ in pairs]
        for one in self.people:
            spent = WELCOME_NANOS - dice.choice([0, 1, 10_000])
            bookings.book(one, drain, input_tokens=spent, output_tokens=0)
        self.pending = [ledger.pending_account(owner.customer) for owner, _ in pairs]
        self.offers = [self.offer(of=hoster) for _, hoster in pairs] + [self.offer(kind="cloud")]
        self.running: list[bookings.Call] = []
        self.hours = 0

    def offer(self, **where: object) -> HostedModel:
        prices = {
            "price_in": self.dice.choice([0, 1, 3, 7, 1_000_003]),
            "price_out": self.dice.choice([0, 2, 11]),
        }
        return factories.server(address(), **prices, **where)[1]  # type: ignore[arg-type]

    def admit(self) -> None:
        who, offer = self.dice.choice(self.people), self.dice.choice(self.offers)
        tokens = {
            "input_tokens": self.dice.choice([0, 1, 999, 1_200]),
            "output_tokens": self.dice.choice([0, 1, 5]),
        }
        cost = tokens["input_tokens"] * offer.price_per_input_token
        cost += tokens["output_tokens"] * offer.price_per_output_token
        account = who.account
        if account.posted_nanos - account.held_nanos >= cost:
            self.running.append(bookings.admit(who, offer, **tokens))

    def end_some(self) -> None:
        self.dice.shuffle(self.running)
        count = self.dice.randint(1, 6)
        batch, self.running = self.running[:count], self.running[count:]
        endings = [self.ending(call) for call in batch]
        if endings:
            bookings.end(*endings)
            assert all(status.startswith("already_") for _, status, _ in bookings.end(*endings))

    def ending(self, call: bookings.Call) -> bookings.Ending:
        if self.dice.random() < 0.25:
            return bookings.Ending(call, 0, 0, 0, "upstream_failed")
        return bookings.Ending(
            call, 1, self.dice.randint(0, call.input_max), self.dice.randint(0, call.output_max)
        )

    @property
    def names(self) -> set[str]:
        accounts = {
            f"account {account.pk}" for account in (*self.pending, *(one.account for one in self.people))
        }
        keys = {f"key {one.api_key.pk}" for one in self.people}
        return accounts | keys | {f"customer {one.customer.pk}" for one in self.people}


@pytest.mark.parametrize("seed", range(6))
def test_any_history_keeps_the_books(seed: int, travel):
    world = World(random.Random(seed))
    for _ in range(STEPS):
        step = world.dice.random()
        if step < 0.6:
            world.admit()
        elif step < 0.9:
            world.end_some()
        else:
            world.hours += world.dice.choice([1, 30])
            travel(dt.timedelta(hours=world.hours))
            while ledger.release()[0]:
                pass
    with books.snapshot() as cursor:
        found = books.differences(cursor, EVERYTHING)
    mine = [one for one in found if one.subject in world.names and one.invariant not in LEFT_OPEN]
    assert mine == []


def test_the_first_of_two_endings_in_one_batch_wins():
    """A call may be settled while its caller, who hung up, voids it."""
    alice = factories.person()
    _, offer = factories.server(address(), price_in=1, price_out=1)
    broken, _ = factories.server(address())
    call, neighbour = bookings.admit(alice, offer), bookings.admit(alice, offer)
    endings = (
        bookings.Ending(call, 1, 10, 10, failed_servers=(broken.pk,)),
        bookings.Ending(neighbour),
        bookings.Ending(call, 0, 0, 0, "abandoned", failed_servers=(broken.pk,)),
    )
    receipts = {charge: (status, gross) for charge, status, gross in bookings.end(*endings)}
    assert receipts == {call.id: ("posted", 20), neighbour.id: ("posted", 500)}
    assert InferenceRequest.objects.get(pk=call.id).outcome == "finished"
    assert ServerMinute.objects.get(server=broken).failed == 1
