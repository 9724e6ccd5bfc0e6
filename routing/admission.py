"""The first trip: who is it, may it, can it pay? Takes the hold. One call for all requests that wait."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import getrandbits
from typing import NamedTuple

import psycopg
import structlog

from accounts import envelope
from accounts.envelope import Problem
from billing import money
from hosting.offers import LiveOffer
from routing import metering
from routing.batching import RETRYABLE, Batcher, Connection, literal, quoted
from routing.calls import Call
from routing.chooser import Choice

log = structlog.get_logger(__name__)

ADMIT = """
-- locks by primary key, finds keys by accounts_apikey_digest_key; see the function in migration 0002
SELECT * FROM routing_admit(%s::uuid[], {digests}, %s::text[], %s::bigint[], %s::bigint[], %s::boolean[], %s::int[],
    %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::uuid, %s::int, %s::int,
    %s::boolean)
"""
ADMIT_KEYS = ADMIT.format(digests="%s::text[]")
# Strings from before a rotation.
ADMIT_REPLACED = ADMIT.format(digests="accounts_current_digests(%s::text[])")


class Application(NamedTuple):
    """What one request asks of the admission. Without offers it only wants to know who is calling."""

    charge: str
    digest: str
    model: str
    input_max: int
    output_asked: int
    explicit: bool
    choices: int
    price_in: tuple[int, ...]
    price_out: tuple[int, ...]
    payee: tuple[int, ...]
    servers: tuple[int, ...]
    versions: tuple[int, ...]


class Verdict(NamedTuple):
    """One row of the answer. Tokens per choice; nanodollars."""

    status: str
    customer: int
    key: int
    output_max: int
    hold_nanos: int
    free_nanos: int
    limit_minute: int | None
    remaining_minute: int | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """An admitted call: its charge, the servers it may go to in order, the most tokens it may cost."""

    call: Call
    charge: str
    customer: int
    choice: Choice
    input_max: int
    output_max: int  # per choice

    @property
    def offers(self) -> list[LiveOffer]:
        return self.choice.offers


def apply(digest: bytes, call: Call, choice: Choice, *, output_max: int) -> Application:
    """The application for a call and the servers it may go to.

    output_max: tokens per choice where the customer gave no max_tokens; a smaller context window or balance lowers it
    further.
    """
    offers, free_local = choice.offers, choice.free_local
    models = [call.model, *(model for model in choice.models if model in call.preferences.fallback_models)]
    input_max = max(metering.prompt_bound(call, offer.bytes_per_token) for offer in offers)
    room = max(
        max(offer.context_window for offer in offers)
        - metering.prompt_estimate(call, metering.BYTES_PER_TOKEN_PRIOR),
        1,
    )
    asked = output_max if call.output_asked is None else call.output_asked
    return Application(
        charge=new_charge_id(),
        digest=digest.hex(),
        model=call.model if len(models) == 1 else quoted(models),
        input_max=input_max,
        output_asked=min(asked, room),
        explicit=call.output_asked is not None,
        choices=call.choices,
        price_in=tuple([0 if free_local and offer.kind == "local" else offer.price_in for offer in offers]),
        price_out=tuple([0 if free_local and offer.kind == "local" else offer.price_out for offer in offers]),
        payee=tuple([offer.payee for offer in offers]),
        servers=tuple([offer.server_id for offer in offers]),
        versions=tuple([offer.server_version for offer in offers]),
    )


def introduce(digest: bytes) -> Application:
    """An application that asks only who is calling."""
    return Application(new_charge_id(), digest.hex(), "", 0, 0, True, 1, (), (), (), (), ())


class Admission(Batcher[Application, Verdict]):
    def __init__(
        self, dsn: str, *, boot: str, fee_bps: int, expiry_s: int, rows_max: int, queue_max: int, wait_s: float,
        give_back: Callable[[str], None],
    ) -> None:  # fmt: skip
        """give_back: what to do with the charge of a caller who went away before the answer came."""
        # A hold that a crash of the database forgets is harmless: its settlement finds nothing to settle, so the
        # request ends in an error and costs nothing. The settlement's own commit is durable, and with it the hold.
        super().__init__(
            "admission",
            dsn,
            self._admit,
            rows_max=rows_max,
            queue_max=queue_max,
            wait_s=wait_s,
            durable=False,
        )
        self._boot = boot
        self._fee_bps = fee_bps
        self._expiry_s = expiry_s
        self._give_back = give_back

    def orphaned(self, row: Application, answer: Verdict) -> None:
        if answer.status == "ok" and row.servers:
            self._give_back(row.charge)

    def given_up(self, row: Application) -> None:
        if row.servers:
            self._give_back(row.charge)

    async def _admit(self, connection: Connection, rows: Sequence[Application], again: bool) -> list[Verdict]:
        """One trip; a second one for those whose key nobody has now: it may be the old string of a rotated key."""
        verdicts = await self._call(ADMIT_KEYS, connection, rows, again)
        unknown = [n for n, verdict in enumerate(verdicts) if verdict.status == "unauthorized"]
        if unknown:
            try:
                found = await self._call(ADMIT_REPLACED, connection, [rows[n] for n in unknown], again)
            except RETRYABLE:
                raise
            except (
                psycopg.Error
            ) as error:  # what the first trip admitted stands, and is not to be tried again
                log.error("admission.row_refused", error=type(error).__name__, detail=str(error)[:200])
                found = [verdicts[n]._replace(status="refused") for n in unknown]
            for n, verdict in zip(unknown, found, strict=True):
                verdicts[n] = verdict
        return verdicts

    async def _call(
        self, statement: str, connection: Connection, rows: Sequence[Application], again: bool
    ) -> list[Verdict]:
        cursor = await connection.execute(
            statement,
            (
                literal([row.charge for row in rows]),
                literal([row.digest for row in rows]),
                quoted([row.model for row in rows]),
                literal([row.input_max for row in rows]),
                literal([row.output_asked for row in rows]),
                literal([row.explicit for row in rows]),
                literal([row.choices for row in rows]),
                literal([max(row.price_in, default=0) for row in rows]),
                literal([max(row.price_out, default=0) for row in rows]),
                quoted([literal(row.price_in) for row in rows]),
                quoted([literal(row.price_out) for row in rows]),
                quoted([literal(row.payee) for row in rows]),
                quoted([literal(row.servers) for row in rows]),
                quoted([literal(row.versions) for row in rows]),
                self._boot,
                self._fee_bps,
                self._expiry_s,
                again,
            ),
        )
        return [Verdict(*answer[1:]) for answer in await cursor.fetchall()]


def refusal(verdict: Verdict, *, now_s: float) -> Problem | None:
    """The problem of a verdict; None when the request is admitted."""
    status = verdict.status
    if status == "ok":
        return None
    if status in PLAIN_REFUSALS:
        return PLAIN_REFUSALS[status]
    if status in ("rate_minute", "rate_tokens"):
        what = "requests" if status == "rate_minute" else "tokens"
        wait_s = seconds_to_next(60, now_s)
        return envelope.RATE_LIMITED.because(
            f"Your tier's limit of {what} per minute is reached. Try again in {wait_s} s.",
            retry_after_s=wait_s,
        )
    if status == "rate_day":
        wait_s = seconds_to_next(86_400, now_s)
        return envelope.RATE_LIMITED.because(
            f"Your tier's limit of requests per day is reached. Try again in {wait_s} s (midnight UTC).",
            retry_after_s=wait_s,
        )
    if status == "insufficient_credit":
        return envelope.INSUFFICIENT_CREDIT.because(
            f"This request may cost up to {money.text(verdict.hold_nanos)} for {verdict.output_max} output tokens, "
            f"and {money.text(max(verdict.free_nanos, 0))} is free. Lower max_tokens or add credit."
        )
    if status == "spend_limit":  # what is left of the limit does not come with the verdict
        return envelope.SPEND_LIMIT.because(
            f"This request may cost up to {money.text(verdict.hold_nanos)} for {verdict.output_max} output tokens, "
            "and what is left of this key's spending limit does not cover that. "
            f"Lower max_tokens or raise the limit on /account/keys/{verdict.key}/edit."
        )
    return envelope.UNAVAILABLE


PLAIN_REFUSALS = {
    "unauthorized": envelope.BAD_KEY,
    "revoked": envelope.REVOKED_KEY,
    "expired": envelope.EXPIRED_KEY,
    "inactive": envelope.INACTIVE,
    "model_not_allowed": envelope.MODEL_NOT_ALLOWED,
    "credit_reserved": envelope.CREDIT_RESERVED,
}


def seconds_to_next(span_s: int, now_s: float) -> int:
    """Whole seconds, at least 1, to the next multiple of span_s since 1970 (minutes and days in UTC)."""
    return max(math.ceil(span_s - now_s % span_s), 1)


def new_charge_id() -> str:
    """A UUIDv7 in hex whose last byte is 0: transfers of the charge carry its id with another last byte."""
    milliseconds = time.time_ns() // 1_000_000
    head, tail = getrandbits(12), getrandbits(54)
    return f"{milliseconds << 80 | 7 << 76 | head << 64 | 2 << 62 | tail << 8:032x}"
