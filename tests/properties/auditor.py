"""What the books must answer and hold, worked out in plain Python, one charge at a time.

The database works on whole batches at once; the model is written from the rules and knows no batch.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from routing.admission import Application, Verdict
from routing.settlement import Ending, Receipt

MINUTE = dt.timedelta(minutes=1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Account:
    """A customer's: `posted` is all of it; what is neither earned nor bought was a present."""

    id: int
    customer: int
    posted: int = 0
    held: int = 0
    earned: int = 0
    bought: int = 0

    def spend(self, amount: int) -> tuple[int, int]:
        """Presents first, then what was bought, then what was earned: (bought part, earned part)."""
        promotional = self.posted - self.earned - self.bought
        bought = min(max(amount - promotional, 0), self.bought)
        earned = max(amount - promotional - self.bought, 0)
        self.posted, self.bought, self.earned = (
            self.posted - amount,
            self.bought - bought,
            self.earned - earned,
        )
        return bought, earned


@dataclass
class Key:
    id: int
    digest: str
    account: Account
    limit: int | None
    period: str
    revoked: bool = False


@dataclass(frozen=True)
class Tier:
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None


@dataclass
class Charge:
    application: Application
    key: Key
    window: dt.datetime | None
    hold: int
    output_max: int
    fee_bps: int
    boot: str
    expires_at: dt.datetime
    state: str = "held"
    quote: int | None = None
    tokens: tuple[int, int] | None = None
    gross: int | None = None
    fee: int | None = None
    net: int | None = None
    payable: int | None = None
    matures_at: dt.datetime | None = None
    reason: str | None = None
    settled_at: dt.datetime | None = None
    dispute: str | None = None  # open, upheld or rejected
    judged_at: dt.datetime | None = None  # when it was rejected

    @property
    def row(self) -> tuple[object, ...]:
        """As the database has it."""
        application = self.application
        prices = (list(application.price_in), list(application.price_out), list(application.payee))
        money = (self.gross, self.fee, self.net, self.payable, self.matures_at, self.reason)
        most = (application.input_max, self.output_max * application.choices)
        return (self.state, self.window, self.hold, *prices, *most, self.quote, self.tokens, *money)

    @property
    def due_at(self) -> dt.datetime | None:
        """When its earning matures: as booked, or the second after a verdict that came later."""
        if self.matures_at and self.judged_at:
            return max(self.matures_at, self.judged_at.replace(microsecond=0) + dt.timedelta(seconds=1))
        return self.matures_at


@dataclass(frozen=True, order=True)
class Transfer:
    kind: str
    debit: int
    credit: int
    amount: int
    earned: int
    bought: int
    charge: str | None = None


@dataclass(frozen=True)
class Process:
    """What a gateway process brings to an admission."""

    boot: str
    alive: bool
    fee_bps: int
    expiry_s: int


@dataclass
class Payout:
    customer: int
    amount: int
    state: str = "requested"


