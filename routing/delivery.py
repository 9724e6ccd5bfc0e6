"""The client's side of one answer: status line, pieces, last bytes, errors, over ASGI."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from accounts.envelope import Problem
from routing import wire

SMALL_BYTES = 16_384  # fits into the socket's buffer
EVENT_STREAM = b"text/event-stream; charset=utf-8"

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Delivery:
    """Says each thing once. `began`: the status line is out; `sending`: a piece is being taken; `over`: all is said."""

    __slots__ = ("_clock", "_headers", "_send", "_sent_at", "_stall_s", "_stream", "began", "over", "sending")

    def __init__(
        self, send: Send, headers: Headers, *, stream: bool, stall_s: float, clock: Callable[[], float]
    ) -> None:
        """stall_s: how long the last bytes may wait for a client that does not read. clock: monotonic seconds."""
        self._send = send
        self._headers = headers
        self._stream = stream
        self._stall_s = stall_s
        self._clock = clock
        self._sent_at = clock()
        self.began = self.sending = self.over = False

    async def piece(self, data: bytes) -> None:
        """A part of a stream; waits until the client takes it."""
        await self._begin_stream()
        self.sending = True
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self.sending = False
        self._sent_at = self._clock()

    async def comment(self, *, after_s: float) -> None:
        """Say that we still work, when nothing was said for after_s."""
        if self.began and not self.over and not self.sending and self._clock() - self._sent_at >= after_s:
            self._sent_at = self._clock()
            await self._send({"type": "http.response.body", "body": wire.COMMENT, "more_body": True})

    async def end(self, data: bytes) -> None:
        """The last part of a stream."""
        await self._begin_stream()
        await self._last(data)

    async def whole(self, status: int, body: bytes, extra: Headers | None = None) -> None:
        """A complete JSON answer."""
        length = (b"content-length", b"%d" % len(body))
        await self._begin(status, b"application/json", [length, *(extra or [])])
        await self._last(body)

    async def fail(self, problem: Problem, beside: dict[str, Any] | None = None) -> None:
        """As a status while none was sent, as an event afterwards (without [DONE]). beside: further JSON fields."""
        if self.began:
            await self.end(wire.event({**problem.content(), **(beside or {})}))
        else:
            extra = [(b"retry-after", b"%d" % problem.retry_after_s)] if problem.retry_after_s else []
            body = orjson.dumps({**problem.content(), **beside}) if beside else problem.body()
            await self.whole(problem.status, body, extra)

    async def _begin_stream(self) -> None:
        if not self.began:
            await self._begin(200, EVENT_STREAM, [(b"cache-control", b"no-cache")])

    async def _begin(self, status: int, content_type: bytes, extra: Headers) -> None:
        self.began = True
        headers = [(b"content-type", content_type), *self._headers, *extra]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _last(self, data: bytes) -> None:
        """A client that does not take it is not waited for."""
        self.over = True
        message = {"type": "http.response.body", "body": data}
        if len(data) < SMALL_BYTES and not self._stream:
            await self._send(message)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._stall_s):
                await self._send(message)
