"""The audit finds nothing in sound books, and finds every kind of damage.

Damage is done in a transaction that switches the guards off first and is rolled back afterwards.
"""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing import audit as books
from billing import invariants as inv
from billing import ledger
from billing.models import LedgerAccount
from routing import audit as requests
from tests import bookings, factories
from tests.routing.test_usage_api import address

EVERYTHING = (*books.INVARIANTS, *requests.INVARIANTS)
INTO_TRANSFERS = (
    "INSERT INTO billing_transfer"
    " (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge)"
)
NO_TRANSFER_GUARD = "ALTER TABLE billing_transfer DISABLE TRIGGER USER"
NO_CHARGE_GUARD = "ALTER TABLE billing_charge DISABLE TRIGGER USER"
NO_EXACT_CHECK = "ALTER TABLE billing_charge DROP CONSTRAINT billing_charge_posted_is_exact"
NO_OVERDRAFT_CHECK = "ALTER TABLE billing_ledgeraccount DROP CONSTRAINT billing_ledgeraccount_not_overdrawn"

REVERSED_IN_PART = (
    "SELECT * FROM billing_reverse(ARRAY['{posted}']::uuid[], ARRAY[250], ARRAY[150], 'test', NULL, false)"
)


@dataclass(frozen=True)
class Scene:
    """Alice called Bob's server: once posted, once still held, once voided; her key has a spending limit."""

    customer: int
    account: int
    hoster: int
    pending: int
    key: int
    posted: UUID
    held: UUID
    voided: UUID
    stray: UUID  # of a transfer that the damage adds

    @property
    def names(self) -> set[str]:
        """How the audit calls what belongs to this scene."""
        mine = {
            f"account {self.account}",
            f"account {self.pending}",
            f"key {self.key}",
            f"customer {self.customer}",
        }
        charges = (self.posted, self.held, self.voided)
        return mine | {f"charge {charge}" for charge in charges} | {f"customer {self.hoster}"}


@pytest.fixture
def scene() -> Scene:
    alice = factories.person("alice", sold_nanos=1_000_000)
    alice.api_key.spend_limit_nanos = 1_000_000_000
    alice.api_key.save()
    bob, hoster = factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster, price_in=100, price_out=300)
    posted, held, voided = (bookings.admit(alice, offer) for _ in range(3))
    bookings.settle(posted)
    bookings.void(voided)
    return Scene(
        customer=alice.customer.pk,
        account=alice.account.pk,
        hoster=bob.customer.pk,
        pending=ledger.pending_account(bob.customer).pk,
        key=alice.api_key.pk,
        posted=posted.id,
        held=held.id,
        voided=voided.id,
        stray=bookings.new_id(),
    )


def found(*statements: str, scene: Any) -> set[tuple[str, str]]:
    """(invariant, subject) of what the audit says after these statements, which are then undone."""
    values = asdict(scene)
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(**values))
        differences = books.differences(cursor, EVERYTHING)
        transaction.set_rollback(True)
    return {(difference.invariant, difference.subject) for difference in differences}


def test_sound_books_show_no_difference(scene: Scene):
    with books.snapshot() as cursor:
        differences = books.differences(cursor, EVERYTHING)
    assert [difference for difference in differences if difference.subject in scene.names] == []
    assert not {difference.invariant for difference in differences} & {inv.GUARDS.name, inv.FEES.name}


def test_released_earnings_are_sound(travel):
    alice, (bob, hoster) = factories.person(), factories.hoster("bob")
    _, offer = factories.server(address(), of=hoster)
    bookings.book(alice, offer)
    travel(dt.timedelta(hours=24, minutes=2))
    while ledger.release()[0]:
        pass
    mine = {f"account {bob.account.pk}", f"account {ledger.pending_account(bob.customer).pk}"}
    assert [difference for difference in books.audit() if difference.subject in mine] == []


