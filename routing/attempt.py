"""One attempt: ask one server, read its reply within the limits of time and size, pass a stream on to the client."""

import asyncio
import contextlib
import time

from routing import metering, suspicion, wire
from routing.admission import Ticket
from routing.calls import EMBEDDINGS
from routing.crashpoints import reach
from routing.delivery import Delivery
from routing.reply import Reply
from routing.traffic import Traffic
from routing.upstream import Answer, Failure
from routing.wire import BadAnswer, EventReader

FINISH_GRACE_S = 5.0  # between the finishing chunk and the end of the stream
CLOSE_GRACE_S = 0.25  # between [DONE] and the end of the body
PACE_EVERY_S = 1.0  # between two looks at how fast a stream is
PACE_TOKENS_MIN = 8  # fewer say nothing about it


class ClientStalled(Exception):
    """The client reads nothing any more: as good as gone."""


class Attempt:
    """`reply` is what the server said so far; `answered`: it sent good headers; `first_s`: when its first content came.

    Times are seconds on the loop's clock.
    """

    __slots__ = (
        "_call", "_deadline_s", "_delivery", "_extended_s", "_loop", "_paced_s", "_ticket", "_traffic", "answered",
        "began_s", "first_s", "offer", "output_told", "position", "reply",
    )  # fmt: skip

    def __init__(
        self, traffic: Traffic, ticket: Ticket, delivery: Delivery, *, position: int, deadline_s: float
    ) -> None:
        """position: of the server on the ticket, from 1. deadline_s: when the whole request must be over."""
        self._traffic = traffic
        self._ticket = ticket
        self._call = call = ticket.call
        self._delivery = delivery
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self.position = position
        self.offer = offer = ticket.offers[position - 1]
        prompt_tokens = metering.prompt_estimate(call, offer.bytes_per_token)
        self.output_told = min(ticket.output_max, max(offer.context_window - prompt_tokens, 1))  # per choice
        self.reply = self._no_reply()
        self.answered = False
        self.began_s = self._paced_s = self._loop.time()
        self.first_s: float | None = None
        self._extended_s = 0.0

    async def run(self) -> None:
        """Returns when the reply is complete, or capped. Raises Failure, Refused or ClientStalled."""
        call, traffic = self._call, self._traffic
        reach("before_connect", traffic.crash_at)
        body = self._body()
        limit_s = self._deadline_s
        if call.stream:  # a whole answer's headers come when all of it is written
            limit_s = min(limit_s, self._loop.time() + traffic.bounds.first_byte_s)
        answer: Answer | None = None
        try:
            async with asyncio.timeout_at(limit_s) as limit:
                answer = await traffic.upstreams.ask(self.offer, call.endpoint, body, stream=call.stream)
                self.answered = True
                reach("headers", traffic.crash_at)
                if call.stream:
                    await self._read_stream(answer, limit)
                else:
                    await self._read_whole(answer)
        except BadAnswer as bad:
            raise Failure(str(bad), garbage=True) from None
        except TimeoutError:
            self._time_out()
        finally:
            if answer is not None:
                await answer.close()

    def relayed(self) -> Reply:
        """The reply as far as the client has it."""
        return self.reply if self._delivery.began else self._no_reply()

    def _no_reply(self) -> Reply:
        ticket = self._ticket
        return Reply(
            self._call,
            self.offer,
            charge=ticket.charge,
            created_s=int(time.time()),
            input_max=ticket.input_max,
            output_max=ticket.output_max,
        )

    def _body(self) -> bytes:
        """The request as this server gets it."""
        call, user = self._call, None
        if "user" in call.payload:
            user = self._traffic.end_user(self.offer, self._ticket.customer, call.payload["user"])
        return wire.encode_request(
            call, upstream_name=self.offer.upstream_name, output_max=self.output_told, user=user
        )

    def _time_out(self) -> None:
        """What a limit of time means depends on where it struck."""
        if self.reply.done or self.reply.meter.finished:
            return  # complete; the server just did not close
        if self._delivery.sending:
            raise ClientStalled
        if self._delivery.began and self._loop.time() >= self._deadline_s:
            self.reply.cap()
            return
        raise Failure("timeout", timeout=True)

    # -------------------------------------------------------------------------------------------------- reading

    async def _read_stream(self, answer: Answer, limit: asyncio.Timeout) -> None:
        reply, meter, bounds = self.reply, self.reply.meter, self._traffic.bounds
        reader = EventReader(bounds.event_bytes)
        received = 0
        finishing = False
        while True:
            delivered = meter.output_bytes, meter.tool_calls
            try:
                chunk = await answer.read()
            except Failure:
                if reply.finishing:
                    return  # only its end is missing
                raise
            try:
                now = reply.take(reader.end() if chunk is None else reader.feed(chunk))
            finally:  # also where garbage follows it
                if reply.finishing and not finishing:
                    reach("finish_seen", self._traffic.crash_at)
            if now and self.first_s is None:
                self.first_s = self._loop.time()
            if (meter.output_bytes, meter.tool_calls) != delivered and not finishing:
                self._extend(limit)
                self._tell_pace()
            if now:
                await self._pass_on(b"".join(now))
            if chunk is None:
                break
            received += len(chunk)
            if received > bounds.stream_bytes:
                self._stop_short()
                return
            if reply.done:
                limit.reschedule(self._loop.time() + CLOSE_GRACE_S)
                with contextlib.suppress(Failure):
                    await answer.read()  # the end of the body, so that the connection can be used again
                break
            if reply.finishing and not finishing:
                finishing = True
                limit.reschedule(min(self._deadline_s, self._loop.time() + FINISH_GRACE_S))
        if not meter.finished:
            raise Failure("it ended before it was finished")

    async def _read_whole(self, answer: Answer) -> None:
        body = bytearray()
        while (piece := await answer.read_block()) is not None:
            body += piece
            if len(body) > self._traffic.bounds.body_bytes:
                raise Failure("a body too long")
        self.reply.take_whole(body)
        self.first_s = self._loop.time()

    async def _pass_on(self, data: bytes) -> None:
        if not self._delivery.began:
            reach("first_byte", self._traffic.crash_at)
        await self._delivery.piece(data)
        reach("relayed_some", self._traffic.crash_at)

    def _stop_short(self) -> None:
        """The stream is longer than we relay."""
        if not self._delivery.began:
            raise Failure("too much before its first content", garbage=True)
        if not self.reply.meter.finished:
            self.reply.cap()

    def _extend(self, limit: asyncio.Timeout) -> None:
        """Give the server and the client their time again, for content only: comments and empty events are none.

        Moving a timer is dear, so not for every chunk.
        """
        bounds, now_s = self._traffic.bounds, self._loop.time()
        patience_s = max(bounds.idle_s, bounds.stall_s)
        if now_s - self._extended_s > patience_s / 10:
            self._extended_s = now_s
            # Up to a tenth late, never early.
            limit.reschedule(min(self._deadline_s, now_s + 1.1 * patience_s))

    # --------------------------------------------------------------------------- what the next choices learn from it

    def _tell_pace(self) -> None:
        """Tell how fast the server is, once a second: a long answer would say so too late."""
        now_s = self._loop.time()
        if self.first_s is None or now_s - self._paced_s < PACE_EVERY_S:
            return
        self._paced_s = now_s
        tokens = self.reply.output_estimate()
        if tokens >= PACE_TOKENS_MIN:
            self._traffic.load.progressed(
                self.offer.server_id,
                ttft_ms=(self.first_s - self.began_s) * 1_000,
                token_ms=(now_s - self.first_s) * 1_000 / (tokens - 1),
            )

    def tell_failure(self, failure: Failure) -> None:
        load, offer = self._traffic.load, self.offer
        if failure.unsupported:
            load.not_offered(offer.offer_id, self._call.endpoint)
        if failure.retry_after_s is not None:
            load.paused(offer.server_id, failure.retry_after_s)
        if not failure.neutral:
            load.failed(offer.server_id, at_once=failure.locked_out)

    def tell_success(self) -> int:
        """What looks odd in the complete reply, as bits of `routing.suspicion`."""
        latency_ms, ttft_ms = (self._loop.time() - self.began_s) * 1_000, None
        if self._call.stream and self.first_s is not None:
            ttft_ms = (self.first_s - self.began_s) * 1_000
        self._traffic.load.served(
            self.offer.server_id,
            latency_ms=latency_ms,
            output_tokens=self.reply.output_estimate(),
            ttft_ms=ttft_ms,
        )
        if self._call.endpoint == EMBEDDINGS:
            return 0
        return self._suspicions(writing_ms=latency_ms - (ttft_ms or 0.0))

    def _suspicions(self, writing_ms: float) -> int:
        call, offer, reply = self._call, self.offer, self.reply
        return (
            suspicion.of_call(call)
            | suspicion.flags(
                reply.meter,
                output_told=self.output_told,
                writing_ms=writing_ms,
                bytes_per_token=offer.bytes_per_token,
            )
            | self._traffic.memory.flags(
                (offer.offer_id, call.endpoint),
                prompt=call.payload.get("messages") or call.payload.get("prompt"),
                meter=reply.meter,
                called=reply.called,
                fingerprint=reply.fingerprint,
            )
        )
