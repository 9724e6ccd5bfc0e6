"""From a call to a ticket: choose servers from this process's copy, and admit the call for them."""

import time
from typing import NamedTuple

import psycopg

from accounts import envelope
from accounts.envelope import ApiError
from hosting.near_names import near
from routing import admission
from routing.admission import Admission, Ticket, Verdict
from routing.batching import Full, Unreachable
from routing.calls import Call
from routing.chooser import Choice, Chooser
from routing.delivery import Headers
from routing.directory import AUTO, Directory
from routing.repeats import Lease, Lost
from routing.settlement import Settlement

STALE_TRIES = 3
NAME_CHARS_SAID = 100


class Asked(NamedTuple):
    """A call with what its choice depends on. target: the one server that a test of ours is for.

    lease: the right to be served under an Idempotency-Key.
    """

    call: Call
    digest: bytes
    seed: int
    target: int | None
    lease: Lease | None = None


class Tickets:
    """Gives a process's tickets."""

    def __init__(
        self, directory: Directory, chooser: Chooser, admission: Admission, settlement: Settlement, *,
        output_tokens_max: int, test_price_max: int,
    ) -> None:  # fmt: skip
        """output_tokens_max: per choice, where the customer says nothing. test_price_max: nanodollars per token."""
        self._directory = directory
        self._chooser = chooser
        self._admission = admission
        self._settlement = settlement
        self._output_tokens_max = output_tokens_max
        self._test_price_max = test_price_max

    async def take(self, asked: Asked, headers: Headers, *, tried: frozenset[int] = frozenset()) -> Ticket:
        """Choose servers and take the hold; again when the choice was made from a stale copy. Raises ApiError.

        headers: of the answer; what is left of the rate limit is added, also when it is refused. tried: servers that
        are not asked again.
        """
        call = asked.call
        for _ in range(STALE_TRIES):
            arrived_s = time.monotonic()
            try:
                choice = self._choose(asked, tried)
            except ApiError:
                if tried:
                    raise
                await self.authenticate(asked.digest)
                await self._refresh(arrived_s)  # it may have been registered this moment
                choice = self._choose_again(asked)
            application = admission.apply(asked.digest, call, choice, output_max=self._output_tokens_max)
            verdict = await self._ask(application)
            if verdict.status != "stale":
                break
            await self._refresh(time.monotonic())
        else:
            raise ApiError(envelope.NO_SERVER)
        now_s = time.time()
        if verdict.limit_minute is not None:
            headers += [
                (b"x-ratelimit-limit-requests", b"%d" % verdict.limit_minute),
                (b"x-ratelimit-remaining-requests", b"%d" % (verdict.remaining_minute or 0)),
                (b"x-ratelimit-reset-requests", b"%ds" % admission.seconds_to_next(60, now_s)),
            ]
        if problem := admission.refusal(verdict, now_s=now_s):
            raise ApiError(problem)
        if asked.lease is not None:
            await self._bind(asked.lease, application.charge)
        return Ticket(
            call=call,
            charge=application.charge,
            customer=verdict.customer,
            choice=choice,
            input_max=application.input_max,
            output_max=verdict.output_max,
        )

    async def authenticate(self, digest: bytes) -> Verdict:
        """Who is calling. Raises ApiError where nobody may."""
        verdict = await self._ask(admission.introduce(digest))
        if problem := admission.refusal(verdict, now_s=time.time()):
            raise ApiError(problem)
        return verdict

    def _choose(self, asked: Asked, tried: frozenset[int]) -> Choice:
        if asked.target is not None:
            if tried:
                raise ApiError(envelope.NO_SERVER)  # a test is for this server, and nobody else answers it
            return self._chooser.choose_target(asked.call, asked.target, self._test_price_max)
        return self._chooser.choose(asked.call, asked.seed, tried=tried)

    def _choose_again(self, asked: Asked) -> Choice:
        """For a caller who is known: what nobody offers is told with the names that are near."""
        try:
            return self._choose(asked, frozenset())
        except ApiError as error:
            if error.problem is not envelope.MODEL_NOT_FOUND or asked.call.model == AUTO:
                raise
            model = asked.call.model
            found = " or ".join(near(model, self._directory.names()))
            hint = f"Did you mean {found}?" if found else "GET /v1/models lists those that do."
            said = f"The model {model[:NAME_CHARS_SAID]!r} does not exist here. {hint}"
            raise ApiError(error.problem.because(said)) from None

    async def _bind(self, lease: Lease, charge: str) -> None:
        try:
            await lease.bind(charge)
        except (Lost, Full, Unreachable) as error:
            self._settlement.give_back(charge)
            running = isinstance(error, Lost)
            raise ApiError(envelope.IDEMPOTENCY_RUNNING if running else envelope.UNAVAILABLE) from None

    async def _refresh(self, since_s: float) -> None:
        try:
            await self._directory.reload(since_s=since_s)
        except psycopg.Error:
            raise ApiError(envelope.UNAVAILABLE) from None

    async def _ask(self, application: admission.Application) -> Verdict:
        try:
            return await self._admission.submit(application)
        except Full:
            raise ApiError(envelope.OVERLOADED) from None
        except Unreachable:
            raise ApiError(envelope.UNAVAILABLE) from None