CORRUPTIONS = {
    "a balance was raised": (
        inv.BALANCES,
        "account {account}",
        ["UPDATE billing_ledgeraccount SET posted_nanos = posted_nanos + 1 WHERE id = {account}"],
    ),
    "promotional credit became bought": (
        inv.BALANCES,
        "account {account}",
        ["UPDATE billing_ledgeraccount SET bought_nanos = bought_nanos + 1 WHERE id = {account}"],
    ),
    "a transfer was deleted": (
        inv.BALANCES,
        "account {account}",
        [NO_TRANSFER_GUARD, "DELETE FROM billing_transfer WHERE credit_id = {account} AND kind = 'sale'"],
    ),
    "the promotional part went negative": (
        inv.NOT_OVERDRAWN,
        "account {account}",
        [
            NO_OVERDRAFT_CHECK,
            "UPDATE billing_ledgeraccount SET earned_nanos = posted_nanos, bought_nanos = 1"
            " WHERE id = {account}",
        ],
    ),
    "more is held than owned": (
        inv.NOT_OVERDRAWN,
        "account {account}",
        [
            NO_OVERDRAFT_CHECK,
            "UPDATE billing_ledgeraccount SET held_nanos = posted_nanos + 1 WHERE id = {account}",
        ],
    ),
    "a hold was forgotten": (
        inv.HELD,
        "account {account}",
        ["UPDATE billing_ledgeraccount SET held_nanos = 0 WHERE id = {account}"],
    ),
    "the hoster's transfer is missing": (
        inv.BOOKED,
        "charge {posted}",
        [NO_TRANSFER_GUARD, "DELETE FROM billing_transfer WHERE charge = '{posted}' AND kind = 'charge'"],
    ),
    "the fee is missing": (
        inv.BOOKED,
        "charge {posted}",
        [NO_TRANSFER_GUARD, "DELETE FROM billing_transfer WHERE charge = '{posted}' AND kind = 'fee'"],
    ),
    "the amount of a transfer was changed": (
        inv.BOOKED,
        "charge {posted}",
        [
            NO_TRANSFER_GUARD,
            "UPDATE billing_transfer SET amount_nanos = amount_nanos + 1"
            " WHERE charge = '{posted}' AND kind = 'charge'",
        ],
    ),
    "a transfer went to somebody else": (
        inv.BOOKED,
        "charge {posted}",
        [
            NO_TRANSFER_GUARD,
            "UPDATE billing_transfer SET credit_id = debit_id, debit_id = credit_id"
            " WHERE charge = '{posted}'",
        ],
    ),
    "promotional money was made payable": (
        inv.BOOKED,
        "charge {posted}",
        [
            NO_TRANSFER_GUARD,
            "UPDATE billing_transfer SET bought_nanos = amount_nanos"
            " WHERE charge = '{posted}' AND kind = 'charge'",
        ],
    ),
    "a voided charge was paid": (
        inv.NOT_BOOKED_OTHERWISE,
        "transfer {stray}",
        [
            INTO_TRANSFERS + " VALUES ('{stray}', 'charge', {account}, {pending}, 5, 0, 0, '{voided}')",
        ],
    ),
    "a charge was paid twice": (
        inv.NOT_BOOKED_OTHERWISE,
        "transfer {stray}",
        [
            INTO_TRANSFERS + " SELECT '{stray}', kind, debit_id, credit_id, amount_nanos, 0, 0, charge"
            " FROM billing_transfer WHERE charge = '{posted}' AND kind = 'charge'",
        ],
    ),
    "a charge disappeared after it was paid": (
        inv.NOT_BOOKED_OTHERWISE,
        None,
        [NO_CHARGE_GUARD, "DELETE FROM billing_charge WHERE id = '{posted}'"],
    ),
    "fee and net do not add up": (
        inv.EXACT,
        "charge {posted}",
        [
            NO_CHARGE_GUARD,
            NO_EXACT_CHECK,
            "UPDATE billing_charge SET fee_nanos = fee_nanos + 1 WHERE id = '{posted}'",
        ],
    ),
    "tokens were changed afterwards": (
        inv.EXACT,
        "charge {posted}",
        [
            NO_CHARGE_GUARD,
            NO_EXACT_CHECK,
            "UPDATE billing_charge SET input_tokens = input_tokens - 1 WHERE id = '{posted}'",
        ],
    ),
    "a charge is above its hold": (
        inv.EXACT,
        "charge {posted}",
        [NO_CHARGE_GUARD, NO_EXACT_CHECK, "UPDATE billing_charge SET hold_nanos = 1 WHERE id = '{posted}'"],
    ),
    "somebody else's key": (
        inv.PAYER,
        "charge {posted}",
        [
            NO_CHARGE_GUARD,
            "UPDATE billing_charge SET key_id = (SELECT max(id) FROM accounts_apikey"
            " WHERE customer_id <> {customer})"
            " WHERE id = '{posted}'",
        ],
    ),
    "a refund belongs to no transfer": (
        inv.REVERSED,
        "transfer {stray}",
        [INTO_TRANSFERS + " VALUES ('{stray}', 'refund', {pending}, {account}, 5, 0, 0, '{posted}')"],
    ),
    "more was given back than was charged": (
        inv.REVERSED,
        None,
        [
            INTO_TRANSFERS + " SELECT billing_transfer_id(charge, 3), 'refund', credit_id, debit_id,"
            " amount_nanos + 1, earned_nanos, bought_nanos, charge"
            " FROM billing_transfer WHERE charge = '{posted}' AND kind = 'charge'",
        ],
    ),
    "somebody else got the refund": (
        inv.REVERSED,
        None,
        [
            REVERSED_IN_PART,
            NO_TRANSFER_GUARD,
            "UPDATE billing_transfer SET credit_id = (SELECT max(id) FROM billing_ledgeraccount"
            " WHERE kind = 'customer' AND id <> {account}) WHERE charge = '{posted}' AND kind = 'refund'",
        ],
    ),
    "promotional credit came back as bought": (
        inv.REVERSED,
        None,
        [
            REVERSED_IN_PART,
            NO_TRANSFER_GUARD,
            "UPDATE billing_transfer SET bought_nanos = 1 WHERE charge = '{posted}' AND kind = 'refund'",
        ],
    ),
    "the platform kept the fee of what was given back": (
        inv.SPLIT,
        "charge {posted}",
        [
            REVERSED_IN_PART,
            NO_TRANSFER_GUARD,
            "DELETE FROM billing_transfer WHERE id = billing_transfer_id('{posted}', 4)",
        ],
    ),
    "the limit of the key was not given back": (
        inv.SPEND_WINDOWS,
        "key {key}",
        [
            REVERSED_IN_PART,
            "UPDATE billing_spendwindow SET spent_nanos = spent_nanos + 30000 WHERE key_id = {key}",
        ],
    ),
    "what was given back is still pending": (
        inv.MATURITIES,
        "account {pending}",
        [
            REVERSED_IN_PART,
            "UPDATE billing_maturity SET amount_nanos = amount_nanos + 24000 WHERE account_id = {pending}",
        ],
    ),
    "the platform gave to itself": (
        inv.DIRECTIONS,
        "transfer {stray}",
        [
            INTO_TRANSFERS + " VALUES ('{stray}', 'release', {account}, {pending}, 5, 0, 0, NULL)",
        ],
    ),
    "a maturity disappeared": (
        inv.PENDING,
        "account {pending}",
        ["DELETE FROM billing_maturity WHERE account_id = {pending}"],
    ),
    "a maturity was raised": (
        inv.MATURITIES,
        "account {pending}",
        ["UPDATE billing_maturity SET amount_nanos = amount_nanos + 1 WHERE account_id = {pending}"],
    ),
    "a maturity became payable": (
        inv.MATURITIES,
        "account {pending}",
        ["UPDATE billing_maturity SET payable_nanos = amount_nanos WHERE account_id = {pending}"],
    ),
    "earnings were released at once": (
        inv.NOT_EARLY,
        "account {pending}",
        [
            "UPDATE billing_maturity SET matures_at = app_now() WHERE account_id = {pending}",
            "SELECT * FROM billing_release(1000000)",
        ],
    ),
    "an earning was never released": (
        inv.NOT_OVERDUE,
        "account {pending}",
        [
            "UPDATE billing_maturity SET matures_at = app_now() - interval '16 minutes'"
            " WHERE account_id = {pending}"
        ],
    ),
    "a hold was never given back": (
        inv.NO_STALE_HOLD,
        "charge {held}",
        [
            NO_CHARGE_GUARD,
            "UPDATE billing_charge SET expires_at = app_now() - interval '3 minutes' WHERE id = '{held}'",
        ],
    ),
    "a key's spending was reset": (
        inv.SPEND_WINDOWS,
        "key {key}",
        ["UPDATE billing_spendwindow SET spent_nanos = 0 WHERE key_id = {key}"],
    ),
    "a key's spending disappeared": (
        inv.SPEND_WINDOWS,
        "key {key}",
        ["DELETE FROM billing_spendwindow WHERE key_id = {key}"],
    ),
    "a fee was taken without a charge": (
        inv.FEES,
        None,
        [
            INTO_TRANSFERS + " SELECT '{stray}', 'fee', {account}, id, 5, 0, 0, '{held}'"
            " FROM billing_ledgeraccount WHERE kind = 'platform_fees'",
        ],
    ),
    "the transfers may be edited": (inv.GUARDS, "trigger billing_transfer_append_only", [NO_TRANSFER_GUARD]),
    "the charges may be edited": (
        inv.GUARDS,
        "trigger billing_charge_settles_once",
        ["ALTER TABLE billing_charge DISABLE TRIGGER billing_charge_settles_once"],
    ),
    "one partition may be edited": (
        inv.GUARDS,
        "trigger billing_charge_no_delete",
        ["ALTER TABLE billing_charge_default DISABLE TRIGGER billing_charge_no_delete"],
    ),
    "a trigger was dropped": (
        inv.GUARDS,
        "trigger billing_charge_no_truncate",
        ["DROP TRIGGER billing_charge_no_truncate ON billing_charge"],
    ),
    "a function was dropped": (
        inv.GUARDS,
        "function billing_release",
        ["DROP FUNCTION billing_release(int)"],
    ),
    "a constraint was dropped": (
        inv.GUARDS,
        "constraint billing_ledgeraccount_not_overdrawn",
        [NO_OVERDRAFT_CHECK],
    ),
    "the hourly sums lost a request": (
        requests.USAGE_HOURS,
        "customer {customer}",
        ["UPDATE routing_usagehour SET requests = requests - 1 WHERE customer_id = {customer}"],
    ),
    "the hourly sums lost money": (
        requests.USAGE_HOURS,
        "customer {customer}",
        ["DELETE FROM routing_usagehour WHERE customer_id = {customer}"],
    ),
    "the hoster's hourly sums lost money": (
        requests.OFFER_HOURS,
        "customer {hoster}",
        [
            "UPDATE routing_offerhour SET net_nanos = net_nanos - 1"
            " WHERE server_id IN (SELECT s.id FROM hosting_server s"
            " JOIN hosting_hoster h ON h.id = s.hoster_id WHERE h.customer_id = {hoster})"
        ],
    ),
    "a charge without a request": (
        requests.REQUESTS,
        "charge {posted}",
        ["DELETE FROM routing_inferencerequest WHERE id = '{posted}'"],
    ),
    "a request that shows another price": (
        requests.REQUESTS,
        "charge {posted}",
        ["UPDATE routing_inferencerequest SET cost_nanos = cost_nanos + 1 WHERE id = '{posted}'"],
    ),
    "a failed request that costs something": (
        requests.REQUESTS,
        "charge {voided}",
        ["UPDATE routing_inferencerequest SET cost_nanos = 1 WHERE id = '{voided}'"],
    ),
}


