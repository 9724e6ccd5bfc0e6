"""Any history of money operations: every answer and every balance is what the auditor's model says.

Each example has customers, hosters and keys of its own and a clock that stands still between steps.
"""

import datetime as dt
import os
import uuid
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection
from hypothesis import HealthCheck
from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from accounts.models import ApiKey, Customer, Tier, User
from billing import audit as books
from billing import disputes, ledger, lifetime, payouts
from billing.models import Dispute, LedgerAccount, Payout
from billing.models import Transfer as TransferRow
from hosting.models import Hoster, Server
from routing import audit as requests
from routing import tasks as gateways
from routing.admission import Admission, Application, new_charge_id
from routing.settlement import Ending, Settlement
from tests.factories import unique
from tests.properties import auditor
from tests.properties.auditor import Auditor, Charge, Process, Transfer

START = dt.datetime(2020, 2, 28, 23, 57, 30, tzinfo=dt.UTC)  # near the end of a minute, a day and a month
LONG_AFTER = START + dt.timedelta(days=1_000)  # no example lasts so long
SLOW_TIER = auditor.Tier(requests_per_minute=6, tokens_per_minute=4_000, requests_per_day=15)
PROCESSES = (
    Process(str(uuid.uuid4()), alive=True, fee_bps=2_000, expiry_s=1_200),
    Process(str(uuid.uuid4()), alive=False, fee_bps=3_333, expiry_s=60),
    Process(str(uuid.uuid4()), alive=False, fee_bps=0, expiry_s=600),
    Process(str(uuid.uuid4()), alive=False, fee_bps=10_000, expiry_s=600),
)
LIMITS = (None, 0, 5_000, 3_000_000)
PERIODS = ("day", "week", "month", "total")

CLOCK = """
CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT coalesce(nullif(current_setting('tests.now', true), '')::timestamptz, now()) $$
"""
EVERY_BALANCE = """
SELECT 'account', id, NULL, posted_nanos, held_nanos, earned_nanos, bought_nanos
  FROM billing_ledgeraccount WHERE id = ANY (%(accounts)s)
UNION ALL
SELECT 'maturity', account_id, matures_at, amount_nanos, payable_nanos, 0, 0
  FROM billing_maturity WHERE account_id = ANY (%(pending)s)
UNION ALL
SELECT 'window', key_id, starts_at, spent_nanos, held_nanos, 0, 0
  FROM billing_spendwindow WHERE key_id = ANY (%(keys)s) AND spent_nanos + held_nanos > 0
UNION ALL
SELECT 'rate ' || span, customer_id, starts_at, requests, tokens, 0, 0
  FROM billing_ratewindow WHERE customer_id = ANY (%(customers)s) AND requests + tokens > 0
UNION ALL
SELECT 'debt', account_id, NULL, owed_nanos, 0, 0, 0
  FROM billing_debt WHERE account_id = ANY (%(pending)s) AND owed_nanos > 0
UNION ALL
SELECT 'moved ' || kind, min(debit_id * 0), NULL, sum(amount_nanos), count(*), sum(earned_nanos), sum(bought_nanos)
  FROM billing_transfer WHERE debit_id = ANY (%(accounts)s || %(pending)s) GROUP BY kind
"""
EVERY_CHARGE = """
SELECT id, state, spend_window, hold_nanos, price_in, price_out, payee, input_tokens_max, output_tokens_max, quote,
       input_tokens, output_tokens, gross_nanos, fee_nanos, net_nanos, payable_nanos, matures_at, void_reason
  FROM billing_charge WHERE account_id = ANY (%s)
"""
EVERY_TRANSFER = """
SELECT kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos, charge
  FROM billing_transfer WHERE debit_id = ANY (%(all)s) OR credit_id = ANY (%(all)s)
"""

