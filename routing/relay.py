"""Try the servers in order, hand the answer over, decide how it ended.

The last bytes (from the finishing chunk on, or a whole answer) are sent only after the booking is committed. Which
ending costs what is the table in docs/ledger.md; `Relay` has one method for each kind of ending.
"""

import asyncio
import contextlib
from typing import Any

import structlog

from accounts import envelope
from accounts.envelope import Problem
from hosting.offers import LiveOffer
from routing.admission import Ticket
from routing.attempt import Attempt, ClientStalled
from routing.batching import Full, Unreachable
from routing.booking import Booking, explained
from routing.crashpoints import reach
from routing.delivery import Delivery
from routing.repeats import Lease, Lost
from routing.traffic import Traffic
from routing.upstream import Failure, Refused

log = structlog.get_logger(__name__)

MIDWAY = "The server failed while it answered. Nothing was charged; try again."
MORE_SERVERS_S = 10.0  # after that long, a customer is rather told that it failed


class Relay:
    """One admitted request, from the first attempt to its booking.

    `tried`: the servers that were asked. `problem`: what the customer is to be told unless others serve the call.
    """

    __slots__ = (
        "_attempt", "_booking", "_call", "_delivery", "_explain", "_failure", "_hung_up", "_lease", "_loop", "_task",
        "_ticket", "_traffic", "problem", "tried",
    )  # fmt: skip

    def __init__(
        self,
        traffic: Traffic,
        ticket: Ticket,
        delivery: Delivery,
        *,
        explain: bool = False,
        lease: Lease | None = None,
        before: "Relay | None" = None,
    ) -> None:
        """explain: the answer says why its server was chosen. before: the relay whose servers all failed before.

        lease: the request has an Idempotency-Key; a whole answer is kept before it is booked.
        """
        self._traffic = traffic
        self._call = ticket.call
        self._ticket = ticket
        self._delivery = delivery
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._explain = explain
        self._lease = lease
        self._booking: Booking = Booking(
            ticket, traffic.settlement, self._loop.time, before=before._booking if before else None
        )
        self._attempt: Attempt | None = None  # the last one
        # What is told, if nobody serves it.
        self._failure: Failure | None = before._failure if before else None
        self._hung_up = False
        self.tried: frozenset[int] = before.tried if before else frozenset()
        self.problem: Problem | None = None

    def followed_by(self, ticket: Ticket) -> "Relay":
        """The relay that goes on with other servers, where all of this one's failed."""
        return Relay(
            self._traffic, ticket, self._delivery, explain=self._explain, lease=self._lease, before=self
        )

    def hang_up(self) -> None:
        """The client went away: stop at once, wherever we are."""
        if self.problem is None and not self._delivery.over and self._task is not None:
            self._hung_up = True
            self._task.cancel()

    async def run(self) -> None:
        """Serve the request. Every way out has booked an ending.

        With `problem` set afterwards nothing was sent yet, and other servers may be asked.
        """
        self._traffic.active += 1
        if self._call.stream:
            self._traffic.streams.add(self._delivery)
        try:
            await self._serve()
        except ClientStalled:
            self._hung_up = True
            self._book_interruption()
        except asyncio.CancelledError:
            self._book_interruption()
            if not self._hung_up:
                raise
            if self._task is not None:
                self._task.uncancel()
        except Exception:
            log.exception("relay.broken", charge=self._ticket.charge)
            # Changes nothing where another ending was booked.
            self._booking.void("platform_fault", self._attempt)
            await self._delivery.fail(envelope.PLATFORM_FAULT)
        finally:
            self._delivery.over = self.problem is None
            self._traffic.active -= 1
            self._traffic.streams.discard(self._delivery)

    async def given_back(self) -> None:
        """Until the hold of a request that nobody served is free again, or the database does not answer."""
        if self._booking.receipt is not None:
            with contextlib.suppress(Unreachable):
                await asyncio.shield(self._booking.receipt)

    async def fail(self, problem: Problem) -> None:
        """Tell the customer; with the reasons, when it asked for them."""
        self.problem = None
        await self._delivery.fail(problem, self._why())
        self._delivery.over = True

    async def _serve(self) -> None:
        try:
            result = await self._try_servers()
        except Refused as refused:
            await self._refuse(refused)
            return
        if isinstance(result, Attempt):
            await self._hand_over(result)
        elif self._delivery.began:
            self._booking.void("upstream_failed", self._attempt)
            await self._delivery.fail(envelope.UPSTREAM_FAILED.because(MIDWAY))
        else:
            await self._give_up(result)

    # ----------------------------------------------------------------------------------------- the servers in order

    async def _try_servers(self) -> Attempt | Failure:
        """The attempt that completed the answer; else why the last one did not."""
        traffic, offers = self._traffic, self._ticket.offers
        deadline_s = self._booking.started_s + traffic.bounds.total_s
        for position, offer in enumerate(offers, 1):
            if position > 1 and not self._may_retry(deadline_s):
                break
            if not self._takes(offer, last=position == len(offers)):
                if self._failure is None or self._failure.unsupported:  # who was not asked may have the route
                    self._failure = Failure("no free slot", neutral=True, retry_after_s=1)
                continue
            self.tried |= {offer.server_id}
            self._attempt = attempt = Attempt(
                traffic, self._ticket, self._delivery, position=position, deadline_s=deadline_s
            )
            traffic.load.begin(offer.server_id)
            traffic.retrying += position > 1
            try:
                await attempt.run()
            except Failure as caught:
                # Its frames have what was read, up to 16 MiB.
                caught.__traceback__ = caught.__context__ = None
                # To lack a route is the caller's mistake only where nothing else failed.
                if self._failure is None or not caught.unsupported:
                    self._failure = caught
                self._note_failure(attempt, caught)
            else:
                self._note_success(attempt)
                return attempt
            finally:
                traffic.load.end(offer.server_id)
                traffic.retrying -= position > 1
        assert self._failure is not None, "a ticket without servers"
        return self._failure

    def _takes(self, offer: LiveOffer, *, last: bool) -> bool:
        """Whether the server takes a request now; as the last one also if it failed a moment ago."""
        load = self._traffic.load
        return load.takes(offer.server_id, offer.slots) or (
            last and load.can_try(offer.server_id, offer.slots)
        )

    def _may_retry(self, deadline_s: float) -> bool:
        """Only while nothing was sent to the client."""
        if self._delivery.began or self._loop.time() >= deadline_s:
            return False
        return self._traffic.may_retry()

    def _note_failure(self, attempt: Attempt, failure: Failure) -> None:
        offer = attempt.offer
        log.info("attempt.failed", server=offer.server_id, charge=self._ticket.charge, cause=failure.cause)
        self._booking.note(offer, failure.cause, blamed=not failure.neutral)
        attempt.tell_failure(failure)

    def _note_success(self, attempt: Attempt) -> None:
        self._booking.note(attempt.offer, "served")
        self._booking.flags = attempt.tell_success()

    # ------------------------------------------------------------------------------------------------- endings

    async def _hand_over(self, attempt: Attempt) -> None:
        """The answer is complete: book it, and only then send its last bytes."""
        call, reply, crash_at = self._call, attempt.reply, self._traffic.crash_at
        tokens = reply.tokens(complete=True)
        usage = reply.usage(*tokens)
        whole = None if call.stream else reply.whole(usage, self._why())
        if whole and self._lease is not None and not await self._is_kept(self._lease, whole):
            return
        reach("settle_begin", crash_at)
        future = self._booking.settle("capped" if reply.capped else "finished", attempt, reply, tokens)
        try:
            receipt = await future
        except Unreachable:  # the settlement voids it when the database is back
            await self._delivery.fail(envelope.UNAVAILABLE)
            return
        if not receipt.stands:
            await self._delivery.fail(envelope.PLATFORM_FAULT)
            return
        reach("settle_committed", crash_at)
        if whole is None:
            last = reply.end(usage if call.wants_usage else None, self._why())
            reach("before_last_bytes", crash_at)
            await self._delivery.end(last)
        else:
            reach("before_last_bytes", crash_at)
            await self._delivery.whole(200, whole)
        reach("last_bytes_sent", crash_at)

    async def _is_kept(self, lease: Lease, answer: bytes) -> bool:
        """What could not be given again is not booked either."""
        try:
            await lease.keep(answer)
        except (Lost, Full, Unreachable):
            self._booking.void("platform_fault", self._attempt)
            await self._delivery.fail(envelope.UNAVAILABLE)
            return False
        reach("answer_kept", self._traffic.crash_at)
        return True

    async def _refuse(self, refused: Refused) -> None:
        """The server says the request is wrong: the customer's to mend, nobody's fault here."""
        self._booking.void("refused", self._attempt)
        status = 413 if refused.status == 413 else 400
        await self._delivery.whole(
            status,
            envelope.REFUSED_UPSTREAM.because(
                f"The model's server refused this request (status {refused.status}). Check its parameters and length."
            ).body(),
        )

    async def _give_up(self, failure: Failure) -> None:
        """No server could answer and nothing was sent."""
        self._booking.void("refused" if failure.unsupported else "no_server", self._attempt)
        problem = problem_of(failure)
        if self._booking.elapsed_ms() > MORE_SERVERS_S * 1_000 or not self._traffic.may_retry():
            await self.fail(problem)
        else:
            self.problem = problem

    def _book_interruption(self) -> None:
        """The client hung up, or this process is told to stop, before an ending was booked."""
        if self._booking.made:
            return
        attempt = self._attempt
        if not self._hung_up:
            self._booking.void("platform_fault", attempt)
        elif attempt is None or not attempt.answered:
            self._booking.void("abandoned", attempt)
        else:
            reply = attempt.relayed()
            self._booking.settle("hung_up", attempt, reply, reply.tokens(complete=False))

    def _why(self) -> dict[str, Any]:
        return explained(self._booking.explanation()) if self._explain else {}


def problem_of(failure: Failure) -> Problem:
    """What the customer is told when no server could answer, for this reason."""
    if failure.unsupported:
        return envelope.UNSUPPORTED
    if failure.neutral:
        wait_s = round(failure.retry_after_s or 5)
        return envelope.NO_SERVER.because(
            "Every server of this model is busy. Try again soon.", retry_after_s=wait_s
        )
    if failure.timeout:
        return envelope.UPSTREAM_TIMEOUT
    if failure.garbage:
        return envelope.UPSTREAM_INVALID
    return envelope.UPSTREAM_FAILED
