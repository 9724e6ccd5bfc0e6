"""Try the servers in order, hand the answer over, count what passes, book how it ended.

The last bytes (from the finishing chunk on, or a whole answer) are sent only after the booking is committed. Which
ending costs what is the table in docs/ledger.md; `Relay` has one method for each kind of ending.
"""

import asyncio
import contextlib
import time
from typing import Any

import orjson
import structlog

from accounts import envelope
from accounts.envelope import Problem
from hosting.offers import LiveOffer
from hosting.shapes import Shape
from routing import metering, suspicion, wire
from routing.admission import Ticket
from routing.batching import Full, Unreachable
from routing.crashpoints import reach
from routing.delivery import Delivery
from routing.metering import Meter
from routing.repeats import Lease, Lost
from routing.settlement import Ending, Receipt
from routing.traffic import Traffic
from routing.upstream import Answer, Failure, Refused
from routing.wire import BadAnswer, EventReader

log = structlog.get_logger(__name__)

FINISH_GRACE_S = 5.0  # between the finishing chunk and the end of the stream
NESTING_SAFE = 200  # brackets; what orjson reads but cannot write again is nested deeper
CLOSE_GRACE_S = 0.25  # between [DONE] and the end of the body
OBJECTS = {wire.CHAT: "chat.completion", wire.COMPLETIONS: "text_completion"}
ID_PREFIXES = {wire.CHAT: "chatcmpl-", wire.COMPLETIONS: "cmpl-"}
MIDWAY = "The server failed while it answered. Nothing was charged; try again."
SERVERS_USAGE_FIELDS = ("prompt_tokens_details", "completion_tokens_details")
EXPLAINED_ONE_IN = 64  # successes whose explanation is kept
PACE_EVERY_S = 1.0  # between two looks at how fast a stream is
PACE_TOKENS_MIN = 8  # fewer say nothing about it
MORE_SERVERS_S = 10.0  # after that long, a customer is rather told that it failed


def explained(explanation: dict[str, Any]) -> dict[str, Any]:
    """The field that an answer or an error carries when the customer asked why."""
    return {"neuralgate": {"explanation": explanation}}


class ClientStalled(Exception):
    """The client reads nothing any more: as good as gone."""


