"""The audit finds nothing in sound disputes, debts, payouts and top-ups, and finds every kind of damage to them."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

import pytest

from billing import audit as books
from billing import case_invariants as inv
from billing import disputes, ledger, payouts
from billing.invariants import Invariant
from billing.ledger import Reversal
from billing.models import LedgerAccount, TopUp
from billing.statement_invariants import OPENINGS, RELEASES
from hosting.models import HostedModel
from tests import bookings, factories
from tests.billing.test_audit import CORRUPTIONS as OF_BOOKS
from tests.billing.test_audit import EVERYTHING, INTO_TRANSFERS, NO_TRANSFER_GUARD, found
from tests.routing.test_usage_api import address

USD = 10**9


@dataclass(frozen=True)
class Cases:
    """Of Bob: an open dispute, a debt, a payout on its way and a paid one. Of Alice: a top-up."""

    account: int
    pending: int
    frozen: int
    charge: UUID
    dispute: UUID
    waiting: UUID
    paid: UUID
    topup: UUID
    stray: UUID

    @property
    def names(self) -> set[str]:
        return {
            *(f"account {account}" for account in (self.account, self.pending, self.frozen)),
            *(f"payout {payout}" for payout in (self.waiting, self.paid)),
            *(f"dispute {self.dispute}", f"top-up {self.topup}"),
        }


def earn(alice: factories.Person, offer: HostedModel, travel) -> bookings.Call:
    """200 USD of bought money become 160 USD of released earnings."""
    call = bookings.book(alice, offer, input_tokens=200_000, output_tokens=0)
    travel(dt.timedelta(hours=24, minutes=2))
    while ledger.release()[0]:
        pass
    return call


@pytest.fixture
def cases(travel) -> Cases:
    alice = factories.person("alice", sold_nanos=1_000 * USD)
    bookings.spend(alice, 5 * USD)  # the welcome credit
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=1_000_000, price_out=0)
    earned = earn(alice, offer, travel)
    disputed = bookings.book(alice, offer)
    dispute = disputes.open_(customer=alice.customer, charge=disputed.id, reason="other")
    waiting, paid = (
        payouts.ask(customer=bob.customer, amount_nanos=20 * USD, method="crypto", destination="0x1")
        for _ in range(2)
    )
    staff = factories.person("staff").customer.user
    payouts.approve(payout=paid, actor=staff)
    payouts.pay(payout=paid, reference=str(paid.pk), actor=staff)
    ledger.reverse(reversals=[Reversal(earned.id)], reason="test", at_our_loss=True)
    topup = TopUp.objects.create(
        customer=alice.customer, amount_nanos=7 * USD, state="paid", paid_at=dt.datetime.now(dt.UTC)
    )
    ledger.sell(
        customer=alice.customer,
        amount_nanos=7 * USD,
        reference=f"topup:{topup.pk}",
        reason=f"top-up {topup.pk}",
    )
    return Cases(
        account=bob.account.pk,
        pending=ledger.pending_account(bob.customer).pk,
        frozen=LedgerAccount.objects.get(kind="hoster_disputed", customer=bob.customer).pk,
        charge=disputed.id,
        dispute=dispute.pk,
        waiting=waiting.pk,
        paid=paid.pk,
        topup=topup.pk,
        stray=bookings.new_id(),
    )


def test_sound_cases_show_no_difference(cases: Cases):
    assert [one for one in books.audit() if one.subject in cases.names] == []


CORRUPTIONS: dict[str, tuple[Invariant, str, list[str]]] = {
    "frozen money went back without a verdict": (
        inv.FROZEN,
        "account {frozen}",
        [INTO_TRANSFERS + " VALUES ('{stray}', 'verdict', {frozen}, {pending}, 5, 0, 0, '{charge}')"],
    ),
    "a dispute was rejected without giving the earning back": (
        inv.DECIDED,
        "dispute {dispute}",
        ["UPDATE billing_dispute SET state = 'rejected', decided_at = app_now() WHERE id = '{dispute}'"],
    ),
    "a dispute was upheld without giving the charge back": (
        inv.DECIDED,
        "dispute {dispute}",
        ["UPDATE billing_dispute SET state = 'upheld', decided_at = app_now() WHERE id = '{dispute}'"],
    ),
    "a dispute freezes another amount": (
        inv.DECIDED,
        "dispute {dispute}",
        ["UPDATE billing_dispute SET net_nanos = net_nanos - 1 WHERE id = '{dispute}'"],
    ),
    "a debt was forgiven by hand": (
        inv.DEBTS,
        "account {pending}",
        ["UPDATE billing_debt SET owed_nanos = owed_nanos - 1 WHERE account_id = {pending}"],
    ),
    "a debt was forgotten": (
        inv.DEBTS,
        "account {pending}",
        ["DELETE FROM billing_debt WHERE account_id = {pending}"],
    ),
    "a payout was said to be paid": (
        inv.PAYOUTS,
        "payout {waiting}",
        [
            "UPDATE billing_payout SET state = 'paid', closed_at = app_now(), reference = '{stray}'"
            " WHERE id = '{waiting}'"
        ],
    ),
    "a payout was paid twice": (
        inv.PAYOUTS,
        "payout {paid}",
        [
            INTO_TRANSFERS.replace(", charge)", ", reason)")
            + " SELECT '{stray}', kind, debit_id, credit_id, amount_nanos, earned_nanos, 0, reason"
            " FROM billing_transfer WHERE kind = 'paid' AND reason = 'payout {paid}'"
        ],
    ),
    "promotional credit was paid out": (
        inv.CASH,
        "",
        [
            NO_TRANSFER_GUARD,
            "UPDATE billing_transfer SET earned_nanos = 0 WHERE kind = 'payout' AND reason = 'payout {waiting}'",
        ],
    ),
    "a payout's row was changed": (
        inv.CASH,
        "",
        ["UPDATE billing_payout SET amount_nanos = amount_nanos - 1 WHERE id = '{waiting}'"],
    ),
    "a top-up was booked without a payment": (
        inv.TOPUPS,
        "top-up {topup}",
        ["UPDATE billing_topup SET state = 'open' WHERE id = '{topup}'"],
    ),
    "a top-up was taken back without a booking": (
        inv.TOPUPS,
        "top-up {topup}",
        ["UPDATE billing_topup SET taken_back_nanos = 1 WHERE id = '{topup}'"],
    ),
    "a month opened with more than there was": (
        OPENINGS,
        "account {account}",
        ["UPDATE billing_openingbalance SET bought_nanos = bought_nanos + 1 WHERE account_id = {account}"],
    ),
    "a month was forgotten": (
        OPENINGS,
        "account {account}",
        ["DELETE FROM billing_openingbalance WHERE account_id = {account}"],
    ),
    "a day's releases were raised": (
        RELEASES,
        "account {pending}",
        ["UPDATE billing_releaseday SET released_nanos = released_nanos + 1 WHERE account_id = {pending}"],
    ),
    "a day's releases were forgotten": (
        RELEASES,
        "account {pending}",
        ["DELETE FROM billing_releaseday WHERE account_id = {pending}"],
    ),
}


@pytest.mark.parametrize("damage", CORRUPTIONS)
def test_the_audit_notices_when(damage: str, cases: Cases):
    invariant, subject, statements = CORRUPTIONS[damage]
    subjects = {name for broken, name in found(*statements, scene=cases) if broken == invariant.name}
    assert subject.format(**vars(cases)) in subjects if subject else subjects


def test_every_invariant_is_sabotaged():
    sabotaged = {invariant.name for invariant, *_ in (*OF_BOOKS.values(), *CORRUPTIONS.values())}
    assert sabotaged == {one.name for one in EVERYTHING}