@dataclass
class Auditor:
    """The whole state; each method does one operation and returns what the database must answer."""

    now: dt.datetime
    accounts: dict[int, Account]  # by customer
    owners: dict[int, int]  # pending account: customer
    frozen: dict[int, int]  # pending account: disputed account
    keys: dict[str, Key]  # by digest
    tiers: dict[int, Tier]  # by customer
    versions: dict[int, int]  # by server
    fees_account: int
    promotions_account: int
    sales_account: int
    loss_account: int
    payouts_account: int
    paid_account: int
    window_s: int = 86_400  # in which a charge can be disputed
    debts: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # of pending accounts
    payouts: list[Payout] = field(default_factory=list)
    charges: dict[str, Charge] = field(default_factory=dict)
    transfers: list[Transfer] = field(default_factory=list)
    references: set[tuple[str, int, str]] = field(default_factory=set)
    maturities: dict[tuple[int, dt.datetime], tuple[int, int]] = field(default_factory=dict)
    windows: dict[tuple[int, dt.datetime], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    rates: dict[tuple[int, str, dt.datetime], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )

    def credit(self, kind: str, customer: int, amount: int, reference: str) -> bool:
        if (kind, customer, reference) in self.references:
            return False
        self.references.add((kind, customer, reference))
        account = self.accounts[customer]
        bought = amount if kind == "sale" else 0
        source = self.sales_account if kind == "sale" else self.promotions_account
        account.posted += amount
        account.bought += bought
        self.transfers.append(Transfer(kind, source, account.id, amount, 0, bought))
        return True

    def admit(self, process: Process, batch: Sequence[Application], *, again: bool = False) -> list[Verdict]:
        known = dict(self.charges) if again else {}
        return [self._admit(process, one, known.get(one.charge)) for one in batch]

    def _admit(self, process: Process, wish: Application, known: Charge | None) -> Verdict:
        key = self.keys.get(wish.digest)
        if key is None:
            return Verdict("unauthorized", None, None, 0, 0, 0, None, None)
        account, customer = key.account, key.account.customer

        def refuse(status: str) -> Verdict:
            return Verdict(status, customer, key.id, 0, 0, 0, None, None)

        if key.revoked:
            return refuse("revoked")
        if not wish.servers:
            return refuse("ok")  # only introduced
        if known is not None:
            return Verdict("ok", customer, key.id, known.output_max, known.hold, 0, None, None)
        if any(self.versions[s] != v for s, v in zip(wish.servers, wish.versions, strict=True)):
            return refuse("stale")

        free = room = account.posted - account.held
        window, spend_room = None, None
        if key.limit is not None:
            window = self._window(key.period)
            spent, held = self.windows.get((key.id, window), (0, 0))
            spend_room = max(key.limit - spent - held, 0)
            room = min(room, spend_room)
        cost_in = wish.input_max * max(wish.price_in)
        per_token = wish.choices * max(wish.price_out)
        output = wish.output_asked
        if not wish.explicit and per_token:
            output = min(output, max((room - cost_in) // per_token, 1))
        hold = cost_in + output * per_token

        tier = self.tiers[customer]
        minute, day = self.now.replace(second=0), self.now.replace(hour=0, minute=0, second=0)
        in_minute, tokens = self.rates.get((customer, "minute", minute), (0, 0))
        in_day, _ = self.rates.get((customer, "day", day), (0, 0))
        if spend_room is not None and hold > spend_room:
            status = "spend_limit"
        elif hold > room:
            status = "insufficient_credit" if hold > account.posted else "credit_reserved"
        elif _reached(in_minute, tier.requests_per_minute):
            status = "rate_minute"
        elif _reached(in_day, tier.requests_per_day):
            status = "rate_day"
        elif _reached(tokens, tier.tokens_per_minute):
            status = "rate_tokens"
        else:
            status = "ok"
            in_minute += 1
            self.rates[customer, "minute", minute][0] += 1
            self.rates[customer, "day", day][0] += 1
            account.held += hold
            if window is not None:
                self.windows[key.id, window][1] += hold
            expires_at = self.now + dt.timedelta(seconds=process.expiry_s)
            self.charges[wish.charge] = Charge(
                wish, key, window, hold, output, process.fee_bps, process.boot, expires_at
            )
        limit = tier.requests_per_minute
        left = None if limit is None else max(limit - in_minute, 0)
        return Verdict(status, customer, key.id, output, hold, free, limit, left or 0)

    def settle(self, batch: Sequence[Ending], *, hold_s: int) -> list[Receipt]:
        receipts: dict[str, Receipt] = {}
        for ending in batch:
            if ending.charge not in receipts:  # the first ending in a batch wins
                receipts[ending.charge] = self._settle(ending, hold_s)
        return [receipts[ending.charge] for ending in batch]

    def _settle(self, ending: Ending, hold_s: int) -> Receipt:
        charge = self.charges.get(ending.charge)
        if charge is None:
            return Receipt("missing", None)
        if charge.state != "held":
            return Receipt(f"already_{charge.state}", charge.gross or 0)
        account, key, wish = charge.key.account, charge.key, charge.application
        account.held -= charge.hold
        if charge.window is not None:
            self.windows[key.id, charge.window][1] -= charge.hold
        if ending.quote == 0:
            charge.state, charge.reason = "voided", ending.outcome
            return Receipt("voided", 0)

        served, tokens = ending.quote - 1, (ending.input_tokens, ending.output_tokens)
        gross = tokens[0] * wish.price_in[served] + tokens[1] * wish.price_out[served]
        payee = wish.payee[served]
        fee = gross * charge.fee_bps // 10_000 if payee else gross
        net = gross - fee
        bought, earned = account.spend(gross)
        fee_paid = -(-(bought + earned) * fee // gross) if gross else 0  # of real money; rounded up
        fee_bought = min(bought, fee_paid)
        fee_earned = fee_paid - fee_bought
        payable = bought + earned - fee_paid
        if net:
            charge.matures_at = self._matures_at(hold_s)
            amounts = self.maturities.get((payee, charge.matures_at), (0, 0))
            self.maturities[payee, charge.matures_at] = (amounts[0] + net, amounts[1] + payable)
            self.transfers.append(
                Transfer(
                    "charge", account.id, payee, net, earned - fee_earned, bought - fee_bought, ending.charge
                )
            )
        if fee:
            self.transfers.append(
                Transfer("fee", account.id, self.fees_account, fee, fee_earned, fee_bought, ending.charge)
            )
        if charge.window is not None:
            self.windows[key.id, charge.window][0] += gross
        self.rates[account.customer, "minute", self.now.replace(second=0)][1] += sum(tokens)
        charge.state, charge.quote, charge.tokens = "posted", ending.quote, tokens
        charge.settled_at = self.now
        charge.gross, charge.fee, charge.net, charge.payable = gross, fee, net, payable
        return Receipt("posted", gross)

    def void(self, charges: Sequence[str], reason: str) -> int:
        held = {name for name in charges if name in self.charges and self.charges[name].state == "held"}
        for name in held:
            charge = self.charges[name]
            charge.state, charge.reason = "voided", reason
            charge.key.account.held -= charge.hold
            if charge.window is not None:
                self.windows[charge.key.id, charge.window][1] -= charge.hold
        return len(held)

    def void_expired(self) -> int:
        return self.void([name for name, c in self.charges.items() if c.expires_at <= self.now], "expired")

    def void_of(self, boots: set[str]) -> int:
        return self.void([name for name, c in self.charges.items() if c.boot in boots], "platform_fault")

    def release(self) -> tuple[int, int]:
        due = sorted((one for one in self.maturities if one[1] <= self.now), key=lambda one: one[1])
        total = 0
        for pending, matures_at in due:
            amount, payable = self.maturities.pop((pending, matures_at))
            total += amount
            kept = min(amount, self.debts[pending])
            kept_payable = min(kept, payable)
            self.debts[pending] -= kept
            account = self.accounts[self.owners[pending]]
            freed, earned = amount - kept, payable - kept_payable
            account.posted += freed
            account.earned += earned
            self._move("release", pending, account.id, freed, earned, 0)
            self._move("recovery", pending, self.loss_account, kept, kept_payable, 0)
        return len(due), total

    def reverse(
        self, batch: Sequence[tuple[str, int, int]], *, at_our_loss: bool = False
    ) -> list[tuple[str, int, int]]:
        """(charge, tokens kept of the prompt and of the answer): (status, gross back, net back) of each."""
        return [self._reverse(*one, at_our_loss=at_our_loss) for one in batch]

    def _reverse(self, name: str, *kept: int, at_our_loss: bool) -> tuple[str, int, int]:
        charge = self.charges.get(name)
        if charge is None:
            return "missing", 0, 0
        if charge.state != "posted":
            return "not_posted", 0, 0
        wish, served = charge.application, charge.quote - 1
        gross = kept[0] * wish.price_in[served] + kept[1] * wish.price_out[served]
        payee = wish.payee[served]
        due = (payee, charge.due_at)
        if self._refunded(name):
            return "already", 0, 0
        if gross == charge.gross:
            return "nothing", 0, 0
        if charge.dispute == "open":
            return "disputed", 0, 0
        pending = due in self.maturities
        if charge.net and not pending and not at_our_loss:
            return "released", 0, 0
        lost = charge.net and not pending
        net_back, fee_back, payable = self._give_back(charge, gross, self.loss_account if lost else payee)
        if lost:
            self.debts[payee] += net_back
        elif net_back:
            self._take_from_maturity(due, net_back, payable)
        return "reversed", net_back + fee_back, net_back

    def _refunded(self, name: str) -> bool:
        return any(transfer.kind == "refund" and transfer.charge == name for transfer in self.transfers)

    def _give_back(self, charge: Charge, gross: int, source: int) -> tuple[int, int, int]:
        """Down to gross: (net back, fee back, the part of net back that was paid for)."""
        name, account = charge.application.charge, charge.key.account
        payee = charge.application.payee[charge.quote - 1]
        booked = {t.kind: t for t in self.transfers if t.charge == name and t.kind in ("charge", "fee")}
        fee = gross * charge.fee_bps // 10_000 if payee else gross
        net_back, fee_back, payable = charge.net - (gross - fee), charge.fee - fee, 0
        for kind, amount in (("charge", net_back), ("fee", fee_back)):
            if amount:
                went = booked[kind]
                earned = min(amount, went.earned)
                bought = min(amount - earned, went.bought)
                account.posted += amount
                account.earned += earned
                account.bought += bought
                self._move(
                    "refund",
                    source if kind == "charge" else went.credit,
                    went.debit,
                    amount,
                    earned,
                    bought,
                    name,
                )
                if kind == "charge":
                    payable = earned + bought
        if charge.window is not None:
            self.windows[charge.key.id, charge.window][0] -= net_back + fee_back
        return net_back, fee_back, payable

    def _take_from_maturity(self, due: tuple[int, dt.datetime], amount: int, payable: int) -> None:
        pending, pending_payable = self.maturities.pop(due)
        if pending > amount:
            self.maturities[due] = (pending - amount, pending_payable - payable)

    def dispute(self, name: str, customer: int) -> str:
        charge = self.charges.get(name)
        if charge is None or charge.key.account.customer != customer:
            return "missing"
        if charge.state != "posted":
            return "not_posted"
        payee = charge.application.payee[charge.quote - 1]
        due = (payee, charge.due_at)
        if charge.gross == 0:
            return "nothing"
        if charge.dispute:
            return "already"
        if self._refunded(name):
            return "reversed"
        if self.now >= charge.settled_at + dt.timedelta(seconds=self.window_s):
            return "late"
        if charge.net and due not in self.maturities:
            return "late"
        charge.dispute = "open"
        if charge.net:
            went = next(t for t in self.transfers if t.kind == "charge" and t.charge == name)
            self._take_from_maturity(due, charge.net, went.earned + went.bought)
            self._move("dispute", payee, self.frozen[payee], charge.net, went.earned, went.bought, name)
        return "frozen"

    def decide(self, name: str, upheld: bool) -> bool:
        charge = self.charges[name]
        if charge.dispute != "open":
            return False
        payee = charge.application.payee[charge.quote - 1]
        charge.dispute = "upheld" if upheld else "rejected"
        if upheld:
            self._give_back(charge, 0, self.frozen.get(payee, 0))
        elif charge.net:
            went = next(t for t in self.transfers if t.kind == "charge" and t.charge == name)
            self._move("verdict", self.frozen[payee], payee, charge.net, went.earned, went.bought, name)
            charge.judged_at = self.now
            amounts = self.maturities.get((payee, charge.due_at), (0, 0))
            self.maturities[payee, charge.due_at] = (
                amounts[0] + charge.net,
                amounts[1] + went.earned + went.bought,
            )
        return True

    def ask_payout(self, customer: int, amount: int) -> bool:
        account = self.accounts[customer]
        owed = sum(self.debts[pending] for pending, owner in self.owners.items() if owner == customer)
        if account.earned - owed < amount or account.posted - account.held < amount:
            return False
        account.posted -= amount
        account.earned -= amount
        self.payouts.append(Payout(customer, amount))
        self._move("payout", account.id, self.payouts_account, amount, amount, 0)
        return True

    def step_payout(self, payout: Payout, step: str) -> bool:
        """approve, reject, cancel, pay, fail or came_back; whether it was possible."""
        before, after = {
            "approve": (("requested",), "approved"),
            "reject": (("requested",), "rejected"),
            "cancel": (("requested",), "cancelled"),
            "pay": (("approved",), "paid"),
            "fail": (("approved",), "failed"),
            "came_back": (("paid",), "failed"),
        }[step]
        if payout.state not in before:
            return False
        account = self.accounts[payout.customer]
        if step == "pay":
            self._move("paid", self.payouts_account, self.paid_account, payout.amount, payout.amount, 0)
        elif step != "approve":
            source = self.paid_account if payout.state == "paid" else self.payouts_account
            account.posted += payout.amount
            account.earned += payout.amount
            self._move("return", source, account.id, payout.amount, payout.amount, 0)
        payout.state = after
        return True

    def claw_back(self, customer: int, amount: int, reference: str) -> int:
        if ("clawback", customer, reference) in self.references:
            return 0
        self.references.add(("clawback", customer, reference))
        account = self.accounts[customer]
        taken = min(amount, account.bought, account.posted - account.held)
        account.posted -= taken
        account.bought -= taken
        self._move("clawback", account.id, self.sales_account, taken, 0, taken)
        return taken

    def _move(
        self,
        kind: str,
        debit: int,
        credit: int,
        amount: int,
        earned: int,
        bought: int,
        charge: str | None = None,
    ) -> None:
        if amount:
            self.transfers.append(Transfer(kind, debit, credit, amount, earned, bought, charge))

    def _window(self, period: str) -> dt.datetime:
        midnight = self.now.replace(hour=0, minute=0, second=0)
        monday = midnight - dt.timedelta(days=midnight.weekday())
        return {"day": midnight, "week": monday, "month": midnight.replace(day=1), "total": EPOCH}[period]

    def _matures_at(self, hold_s: int) -> dt.datetime:
        """The end of the minute (the second, for short holds) that is under way when the hold is over."""
        step = 60 if hold_s >= 600 else 1
        seconds = int((self.now - EPOCH).total_seconds()) + hold_s
        return EPOCH + dt.timedelta(seconds=(seconds // step + 1) * step)


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