class Relay:
    """One admitted request, from the first attempt to its booking."""

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
        self._started_at: float = before._started_at if before else self._loop.time()
        self._meter = Meter(ticket.call)
        self._position = 0  # of the server that is asked now, from 1
        self._answered = False  # it sent good headers
        self._extended_at = 0.0
        self._began = 0.0  # the attempt
        self._paced_at = 0.0
        self._booked = False  # an ending is on its way to the books
        self._booking: asyncio.Future[Receipt] | None = None  # of one that nobody served
        self._done = False
        self._hung_up = False
        self._outcome = "finished"
        self._ttft_ms: int | None = None
        self._failed: list[int] = []
        self._attempts: list[dict[str, Any]] = before._attempts if before else []
        self.tried: frozenset[int] = before.tried if before else frozenset()
        self.problem: Problem | None = (
            None  # what the customer is to be told unless other servers serve the call
        )
        self._early: list[bytes] = []  # before the first content: role chunks
        self._last: list[bytes] = []  # from the finishing chunk on
        self._output_told = 0
        self._flags = 0
        self._called: object = None  # what the server calls its model
        self._created = int(time.time())
        self._shell: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}

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
            self._book(quote=0, outcome="platform_fault")  # changes nothing where another ending was booked
            await self._delivery.fail(envelope.PLATFORM_FAULT)
        finally:
            self._delivery.over = self.problem is None
            self._traffic.active -= 1
            self._traffic.streams.discard(self._delivery)

    async def _serve(self) -> None:
        try:
            failure = await self._try_servers()
        except Refused as refused:
            await self._refuse(refused)
            return
        if failure is None:
            await self._hand_over(self._ticket.offers[self._position - 1])
        elif self._delivery.began:
            self._book(quote=0, outcome="upstream_failed")
            await self._delivery.fail(envelope.UPSTREAM_FAILED.because(MIDWAY))
        else:
            await self._give_up(failure)

    async def _try_servers(self) -> Failure | None:
        """None when the server at `_position` completed its answer; else why the last one tried did not."""
        deadline = self._started_at + self._traffic.bounds.total_s
        failure = None
        for position, offer in enumerate(self._ticket.offers, 1):
            if position > 1 and not self._may_retry(deadline):
                return failure
            if not self._takes(offer, last=position == len(self._ticket.offers)):
                failure = failure or Failure("no free slot", neutral=True, retry_after_s=1)
                continue
            self._position = position
            self.tried |= {offer.server_id}
            self._began = self._loop.time()
            self._traffic.load.begin(offer.server_id)
            self._traffic.retrying += position > 1
            try:
                await self._attempt(offer, deadline)
            except Failure as caught:
                caught.__traceback__ = caught.__context__ = (
                    None  # its frames have what was read, up to 16 MiB
                )
                failure = caught
                self._note_failure(offer, caught)
            else:
                self._note_success(offer)
                return None
            finally:
                self._traffic.load.end(offer.server_id)
                self._traffic.retrying -= position > 1
        return failure

    def _takes(self, offer: LiveOffer, *, last: bool) -> bool:
        """Whether the server takes a request now; as the last one also if it failed a moment ago."""
        load = self._traffic.load
        return load.takes(offer.server_id, offer.slots) or (
            last and load.can_try(offer.server_id, offer.slots)
        )

    def _may_retry(self, deadline: float) -> bool:
        """Only while nothing was sent to the client; forgets what the failed attempt counted."""
        if self._delivery.began or self._loop.time() >= deadline or not self._traffic.may_retry():
            return False
        self._meter, self._early, self._last, self._usage = Meter(self._call), [], [], {}
        self._answered = self._done = False
        return True

    # ---------------------------------------------------------------------------------------------- one attempt

    async def _attempt(self, offer: LiveOffer, deadline: float) -> None:
        """Returns when the answer is complete, or capped; raises Failure or Refused otherwise."""
        call, bounds = self._call, self._traffic.bounds
        reach("before_connect", self._traffic.crash_at)
        user = (
            self._traffic.end_user(offer, self._ticket.customer, call.payload["user"])
            if "user" in call.payload
            else None
        )
        prompt_tokens = metering.prompt_estimate(call, offer.bytes_per_token)
        self._output_told = min(self._ticket.output_max, max(offer.context_window - prompt_tokens, 1))
        body = wire.encode_request(
            call, upstream_name=offer.upstream_name, output_max=self._output_told, user=user
        )
        # A whole answer's headers come when all of it is written, so only the total limits it.
        limit = asyncio.timeout_at(
            min(deadline, self._loop.time() + bounds.first_byte_s) if call.stream else deadline
        )
        answer: Answer | None = None
        try:
            async with limit:
                answer = await self._traffic.upstreams.ask(offer, call.endpoint, body, stream=call.stream)
                self._answered = True
                reach("headers", self._traffic.crash_at)
                if call.stream:
                    await self._relay_stream(answer, offer, limit, deadline)
                else:
                    await self._read_whole(answer, offer)
        except BadAnswer as bad:
            raise Failure(str(bad), garbage=True) from None
        except TimeoutError:
            self._time_out(deadline)
        finally:
            if answer is not None:
                await answer.close()

    def _time_out(self, deadline: float) -> None:
        """What a limit of time means depends on where it struck."""
        if self._done or self._meter.finished:
            return  # complete; the server just did not close
        if self._delivery.sending:
            raise ClientStalled
        if self._delivery.began and self._loop.time() >= deadline:
            self._cap()
            return
        raise Failure("timeout", timeout=True)

    async def _relay_stream(
        self, answer: Answer, offer: LiveOffer, limit: asyncio.Timeout, deadline: float
    ) -> None:
        bounds = self._traffic.bounds
        reader = EventReader(bounds.event_bytes)
        received = 0
        finishing = False
        self._shell = self._make_shell(
            offer, OBJECTS[self._call.endpoint] + (".chunk" if self._call.endpoint == wire.CHAT else "")
        )
        while True:
            delivered = self._meter.output_bytes, self._meter.tool_calls
            try:
                chunk = await answer.read()
            except Failure:
                if self._last:
                    return  # it was finished; only its end is missing
                raise
            if chunk is None:
                now = self._take(reader.end())
            else:
                received += len(chunk)
                now = self._take(reader.feed(chunk))
            if (self._meter.output_bytes, self._meter.tool_calls) != delivered and not finishing:
                self._extend(limit, deadline)
                self._tell_pace(offer)
            if now:
                await self._relay(b"".join(now))
            if chunk is None:
                break
            if received > bounds.stream_bytes:
                if not self._delivery.began:
                    raise Failure("too much before its first content", garbage=True)
                if not self._meter.finished:
                    self._cap()
                return
            if self._done:
                limit.reschedule(self._loop.time() + CLOSE_GRACE_S)
                with contextlib.suppress(Failure):
                    await answer.read()  # the end of the body, so that the connection can be used again
                break
            if self._last and not finishing:
                finishing = True
                limit.reschedule(min(deadline, self._loop.time() + FINISH_GRACE_S))
        if not self._meter.finished:
            raise Failure("it ended before it was finished")

    def _extend(self, limit: asyncio.Timeout, deadline: float) -> None:
        """Give the server and the client their time again, for content only: comments and empty events are none.

        Moving a timer is dear, so not for every chunk.
        """
        bounds, now = self._traffic.bounds, self._loop.time()
        patience_s = max(bounds.idle_s, bounds.stall_s)
        if now - self._extended_at > patience_s / 10:
            self._extended_at = now
            limit.reschedule(min(deadline, now + 1.1 * patience_s))  # up to a tenth late, never early

    def _tell_pace(self, offer: LiveOffer) -> None:
        """Let the choice know how fast the server is, once a second: a long answer would say so too late."""
        now = self._loop.time()
        if self._ttft_ms is None or now - max(self._paced_at, self._began) < PACE_EVERY_S:
            return
        self._paced_at = now
        tokens = self._meter.output_estimate(offer.bytes_per_token)
        if tokens >= PACE_TOKENS_MIN:
            ttft_ms = self._attempts_ttft_ms(self._ttft_ms)
            token_ms = ((now - self._began) * 1_000 - ttft_ms) / (tokens - 1)
            self._traffic.load.progressed(offer.server_id, ttft_ms=ttft_ms, token_ms=token_ms)

    def _attempts_ttft_ms(self, ttft_ms: int) -> float:
        """From the beginning of the attempt instead of the request's."""
        return max(ttft_ms - (self._began - self._started_at) * 1_000, 0.0)

    def _take(self, payloads: list[bytes]) -> list[bytes]:
        """Count these events and give those that may be sent now, in our own envelope."""
        now: list[bytes] = []
        for payload in payloads:
            if self._done:
                break
            if payload == b"[DONE]":
                self._done = True
                break
            value = wire.decode_answer(payload)
            if isinstance(usage := value.get("usage"), dict):
                self._usage = usage
            choices = value.get("choices")
            if not choices or self._last:
                self._meter.see({"usage": value.get("usage")})  # ours follows at the end
                continue
            self._meter.see(value)
            shell = self._shell
            shell["choices"] = choices
            if isinstance(fingerprint := value.get("system_fingerprint"), str):
                shell["system_fingerprint"] = fingerprint[:100]
            self._called = value.get("model")
            event = wire.event(shell)
            if self._meter.finished_all(self._call.choices):
                self._last.append(event)
                reach("finish_seen", self._traffic.crash_at)
            elif self._meter.empty:
                self._early.append(event)
            else:
                now.append(event)
        if now and self._early:
            now, self._early = self._early + now, []
        if now and self._ttft_ms is None:
            self._ttft_ms = self._elapsed_ms()
        return now

    async def _read_whole(self, answer: Answer, offer: LiveOffer) -> None:
        body = bytearray()
        while (piece := await answer.read_block()) is not None:
            body += piece
            if len(body) > self._traffic.bounds.body_bytes:
                raise Failure("a body too long")
        value = wire.decode_answer(body)
        if body.count(b"[") + body.count(b"{") > NESTING_SAFE:
            wire.encode_answer(value)  # before it is booked
        self._meter.see(value)
        if isinstance(usage := value.get("usage"), dict):
            self._usage = usage
        self._ttft_ms = self._elapsed_ms()
        if self._call.endpoint == wire.EMBEDDINGS:
            data = value.get("data")
            if (
                not isinstance(data, list)
                or len(data) != self._call.inputs
                or not all(isinstance(row, dict) and row.get("embedding") for row in data)
            ):
                raise BadAnswer("not one embedding for each input")
            self._shell = {"object": "list", "data": data, "model": offer.model}
            return
        choices = value.get("choices")
        if not choices or not all(
            isinstance(choice.get("message"), dict) or isinstance(choice.get("text"), str)
            for choice in choices
        ):
            raise BadAnswer("no choices")
        if self._meter.empty and not self._meter.finished:
            raise BadAnswer("an empty answer")
        self._shell = self._make_shell(offer, OBJECTS[self._call.endpoint])
        self._shell["choices"] = choices
        self._called = value.get("model")
        if isinstance(fingerprint := value.get("system_fingerprint"), str):
            self._shell["system_fingerprint"] = fingerprint[:100]

    # ------------------------------------------------------------------------------------------------- endings

    async def _hand_over(self, offer: LiveOffer) -> None:
        """The answer is complete: book it, and only then send its last bytes."""
        input_tokens, output_tokens = self._tokens(offer, complete=True)
        usage = self._usage_block(input_tokens, output_tokens)
        whole = b"" if self._call.stream else orjson.dumps({**self._shell, "usage": usage, **self._why()})
        if whole and self._lease is not None and not await self._is_kept(self._lease, whole):
            return
        reach("settle_begin", self._traffic.crash_at)
        future = self._book(
            quote=self._position,
            outcome=self._outcome,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        try:
            receipt = await future
        except Unreachable:  # the settlement voids it when the database is back
            await self._delivery.fail(envelope.UNAVAILABLE)
            return
        if not receipt.stands:
            await self._delivery.fail(envelope.PLATFORM_FAULT)
            return
        reach("settle_committed", self._traffic.crash_at)
        if self._call.stream:
            last = self._early + self._last
            if self._call.wants_usage or self._explain:
                self._shell["choices"] = []
                last.append(
                    wire.event(
                        {**self._shell, **({"usage": usage} if self._call.wants_usage else {}), **self._why()}
                    )
                )
            last.append(wire.DONE)
            reach("before_last_bytes", self._traffic.crash_at)
            await self._delivery.end(b"".join(last))
        else:
            reach("before_last_bytes", self._traffic.crash_at)
            await self._delivery.whole(200, whole)
        reach("last_bytes_sent", self._traffic.crash_at)

    async def _is_kept(self, lease: Lease, answer: bytes) -> bool:
        """What could not be given again is not booked either."""
        try:
            await lease.keep(answer)
        except (Lost, Full, Unreachable):
            self._book(quote=0, outcome="platform_fault")
            await self._delivery.fail(envelope.UNAVAILABLE)
            return False
        reach("answer_kept", self._traffic.crash_at)
        return True

    async def _refuse(self, refused: Refused) -> None:
        """The server says the request is wrong: the customer's to mend, nobody's fault here."""
        self._book(quote=0, outcome="refused")
        status = 413 if refused.status == 413 else 400
        await self._delivery.whole(
            status,
            envelope.REFUSED_UPSTREAM.because(
                f"The model's server refused this request (status {refused.status}). Check its parameters and length."
            ).body(),
        )

    async def _give_up(self, failure: Failure) -> None:
        """No server could answer and nothing was sent."""
        self._booking = self._book(quote=0, outcome="no_server")
        if failure.unsupported:
            problem = envelope.UNSUPPORTED
        elif failure.neutral:
            wait_s = round(failure.retry_after_s or 5)
            problem = envelope.NO_SERVER.because(
                "Every server of this model is busy. Try again soon.", retry_after_s=wait_s
            )
        elif failure.timeout:
            problem = envelope.UPSTREAM_TIMEOUT
        elif failure.garbage:
            problem = envelope.UPSTREAM_INVALID
        else:
            problem = envelope.UPSTREAM_FAILED
        if (
            failure.unsupported
            or self._elapsed_ms() > MORE_SERVERS_S * 1_000
            or not self._traffic.may_retry()
        ):
            await self.fail(problem)
        else:
            self.problem = problem

    async def given_back(self) -> None:
        """Until the hold of a request that nobody served is free again, or the database does not answer."""
        if self._booking is not None:
            with contextlib.suppress(Unreachable):
                await asyncio.shield(self._booking)

    async def fail(self, problem: Problem) -> None:
        """Tell the customer; with the reasons, when it asked for them."""
        self.problem = None
        await self._delivery.fail(problem, self._why())
        self._delivery.over = True

    def _cap(self) -> None:
        """Our limit of size or time: end the stream properly; what was relayed is paid."""
        self._done = True
        self._outcome = "capped"
        choices: list[dict[str, Any]] = [{"index": 0, "delta": {}, "finish_reason": "length"}]
        if self._call.endpoint == wire.COMPLETIONS:
            choices = [{"index": 0, "text": "", "finish_reason": "length"}]
        self._shell["choices"] = choices
        self._last.append(wire.event(self._shell))
        self._meter.claimed_output = None

    def _book_interruption(self) -> None:
        """The client hung up, or this process is told to stop, before an ending was booked."""
        if self._booked:
            return
        if not self._hung_up:
            self._book(quote=0, outcome="platform_fault")
        elif not self._answered:
            self._book(quote=0, outcome="abandoned")
        else:
            offer = self._ticket.offers[self._position - 1]
            if not self._delivery.began:
                self._meter = Meter(self._call)  # nothing of it was relayed
            input_tokens, output_tokens = self._tokens(offer, complete=False)
            self._book(
                quote=self._position,
                outcome="hung_up",
                input_tokens=input_tokens,
                output_tokens=output_tokens,
            )

    def _book(
        self, *, quote: int, outcome: str, input_tokens: int = 0, output_tokens: int = 0
    ) -> "asyncio.Future[Receipt]":
        """Put the ending on its way to the books; from here on nothing can take it back."""
        self._booked = True
        call, meter = self._call, self._meter
        offer = self._ticket.offers[max(self._position, 1) - 1]
        return self._traffic.settlement.submit(
            Ending(
                charge=self._ticket.charge,
                quote=quote,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                outcome=outcome,
                success=quote > 0,
                model_asked=call.model,
                model=offer.model,
                provider=offer.kind if quote else "",
                server=offer.server_id if quote else None,
                endpoint=call.endpoint,
                streamed=call.stream,
                attempts=max(self._position, 1),
                claimed_input=meter.claimed_input,
                claimed_output=meter.claimed_output,
                input_bytes=call.prompt_bytes,
                output_bytes=meter.output_bytes,
                ttft_ms=self._ttft_ms,
                latency_ms=self._elapsed_ms(),
                failed_servers=tuple(self._failed),
                flags=self._flags,
                explanation={**self._explanation(), **(self._shape(output_tokens) if quote else {})}
                if self._is_explained(quote > 0)
                else None,
            )
        )

    def _is_explained(self, success: bool) -> bool:
        return not success or (
            self._ticket.choice.seed % EXPLAINED_ONE_IN == 0 and not self._ticket.choice.is_test
        )

    def _explanation(self) -> dict[str, Any]:
        return {**self._ticket.choice.explanation(), "attempts": self._attempts}

    def _shape(self, output_tokens: int) -> dict[str, str]:
        """How customers ask, without what they ask: our tests look like that."""
        if self._call.endpoint != wire.CHAT or self._ticket.choice.is_test:
            return {}
        shape = Shape.of(self._call.payload, answer_tokens=output_tokens)
        return {"shape": shape.to_json()} if shape else {}

    def _why(self) -> dict[str, Any]:
        return explained(self._explanation()) if self._explain else {}

    async def _relay(self, data: bytes) -> None:
        if not self._delivery.began:
            reach("first_byte", self._traffic.crash_at)
        await self._delivery.piece(data)
        reach("relayed_some", self._traffic.crash_at)

    # ------------------------------------------------------------------------------------------------- counting

    def _tokens(self, offer: LiveOffer, *, complete: bool) -> tuple[int, int]:
        """(input, output) tokens to bill, never above what was admitted."""
        call, meter = self._call, self._meter
        output_tokens = meter.output_tokens(
            bytes_per_token=offer.bytes_per_token,
            output_max=self._ticket.output_max * call.choices,
            complete=complete,
        )
        return min(meter.input_tokens(call, offer.bytes_per_token), self._ticket.input_max), output_tokens

    def _usage_block(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """What is billed, plus the server's details."""
        usage: dict[str, Any] = {"prompt_tokens": input_tokens}
        if self._call.endpoint != wire.EMBEDDINGS:
            usage["completion_tokens"] = output_tokens
        usage["total_tokens"] = input_tokens + output_tokens
        for name in SERVERS_USAGE_FIELDS:
            if isinstance(details := self._usage.get(name), dict):
                usage[name] = details
        return usage

    def _make_shell(self, offer: LiveOffer, kind: str) -> dict[str, Any]:
        """The fields around the choices: ours, whatever the server calls itself."""
        return {
            "id": ID_PREFIXES[self._call.endpoint] + self._ticket.charge,
            "object": kind,
            "created": self._created,
            "model": offer.model,
        }

    def _note_failure(self, offer: LiveOffer, failure: Failure) -> None:
        log.info("attempt.failed", server=offer.server_id, charge=self._ticket.charge, cause=failure.cause)
        if failure.unsupported:
            self._traffic.load.not_offered(offer.offer_id, self._call.endpoint)
        if failure.retry_after_s is not None:
            self._traffic.load.paused(offer.server_id, failure.retry_after_s)
        self._note_attempt(offer, failure.cause)
        if not failure.neutral:
            self._failed.append(offer.server_id)
            self._traffic.load.failed(offer.server_id, at_once=failure.locked_out)

    def _note_success(self, offer: LiveOffer) -> None:
        meter, latency_ms = self._meter, (self._loop.time() - self._began) * 1_000
        ttft_ms = None
        if self._call.stream and self._ttft_ms is not None:
            ttft_ms = self._attempts_ttft_ms(self._ttft_ms)
        output_tokens = meter.output_estimate(offer.bytes_per_token)
        self._traffic.load.served(
            offer.server_id, latency_ms=latency_ms, output_tokens=output_tokens, ttft_ms=ttft_ms
        )
        self._note_attempt(offer, "served")
        if self._call.endpoint == wire.EMBEDDINGS:
            return
        prompt = self._call.payload.get("messages") or self._call.payload.get("prompt")
        self._flags = (
            suspicion.of_call(self._call)
            | suspicion.flags(
                meter,
                output_told=self._output_told,
                writing_ms=latency_ms - (ttft_ms or 0.0),
                bytes_per_token=offer.bytes_per_token,
            )
            | self._traffic.memory.flags(
                (offer.offer_id, self._call.endpoint),
                prompt=prompt,
                meter=meter,
                called=self._called,
                fingerprint=self._shell.get("system_fingerprint"),
            )
        )

    def _note_attempt(self, offer: LiveOffer, outcome: str) -> None:
        self._attempts.append(
            {
                "server": offer.server_id,
                "owner": offer.owner,
                "outcome": outcome,
                "after_ms": self._elapsed_ms(),
            }
        )

    def _elapsed_ms(self) -> int:
        return round((self._loop.time() - self._started_at) * 1_000)
