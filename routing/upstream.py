"""One attempt at one server: ask, and read what it answers. Limits and classification of failures live here."""

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pyreqwest.client import Client
from pyreqwest.exceptions import ConnectError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from hosting import connector
from hosting.offers import LiveOffer
from routing.calls import CHAT, COMPLETIONS, EMBEDDINGS

PATHS = {CHAT: "/chat/completions", COMPLETIONS: "/completions", EMBEDDINGS: "/embeddings"}
RESOLVE_EVERY_S = 60.0
HOP_HEADER = "x-ng-hop"  # a hoster whose address leads back to us would make us ask ourselves for ever
WHOLE_ANSWER_BUFFER_BYTES = 65_536
NOT_OFFERED = frozenset({404, 405, 501})
CUSTOMERS_FAULT = frozenset({400, 413, 415, 422})


class Failure(Exception):
    """An attempt that did not work. `neutral` says nothing about the server's health; `locked_out` that it
    refuses our token; retry_after_s that it asked for a pause; garbage that its answer was not usable;
    unsupported that it does not have this route or model."""

    def __init__(
        self,
        cause: str,
        *,
        neutral: bool = False,
        locked_out: bool = False,
        retry_after_s: float | None = None,
        timeout: bool = False,
        garbage: bool = False,
        unsupported: bool = False,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.neutral = neutral
        self.locked_out = locked_out
        self.retry_after_s = retry_after_s
        self.timeout = timeout
        self.garbage = garbage
        self.unsupported = unsupported


class Refused(Exception):
    """The server says that the request itself is wrong (400, 413, 415, 422): no other server is asked."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class OpenClient:
    """A pooled client for one server, at the address that was checked, with the token of that version."""

    client: Client
    base_url: str
    token_version: int
    opened_at: float
    is_literal: bool
    urls: dict[str, str] = field(default_factory=dict)


class Answer:
    """A server's answer whose headers are here and whose body is still coming."""

    __slots__ = ("_reader", "_request", "response")

    def __init__(self, request: StreamRequest, response: Response) -> None:
        self._request = request
        self.response = response
        self._reader = response.body_reader

    async def read(self) -> bytes | None:
        """The next piece of the body as it comes; None at its end. Raises Failure when the connection breaks."""
        return await self._next(self._reader.read_chunk())

    async def read_block(self) -> bytes | None:
        """As read, but waits for a good deal of it: a body in crumbs must not wake us for each."""
        return await self._next(self._reader.read(WHOLE_ANSWER_BUFFER_BYTES)) or None

    async def _next(self, reading: Awaitable[Any]) -> bytes | None:
        try:
            chunk = await reading
        except RequestTimeoutError:
            _heed_cancellation()
            raise Failure("timeout", timeout=True) from None
        except PyreqwestError:
            _heed_cancellation()
            raise Failure("cut off") from None
        _heed_cancellation()
        return None if chunk is None else bytes(chunk)

    async def close(self) -> None:
        await self._request.__aexit__(None, None, None)


class Upstreams:
    """The servers' clients of this process, opened when first needed and after each change of address or token."""

    def __init__(self) -> None:
        self._open: dict[int, OpenClient] = {}
        self._opening: dict[int, asyncio.Lock] = {}

    async def ask(self, offer: LiveOffer, endpoint: str, body: bytes, *, stream: bool) -> Answer:
        """Send the request and wait for the headers of a good answer. Raises Failure or Refused."""
        opened = self._open.get(offer.server_id)
        if opened is None or not self._is_current(opened, offer):
            opened = await self._reopen(offer)
        builder = opened.client.post(opened.urls[endpoint])
        if offer.guarded:
            builder = builder.header(HOP_HEADER, "1")
        request = (
            builder.header("authorization", f"Bearer {offer.token}")
            .header("content-type", "application/json")
            .header("accept", "text/event-stream" if stream else "application/json")
            .header("accept-encoding", "identity")
            .body_bytes(body)
            # 0: do not wait for a body.
            .streamed_read_buffer_limit(0 if stream else WHOLE_ANSWER_BUFFER_BYTES)
            .build_streamed()
        )
        try:
            response = await request.__aenter__()
        except PyreqwestError as error:
            _heed_cancellation()
            raise self._failure(error, offer) from None
        answer = Answer(request, response)
        try:
            _heed_cancellation()
            _check_headers(response, stream=stream)
        except BaseException:
            await answer.close()
            raise
        return answer

    def _failure(self, error: PyreqwestError, offer: LiveOffer) -> Failure:
        """Why there is no answer at all."""
        if isinstance(error, ConnectError):
            self.forget(offer)
            return Failure("no connection")
        if isinstance(error, RequestTimeoutError):
            return Failure("timeout", timeout=True)
        return Failure("broken answer")

    def forget(self, offer: LiveOffer) -> None:
        """Resolve the name anew at the next request: home servers change their address."""
        self._open.pop(offer.server_id, None)

    def _is_current(self, opened: OpenClient, offer: LiveOffer) -> bool:
        if opened.base_url != offer.base_url or opened.token_version != offer.token_version:
            return False
        return opened.is_literal or asyncio.get_running_loop().time() - opened.opened_at < RESOLVE_EVERY_S

    async def _reopen(self, offer: LiveOffer) -> OpenClient:
        async with self._opening.setdefault(offer.server_id, asyncio.Lock()):
            opened = self._open.get(offer.server_id)
            if opened is not None and self._is_current(opened, offer):
                return opened
            try:
                client = await connector.open_client(offer.base_url, guarded=offer.guarded)
            except connector.ConnectRefused as error:
                raise Failure(str(error)) from None
            root = offer.base_url + ("/v1" if offer.kind == "hoster" else "")
            opened = OpenClient(
                client=client,
                base_url=offer.base_url,
                token_version=offer.token_version,
                opened_at=asyncio.get_running_loop().time(),
                is_literal=_is_literal(offer.base_url),
                urls={endpoint: root + path for endpoint, path in PATHS.items()},
            )
            self._open[offer.server_id] = opened
            return opened


def _heed_cancellation() -> None:
    """Raise the cancellation that pyreqwest drops when what it waited for, or an error, is there at the same moment.

    In a flood of pieces that is every fifth: a limit of time would never end the stream, nor would a hang-up.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _check_headers(response: Response, *, stream: bool) -> None:
    status = response.status
    if status in CUSTOMERS_FAULT:
        raise Refused(status)
    if status in (401, 403):
        raise Failure(f"status {status}: it refuses our token", locked_out=True)
    if status in NOT_OFFERED:
        raise Failure(f"status {status}: not offered", neutral=True, unsupported=True)
    if status == 429:
        raise Failure("status 429", neutral=True, retry_after_s=_seconds(response.get_header("retry-after")))
    if status != 200:
        raise Failure(f"status {status}")
    encoding = response.get_header("content-encoding")
    if encoding and encoding.lower() != "identity":
        raise Failure("an encoded body although identity was asked", garbage=True)
    kind = (response.get_header("content-type") or "").split(";")[0].strip().lower()
    if kind != ("text/event-stream" if stream else "application/json"):
        raise Failure("a content type that was not asked for", garbage=True)


def _seconds(text: str | None) -> float:
    """A Retry-After in seconds, from 1 to 60; dates and garbage count as 5."""
    try:
        seconds = float(text or 5)
    except ValueError:
        return 5.0
    return min(max(seconds, 1.0), 60.0) if math.isfinite(seconds) else 5.0


def _is_literal(base_url: str) -> bool:
    try:
        ip_address(urlsplit(base_url).hostname or "")
    except ValueError:
        return False
    return True