@pytest.mark.parametrize("damage", CORRUPTIONS)
def test_the_audit_notices_when(damage: str, scene: Scene):
    invariant, subject, statements = CORRUPTIONS[damage]
    differences = found(*statements, scene=scene)
    subjects = {name for broken, name in differences if broken == invariant.name}
    if subject is None:
        assert subjects
    else:
        assert subject.format(**asdict(scene)) in subjects


def test_the_command_says_so_when_the_books_are_sound(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(books, "differences", lambda cursor, invariants: [])
    call_command("audit")
    assert capsys.readouterr().out.startswith(f"The books are sound: {len(EVERYTHING)} invariants hold over ")


def test_the_command_fails_and_names_the_rows_otherwise(monkeypatch: pytest.MonkeyPatch, capsys):
    rows = [
        books.Difference(inv.HELD.name, f"account {n}", "holds 5; its held charges say 0") for n in range(23)
    ]
    monkeypatch.setattr(books, "differences", lambda cursor, invariants: rows)
    with pytest.raises(CommandError, match="23 differences"):
        call_command("audit")
    out = capsys.readouterr().out
    assert out.startswith(f"Not true: {inv.HELD.name}. 23 rows differ:")
    assert "account 19: holds 5" in out
    assert "account 20:" not in out
    assert "… and 3 more" in out


def test_the_audit_cannot_change_anything():
    with pytest.raises(Exception, match="read-only transaction"), books.snapshot() as cursor:
        cursor.execute("UPDATE billing_ledgeraccount SET posted_nanos = 0")


def test_the_sums_by_kind_of_account_add_up_to_zero_only_while_stored_balances_are_right(scene: Scene):
    with transaction.atomic(), connection.cursor() as cursor:
        sound = books.sums(cursor)
        cursor.execute(
            "UPDATE billing_ledgeraccount SET posted_nanos = posted_nanos + 1 WHERE id = %s", [scene.account]
        )
        forged = books.sums(cursor)
        transaction.set_rollback(True)
    assert set(sound) == set(LedgerAccount.Kind.values)
    assert (sum(sound.values()), sum(forged.values())) == (0, 1)
