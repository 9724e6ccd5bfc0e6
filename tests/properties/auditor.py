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

    @property
    def row(self) -> tuple[object, ...]:
        """As the database has it."""
        application = self.application
        prices = (list(application.price_in), list(application.price_out), list(application.payee))
        money = (self.gross, self.fee, self.net, self.payable, self.matures_at, self.reason)
        most = (application.input_max, self.output_max * application.choices)
        return (self.state, self.window, self.hold, *prices, *most, self.quote, self.tokens, *money)


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
class Auditor:
    """The whole state; each method does one operation and returns what the database must answer."""

    now: dt.datetime
    accounts: dict[int, Account]  # by customer
    owners: dict[int, int]  # pending account: customer
    keys: dict[str, Key]  # by digest
    tiers: dict[int, Tier]  # by customer
    versions: dict[int, int]  # by server
    fees_account: int
    promotions_account: int
    sales_account: int
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
            return Verdict("unauthorized", None, None, 0, 0, 0, None, None)  # type: ignore[arg-type]
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
        due = [one for one in self.maturities if one[1] <= self.now]
        total = 0
        for pending, matures_at in due:
            amount, payable = self.maturities.pop((pending, matures_at))
            account = self.accounts[self.owners[pending]]
            account.posted += amount
            account.earned += payable
            self.transfers.append(Transfer("release", pending, account.id, amount, payable, 0))
            total += amount
        return len(due), total

    def reverse(self, batch: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """(charge, tokens kept of the prompt and of the answer): (status, gross back, net back) of each."""
        return [self._reverse(*one) for one in batch]

    def _reverse(self, name: str, *kept: int) -> tuple[str, int, int]:
        charge = self.charges.get(name)
        if charge is None:
            return "missing", 0, 0
        if charge.state != "posted":
            return "not_posted", 0, 0
        booked = {transfer.kind: transfer for transfer in self.transfers if transfer.charge == name}
        wish, served = charge.application, charge.quote - 1
        gross = kept[0] * wish.price_in[served] + kept[1] * wish.price_out[served]
        fee = gross * charge.fee_bps // 10_000 if wish.payee[served] else gross
        due = (wish.payee[served], charge.matures_at)
        if "refund" in booked:
            return "already", 0, 0
        if gross == charge.gross:
            return "nothing", 0, 0
        if charge.net and due not in self.maturities:
            return "released", 0, 0

        account = charge.key.account
        net_back, fee_back = charge.net - (gross - fee), charge.fee - fee
        for kind, amount in (("charge", net_back), ("fee", fee_back)):
            if amount:
                went = booked[kind]
                earned = min(amount, went.earned)
                bought = min(amount - earned, went.bought)
                account.posted += amount
                account.earned += earned
                account.bought += bought
                self.transfers.append(
                    Transfer("refund", went.credit, went.debit, amount, earned, bought, name)
                )
                if kind == "charge":
                    pending, payable = self.maturities.pop(due)
                    if pending > amount:
                        self.maturities[due] = (pending - amount, payable - earned - bought)
        if charge.window is not None:
            self.windows[charge.key.id, charge.window][0] -= net_back + fee_back
        return "reversed", net_back + fee_back, net_back

    def _window(self, period: str) -> dt.datetime:
        midnight = self.now.replace(hour=0, minute=0, second=0)
        return {"day": midnight, "month": midnight.replace(day=1), "total": EPOCH}[period]

    def _matures_at(self, hold_s: int) -> dt.datetime:
        """The end of the minute (the second, for short holds) that is under way when the hold is over."""
        step = 60 if hold_s >= 600 else 1
        seconds = int((self.now - EPOCH).total_seconds()) + hold_s
        return EPOCH + dt.timedelta(seconds=(seconds // step + 1) * step)


def _reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