few = st.integers(0, 7)  # picks one of a few
wishes = st.lists(
    st.tuples(
        few,  # key
        st.lists(
            st.tuples(few, st.sampled_from([0, 1, 3, 1_003]), st.sampled_from([0, 2, 11, 1_000])),
            min_size=1, max_size=3,
        ),  # a server and its prices
        st.sampled_from([0, 1, 7, 999]),  # prompt tokens
        st.sampled_from([1, 5, 1_000]),  # output tokens
        st.booleans(),  # max_tokens was given
        st.sampled_from([1, 1, 3]),  # choices
        st.sampled_from(["", "", "", "", "", "stale", "stranger", "introduce"]),
    ),
    min_size=1, max_size=5,
)  # fmt: skip
steps = st.sampled_from(
    ["approve", "approve", "reject", "cancel", "pay", "pay", "fail", "came_back"]
)  # of a payout
histories = st.sampled_from(
    [
        ("approve", "pay"),
        ("approve", "pay", "came_back"),
        ("approve", "fail"),
        ("reject",),
        ("cancel",),
        ("pay",),
    ]
)
share = st.sampled_from([(0, 1), (1, 1), (1, 2), (2, 3)])
kept = st.lists(st.tuples(st.integers(0, 63), share, share), min_size=1, max_size=4)
endings = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 3), share, share), min_size=1, max_size=6)


class Cursor:
    """A synchronous cursor where the two trips expect an asynchronous connection."""

    async def execute(self, statement: str, parameters: tuple) -> "Cursor":
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            self.rows = cursor.fetchall()
        return self

    async def fetchall(self) -> list[tuple]:
        return self.rows


def finish(trip: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        trip.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


def execute(statement: str, parameters: Any = None) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def set_clock(now: dt.datetime | None) -> None:
    execute("SELECT set_config('tests.now', %s, false)", [now.isoformat() if now else ""])


def close_everything() -> None:
    set_clock(LONG_AFTER)
    while ledger.void_expired() or ledger.release()[0]:
        pass


class MoneyMachine(RuleBasedStateMachine):
    """The database beside the model: each rule asks both the same."""

    steps_taken = 0
    staff: User
    kinds: set[str]  # of the transfers that any example made
    names: set[str]  # how the audit calls what the examples made

    def __init__(self) -> None:
        super().__init__()
        close_everything()  # an earlier example may have failed half-way
        self.batch: list[Application] = []
        self.brought_by = PROCESSES[0]
        self.endings: list[Ending] = []
        self.hold_s = 60
        self.reversals: list[tuple[str, int, int]] = []
        self.at_our_loss = False
        self.payouts: list[Payout] = []

    @initialize(
        limits=st.tuples(few, few),
        grant=st.sampled_from([0, 999, 10**7]),
        sale=st.sampled_from([0, 5, 10**6]),
    )
    def open(self, limits: tuple[int, int], grant: int, sale: int) -> None:
        users = User.objects.bulk_create([User(email=f"{unique('user')}@example.org") for _ in range(4)])
        tiers = ("internal", "internal", "internal", "machine")
        self.customers = Customer.objects.bulk_create(
            [Customer(user=user, tier_id=tier) for user, tier in zip(users, tiers, strict=True)]
        )
        zeros = {"posted_nanos": 0, "held_nanos": 0, "earned_nanos": 0, "bought_nanos": 0}
        rows = [LedgerAccount(kind="customer", customer=customer, **zeros) for customer in self.customers]
        owners = self.customers[1:3]
        rows += [LedgerAccount(kind="hoster_pending", customer=customer) for customer in owners]
        rows += [LedgerAccount(kind="hoster_disputed", customer=customer) for customer in owners]
        rows = LedgerAccount.objects.bulk_create(rows)
        accounts = {row.customer_id: auditor.Account(row.pk, row.customer_id) for row in rows[:4]}
        hosters = Hoster.objects.bulk_create(
            [Hoster(customer=owner, name=unique("hoster")) for owner in owners]
        )
        servers = Server.objects.bulk_create(
            [Server(kind="hoster", hoster=h, name="s", base_url=f"http://{unique('s')}") for h in hosters]
            + [Server(kind="cloud", name="s", base_url=f"http://{unique('s')}")]
        )
        self.servers = [
            (server.pk, payee) for server, payee in zip(servers, [rows[4].pk, rows[5].pk, 0], strict=True)
        ]
        digests = [os.urandom(32) for _ in range(8)]
        keys = ApiKey.objects.bulk_create(
            ApiKey(
                customer=self.customers[n % 4], name="k", digest=digest, visible_part="k",
                spend_limit_nanos=LIMITS[limits[n % 2] % 4] if n >= 4 else None, spend_period=PERIODS[n % 4],
            )
            for n, digest in enumerate(digests)
        )  # fmt: skip
        self.keys = [
            auditor.Key(
                row.pk, digest.hex(), accounts[row.customer_id], row.spend_limit_nanos, row.spend_period
            )
            for row, digest in zip(keys, digests, strict=True)
        ]
        platform = dict(LedgerAccount.objects.filter(customer=None).values_list("kind", "pk"))
        self.model = Auditor(
            now=START,
            accounts=accounts,
            owners={row.pk: row.customer_id for row in rows[4:6]},
            frozen={rows[4].pk: rows[6].pk, rows[5].pk: rows[7].pk},
            keys={key.digest: key for key in self.keys},
            tiers={c.pk: SLOW_TIER if c.tier_id == "machine" else auditor.Tier() for c in self.customers},
            versions={server.pk: 1 for server in servers},
            fees_account=platform["platform_fees"],
            promotions_account=platform["platform_promotions"],
            sales_account=platform["platform_sales"],
            loss_account=platform["platform_loss"],
            payouts_account=platform["platform_payouts"],
            paid_account=platform["platform_paid"],
        )
        self.names.update(f"account {row.pk}" for row in rows)
        self.names.update(f"key {row.pk}" for row in keys)
        self.names.update(f"customer {row.pk}" for row in self.customers)
        set_clock(START)
        for customer in range(4):
            if grant:
                self.credit(customer, "grant", grant, "first")
            if sale:
                self.credit(customer, "sale", sale, "first")

    # ------------------------------------------------------------------------------------------------------ steps

    @rule(
        who=few,
        kind=st.sampled_from(["grant", "sale"]),
        amount=st.sampled_from([1, 1_000, 10**6, 10**15]),
        reference=st.sampled_from(["first", "a", "b", "c"]),
    )
    def credit(self, who: int, kind: str, amount: int, reference: str) -> None:
        customer = self.customers[who % 4]
        book = ledger.sell if kind == "sale" else ledger.grant
        expected = self.model.credit(kind, customer.pk, amount, reference)
        assert book(customer=customer, amount_nanos=amount, reference=reference, reason="test") == expected

    @rule(batch=wishes, process=st.sampled_from(PROCESSES))
    def admit(self, batch: list[tuple], process: Process) -> None:
        self.batch, self.brought_by = [self.application(*wish) for wish in batch], process
        self.carry(again=False)

    @rule(batch=wishes)
    def admit_from_a_living_process(self, batch: list[tuple]) -> None:
        self.admit(batch, PROCESSES[0])

    @rule()
    def admit_the_last_batch_again(self) -> None:
        """Its commit was unknown: what is held already is answered, what was refused is tried anew."""
        if self.batch:
            self.carry(again=True)

    @rule(batch=endings, hold_s=st.sampled_from([60, 600, 86_400]))
    def settle(self, batch: list[tuple], hold_s: int) -> None:
        held = self.held
        self.endings = [self.ending(held[which % len(held)], *how) for which, *how in batch] if held else []
        self.hold_s = hold_s
        self.settle_the_last_batch_again()

    @rule(batch=endings)
    def settle_for_a_minute(self, batch: list[tuple]) -> None:
        self.settle(batch, 60)

    @rule()
    def settle_the_last_batch_again(self) -> None:
        if self.endings:
            self.endings.sort(
                key=lambda ending: ending.charge
            )  # the order of a batch is the database's to choose
            expected = self.model.settle(self.endings, hold_s=self.hold_s)
            found = self.booked(self.endings)
            assert [(one.stands, one.gross_nanos) for one in found] == [
                (one.stands, one.gross_nanos) for one in expected
            ]
            if len({ending.charge for ending in self.endings}) == len(self.endings):
                assert found == expected

    @rule(batch=endings)
    def settle_whatever_it_is(self, batch: list[tuple]) -> None:
        """Posted after voided, voided after posted, never admitted."""
        charges = list(self.model.charges.values())
        strangers = (
            [self.ending(charges[0], *how, name=new_charge_id()) for _, *how in batch[:1]] if charges else []
        )
        self.endings = [self.ending(charges[which % len(charges)], *how) for which, *how in batch if charges]
        self.endings += strangers
        self.settle_the_last_batch_again()

    @rule(which=few, beyond=st.sampled_from(["input", "output", "negative", "quote"]), beside=endings)
    def settle_beyond_what_is_allowed(self, which: int, beyond: str, beside: list[tuple]) -> None:
        """It is refused, and with it the whole batch."""
        if held := self.held:
            charge = held[which % len(held)]
            most = (charge.application.input_max, charge.output_max * charge.application.choices)
            quote, tokens = {
                "input": (1, (most[0] + 1, 0)),
                "output": (1, (0, most[1] + 1)),
                "negative": (1, (-1, most[1])),
                "quote": (len(charge.application.payee) + 1, (0, 0)),
            }[beyond]
            bad = ending(charge, quote, *tokens)
            others = [self.ending(held[which % len(held)], *how) for which, *how in beside]
            with pytest.raises(IntegrityError):
                self.booked([bad, *others])

    @rule(which=st.lists(st.integers(0, 63), min_size=1, max_size=4))
    def void(self, which: list[int]) -> None:
        if charges := list(self.model.charges):
            names = [charges[n % len(charges)] for n in which]
            expected = self.model.void(names, "test")
            assert ledger.void(charges=[uuid.UUID(name) for name in names], reason="test") == expected

    @rule(rows_max=st.sampled_from([1, 1_000]))
    def sweep_expired(self, rows_max: int) -> None:
        expected = self.model.void_expired()
        found = 0
        while voided := ledger.void_expired(rows_max=rows_max):
            found += voided
        assert found == expected

    @rule()
    def sweep_dead_processes(self) -> None:
        expected = self.model.void_of({process.boot for process in PROCESSES if not process.alive})
        assert gateways.void_holds_of_dead_processes() == expected

    @rule(batch=kept, at_our_loss=st.booleans())
    def reverse(self, batch: list[tuple], at_our_loss: bool) -> None:
        posted, self.at_our_loss = self.posted, at_our_loss
        self.reversals = [reversal(posted[which % len(posted)], *how) for which, *how in batch if posted]
        self.reverse_the_last_batch_again()

    @rule(wanted=wishes, served=endings, batch=kept, released=st.booleans(), at_our_loss=st.booleans())
    def reverse_what_was_just_served(
        self, wanted: list[tuple], served: list[tuple], batch: list[tuple], released: bool, at_our_loss: bool
    ) -> None:
        """A history that chance alone seldom finds: pending, or released just before."""
        self.admit_from_a_living_process(wanted)
        self.settle_for_a_minute(served)
        if released:
            self.wait_for_the_next_maturity(0)
            self.release(1_000)
        self.reverse(batch, at_our_loss)

    @rule(batch=kept)
    def reverse_whatever_it_is(self, batch: list[tuple]) -> None:
        """Held, voided, released, reversed before, never admitted."""
        charges = list(self.model.charges.values())
        self.reversals = [(new_charge_id(), 0, 0)]
        self.reversals += [reversal(charges[which % len(charges)], *how) for which, *how in batch if charges]
        self.reverse_the_last_batch_again()

    @rule()
    def reverse_the_last_batch_again(self) -> None:
        expected = self.model.reverse(self.reversals, at_our_loss=self.at_our_loss)
        found = give_back(self.reversals, at_our_loss=self.at_our_loss)
        assert [(one.status, one.gross_back_nanos, one.net_back_nanos) for one in found] == expected

    @rule(which=few, beyond=st.sampled_from([(1, 0), (0, 1), (-(10**9), 0)]), beside=kept)
    def keep_more_than_was_billed(self, which: int, beyond: tuple[int, int], beside: list[tuple]) -> None:
        """It is refused, and with it the whole batch."""
        if posted := self.posted:
            charge = posted[which % len(posted)]
            tokens = charge.tokens[0] + beyond[0], charge.tokens[1] + beyond[1]
            others = [reversal(posted[which % len(posted)], *how) for which, *how in beside]
            with pytest.raises(IntegrityError, match="cannot keep"):
                give_back([*others, (charge.application.charge, *tokens)])

    @rule(which=st.integers(0, 63), stranger=st.booleans())
    def dispute(self, which: int, stranger: bool) -> None:
        """Of one's own request or of somebody else's; the newest first."""
        if charges := list(reversed(self.model.charges.values())):
            charge = charges[which % len(charges)]
            owner = self.customer(charge.key.account.customer)
            who = self.customers[(self.customers.index(owner) + stranger) % 4]
            expected = self.model.dispute(charge.application.charge, who.pk)
            charge_id = uuid.UUID(charge.application.charge)
            assert opened(customer=who, charge=charge_id, reason="other", detail="test") == expected

    @rule(which=few, upheld=st.booleans())
    def decide(self, which: int, upheld: bool) -> None:
        """The newest first; those that are decided already, too."""
        if disputed := [charge for charge in reversed(self.model.charges.values()) if charge.dispute]:
            name = disputed[which % len(disputed)].application.charge
            dispute = Dispute.objects.get(charge=name)
            expected = self.model.decide(name, upheld)
            try:
                disputes.decide(dispute=dispute, upheld=upheld, verdict="test", actor=self.staff)
            except disputes.Undecidable:
                assert not expected
            else:
                assert expected

    @rule(wanted=wishes, served=endings, upheld=st.booleans(), late=st.booleans())
    def dispute_what_was_just_served(
        self, wanted: list[tuple], served: list[tuple], upheld: bool, late: bool
    ) -> None:
        """The verdict comes before or after the earning would have matured."""
        self.admit_from_a_living_process(wanted)
        self.settle_for_a_minute(served)
        self.dispute(0, False)
        if late:
            self.wait(600)
        self.decide(0, upheld)

    @rule(who=few, of_earned=share, more=st.sampled_from([0, 0, 0, 1]))
    def ask_for_a_payout(self, who: int, of_earned: tuple[int, int], more: int) -> None:
        """A part of what was earned, all of it, or a nanodollar too much."""
        customer = self.customers[1 + who % 2]
        earned = self.model.accounts[customer.pk].earned
        amount = max(earned * of_earned[0] // of_earned[1], 1) + more
        expected = self.model.ask_payout(customer.pk, amount)
        try:
            self.payouts.append(
                payouts.ask(customer=customer, amount_nanos=amount, method="crypto", destination="0x1")
            )
        except payouts.PayoutRefused:
            assert not expected
        else:
            assert expected

    @rule(who=few, steps=histories, lost=st.booleans(), of_earned=share)
    def cash_out(self, who: int, steps: tuple[str, ...], lost: bool, of_earned: tuple[int, int]) -> None:
        """Bought credit is spent and released (and perhaps given back at our loss), and a payout takes its steps."""
        self.credit(0, "sale", 10**6, "cash")
        for _ in range(1 + lost):
            self.serve_one_and_release(who % 2)
            if lost and self.posted:
                self.at_our_loss, self.reversals = True, [reversal(self.posted[0], (0, 1), (0, 1))]
                self.reverse_the_last_batch_again()
        self.serve_one_and_release(who % 2)
        self.ask_for_a_payout(who, of_earned, 0)
        for step in steps:
            self.step_a_payout(len(self.payouts) - 1, step)

    def serve_one_and_release(self, server: int) -> None:
        """Of the first customer, whose first key has no limit unless a rule gave it one."""
        self.admit_from_a_living_process([(0, [(server, 1_003, 11)], 7, 5, True, 1, "")])
        newest = self.batch[0].charge
        if newest in self.model.charges:
            self.endings, self.hold_s = [self.ending(self.model.charges[newest], 1, (1, 1), (1, 1))], 60
            self.settle_the_last_batch_again()
        self.wait_for_the_next_maturity(0)
        self.release(1_000)

    @rule(which=few, step=steps)
    def step_a_payout(self, which: int, step: str) -> None:
        if self.payouts:
            which %= len(self.payouts)
            expected = self.model.step_payout(self.model.payouts[which], step)
            payout = Payout.objects.get(pk=self.payouts[which].pk)
            words = {
                "reject": {"reason": "test"},
                "fail": {"reason": "test"},
                "came_back": {"reason": "test"},
                "pay": {"reference": str(payout.pk)},
            }
            try:
                getattr(payouts, step)(payout=payout, actor=self.staff, **words.get(step, {}))
            except payouts.PayoutRefused:
                assert not expected
            else:
                assert expected

    @rule(who=few, amount=st.sampled_from([1, 1_000, 10**6]), reference=st.sampled_from(["a", "b", "c", "d"]))
    def claw_back(self, who: int, amount: int, reference: str) -> None:
        customer = self.customers[who % 4]
        expected = self.model.claw_back(customer.pk, amount, reference)
        found = ledger.claw_back(customer=customer, amount_nanos=amount, reference=reference, reason="test")
        assert found == expected

    @rule(rows_max=st.sampled_from([1, 1_000]))
    def release(self, rows_max: int) -> None:
        expected = self.model.release()
        found = (0, 0)
        while (released := ledger.release(rows_max=rows_max))[0]:
            found = (found[0] + released[0], found[1] + released[1])
        assert found == expected

    @rule(seconds=st.sampled_from([1, 29, 59, 60, 61, 600, 1_200, 86_340, 86_400, 31 * 86_400]))
    def wait(self, seconds: int) -> None:
        self.model.now += dt.timedelta(seconds=seconds)
        set_clock(self.model.now)

    @rule(delay_s=st.sampled_from([-1, 0]))
    def wait_for_the_next_maturity(self, delay_s: int) -> None:
        """Until the second before it, or until it."""
        if later := [at for _, at in self.model.maturities if at > self.model.now]:
            self.wait(int((min(later) - self.model.now).total_seconds()) + delay_s)

    @rule(which=few, limit=st.sampled_from(LIMITS), period=st.sampled_from(PERIODS))
    def change_a_keys_limit(self, which: int, limit: int | None, period: str) -> None:
        key = self.keys[which]
        key.limit, key.period = limit, period
        ApiKey.objects.filter(pk=key.id).update(spend_limit_nanos=limit, spend_period=period)

    @rule(which=few, revoked=st.booleans())
    def revoke_a_key(self, which: int, revoked: bool) -> None:
        key = self.keys[which]
        key.revoked = revoked
        ApiKey.objects.filter(pk=key.id).update(revoked_at=self.model.now if revoked else None)

    @rule(which=few)
    def change_a_server(self, which: int) -> None:
        server, _ = self.servers[which % 3]
        self.model.versions[server] += 1
        Server.objects.filter(pk=server).update(name=f"version {self.model.versions[server]}")

    # ------------------------------------------------------------------------------------------- what must be true

    @invariant()
    def every_balance_is_the_models(self) -> None:
        if not hasattr(self, "model"):
            return
        type(self).steps_taken += 1
        model = self.model
        expected: set[tuple] = {
            ("account", a.id, None, a.posted, a.held, a.earned, a.bought) for a in model.accounts.values()
        }
        expected |= {
            ("maturity", account, at, *amounts, 0, 0) for (account, at), amounts in model.maturities.items()
        }
        expected |= {("window", *key, *sums, 0, 0) for key, sums in model.windows.items() if any(sums)}
        expected |= {
            (f"rate {span}", who, at, *sums, 0, 0)
            for (who, span, at), sums in model.rates.items()
            if any(sums)
        }
        expected |= {("debt", account, None, owed, 0, 0, 0) for account, owed in model.debts.items() if owed}
        own = {account.id for account in model.accounts.values()} | {*model.owners, *model.frozen.values()}
        for kind in {transfer.kind for transfer in model.transfers}:
            if moved := [t for t in model.transfers if t.kind == kind and t.debit in own]:
                amount, earned, bought = (
                    sum(getattr(t, field) for t in moved) for field in ("amount", "earned", "bought")
                )
                expected.add((f"moved {kind}", 0, None, amount, len(moved), earned, bought))
        found = set(
            execute(
                EVERY_BALANCE,
                {
                    "accounts": [account.id for account in model.accounts.values()],
                    "pending": [*model.owners, *model.frozen.values()],
                    "keys": [key.id for key in self.keys],
                    "customers": list(model.accounts),
                },
            )
        )
        assert found == expected

    def teardown(self) -> None:
        """At the end every charge and every transfer is the model's."""
        if not hasattr(self, "model"):
            return
        accounts = [account.id for account in self.model.accounts.values()]
        charges = {
            row[0].hex: (*row[1:10], row[10:12] if row[10] is not None else None, *row[12:])
            for row in execute(EVERY_CHARGE, [accounts])
        }
        assert charges == {name: charge.row for name, charge in self.model.charges.items()}
        self.everything_that_was_earned_is_somewhere()
        model = self.model
        self.kinds.update(transfer.kind for transfer in model.transfers)
        found = execute(EVERY_TRANSFER, {"all": [*accounts, *model.owners, *model.frozen.values()]})
        transfers = [Transfer(*row[:6], row[6].hex if row[6] else None) for row in found]
        order = {"key": lambda t: (t.kind, t.debit, t.credit, t.amount, t.earned, t.bought, t.charge or "")}
        outside = (model.payouts_account, model.paid_account)
        expected = [t for t in model.transfers if (t.debit, t.credit) != outside]
        assert sorted(transfers, **order) == sorted(expected, **order)

    def everything_that_was_earned_is_somewhere(self) -> None:
        for pending, owner in self.model.owners.items():
            nets = [
                c.net
                for c in self.model.charges.values()
                if c.quote and c.application.payee[c.quote - 1] == pending
            ]
            found = lifetime.of(self.customer(owner))
            assert found.earned_nanos == sum(nets)
            assert found.owed_nanos == self.model.debts[pending]
            assert (
                min(found.spent_nanos, found.available_nanos, found.in_payout_nanos, found.paid_out_nanos)
                >= 0
            )
            account = self.model.accounts[owner]
            assert account.earned <= found.available_nanos <= account.posted - account.bought

    # -------------------------------------------------------------------------------------------------- the parts

    def customer(self, pk: int) -> Customer:
        return next(customer for customer in self.customers if customer.pk == pk)

    @property
    def held(self) -> list[Charge]:
        return [charge for charge in self.model.charges.values() if charge.state == "held"]

    @property
    def posted(self) -> list[Charge]:
        """The newest first: small numbers, which are drawn most, mean what was just served."""
        return [charge for charge in reversed(self.model.charges.values()) if charge.state == "posted"]

    def application(
        self,
        key: int,
        quotes: list[tuple],
        prompt: int,
        output: int,
        explicit: bool,
        choices: int,
        twist: str,
    ) -> Application:
        digest = "00" * 32 if twist == "stranger" else self.keys[key].digest
        if twist == "introduce":
            return Application(new_charge_id(), digest, "", 0, 0, True, 1, (), (), (), (), ())
        served = [self.servers[which % 3] for which, _, _ in quotes]
        return Application(
            charge=new_charge_id(), digest=digest, model="any", input_max=prompt, output_asked=output,
            explicit=explicit, choices=choices, price_in=tuple(price for _, price, _ in quotes),
            price_out=tuple(price for _, _, price in quotes), payee=tuple(payee for _, payee in served),
            servers=tuple(server for server, _ in served),
            versions=tuple(self.model.versions[server] - (twist == "stale") for server, _ in served),
        )  # fmt: skip

    def carry(self, *, again: bool) -> None:
        process = self.brought_by
        expected = self.model.admit(process, self.batch, again=again)
        trip = Admission(
            "", boot=process.boot, fee_bps=process.fee_bps, expiry_s=process.expiry_s, rows_max=1_000,
            queue_max=None, wait_s=1, give_back=lambda charge: None,
        )  # fmt: skip
        assert finish(trip._admit(Cursor(), self.batch, again)) == expected

    def ending(
        self,
        charge: Charge,
        quote: int,
        of_input: tuple[int, int],
        of_output: tuple[int, int],
        name: str = "",
    ) -> Ending:
        wish = charge.application
        quote = min(quote, len(wish.payee))
        tokens_in = wish.input_max * of_input[0] // of_input[1]
        tokens_out = charge.output_max * wish.choices * of_output[0] // of_output[1]
        return ending(charge, quote, tokens_in, tokens_out, name=name)

    def booked(self, batch: list[Ending]) -> list:
        trip = Settlement("", hold_s=self.hold_s, rows_max=1_000, wait_s=1)
        return finish(trip._settle(Cursor(), batch, False))


def opened(**dispute: Any) -> str:
    """What became of a wish to dispute."""
    try:
        disputes.open_(**dispute)
    except disputes.DisputeRefused as refusal:
        return refusal.code
    return "frozen"


def ending(charge: Charge, quote: int, input_tokens: int, output_tokens: int, *, name: str = "") -> Ending:
    wish = charge.application
    served = 1 <= quote <= len(wish.servers)
    return Ending(
        charge=name or wish.charge, quote=quote, input_tokens=input_tokens if quote else 0,
        output_tokens=output_tokens if quote else 0, outcome="finished" if quote else "upstream_failed",
        success=quote > 0, model_asked="any", model="any", provider="hoster" if quote else "",
        server=wish.servers[quote - 1] if served else None, endpoint="chat", streamed=False, attempts=1,
        claimed_input=None, claimed_output=None, input_bytes=1, output_bytes=1, ttft_ms=None, latency_ms=1,
        failed_servers=(),
    )  # fmt: skip


def reversal(charge: Charge, of_input: tuple[int, int], of_output: tuple[int, int]) -> tuple[str, int, int]:
    billed = charge.tokens or (0, 0)
    kept = (billed[0] * of_input[0] // of_input[1], billed[1] * of_output[0] // of_output[1])
    return charge.application.charge, *kept


def give_back(batch: list[tuple[str, int, int]], *, at_our_loss: bool = False) -> list[ledger.Reversed]:
    reversals = [ledger.Reversal(uuid.UUID(name), *tokens) for name, *tokens in batch]
    return ledger.reverse(reversals=reversals, reason="test", at_our_loss=at_our_loss)


@pytest.fixture
def clock(settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The books' clock is what `set_clock` says, on this connection only; small payouts and many disputes."""
    settings.PAYOUT_MIN_NANOS = 1
    monkeypatch.setattr(disputes, "PER_DAY_MAX", 10**6)
    (definition,) = execute("SELECT pg_get_functiondef('app_now'::regproc)")[0]
    execute(CLOCK)
    yield
    set_clock(None)
    execute(definition)


def play(*, examples: int, steps_min: int) -> None:
    """Histories of up to 50 steps; then every invariant of the books and the requests, over all of them."""
    Tier.objects.update_or_create(
        name="machine",
        defaults={
            "requests_per_minute": SLOW_TIER.requests_per_minute,
            "tokens_per_minute": SLOW_TIER.tokens_per_minute,
            "requests_per_day": SLOW_TIER.requests_per_day,
        },
    )
    for process in PROCESSES:
        if process.alive:
            execute(
                "INSERT INTO routing_gatewayprocess (boot, started_at, heartbeat_at)"
                " VALUES (%s, now(), now() + interval '1 hour') ON CONFLICT DO NOTHING",
                [process.boot],
            )
    left = [charge for (charge,) in execute("SELECT id FROM billing_charge WHERE state = 'held'")]
    ledger.void(charges=left, reason="test")  # their processes would die meanwhile, and a sweep find them
    MoneyMachine.steps_taken, MoneyMachine.names, MoneyMachine.kinds = 0, set(), set()
    MoneyMachine.staff = User.objects.create_user(f"{unique('staff')}@example.org", is_staff=True)
    run_state_machine_as_test(
        MoneyMachine,
        settings=bounds(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    close_everything()
    with books.snapshot() as cursor:
        found = books.differences(cursor, (*books.INVARIANTS, *requests.INVARIANTS))
    assert [one for one in found if one.subject in MoneyMachine.names] == []
    assert MoneyMachine.steps_taken >= steps_min
    assert set(TransferRow.Kind.values) == MoneyMachine.kinds, "some kind of booking was never tried"


@pytest.mark.usefixtures("clock")
def test_any_history_of_money_is_what_the_model_says():
    play(examples=100, steps_min=4_000)


@pytest.mark.slow
@pytest.mark.usefixtures("clock")
def test_a_long_campaign_of_money_is_what_the_model_says():
    play(examples=1_250, steps_min=50_000)
