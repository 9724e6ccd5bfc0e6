"""A real HTTP server that speaks OpenAI, with scripted faults; runs in a thread of its own on loopback."""

import asyncio
import base64
import contextlib
import json
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.ports import ports

LOOP = asyncio.new_event_loop()
threading.Thread(target=LOOP.run_forever, daemon=True, name="fakes").start()


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Script = Callable[[Request], AsyncIterator[bytes]]


def listen(connection: Callable[..., Any]) -> tuple[asyncio.Server, int]:
    """A server on a port that no other of this process ever has."""
    for port in ports:
        starting = asyncio.start_server(connection, "127.0.0.1", port)
        with contextlib.suppress(OSError):  # another worker was faster
            return asyncio.run_coroutine_threadsafe(starting, LOOP).result(5), port
    raise RuntimeError("no port")


@dataclass
class FakeServer:
    """`script` gives the raw bytes to answer with; replace it at any time. Every request is kept."""

    script: Script
    token: str = "server-token-of-tests"
    broken_health: int = 0  # what GET /health answers instead of 200
    requests: list[Request] = field(default_factory=list)
    open_connections: int = 0

    def __post_init__(self) -> None:
        self._server, self.port = listen(self._connection)
        self.base_url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        LOOP.call_soon_threadsafe(self._server.close)

    @property
    def asked(self) -> list[Request]:
        """The inference requests, without health checks."""
        return [request for request in self.requests if request.method == "POST"]

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {
                    k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)
                }
                data = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Request(method, path, headers, json.loads(data) if data else {})
                self.requests.append(request)
                if self.token and headers.get("authorization") != f"Bearer {self.token}":
                    pieces: AsyncIterator[bytes] = plain(401, {"error": {"message": "who are you?"}})(request)
                elif path == "/health":
                    pieces = plain(self.broken_health or 200, {"status": "ok"})(request)
                else:
                    pieces = self.script(request)
                async for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, Hangup):
            pass
        finally:
            self.open_connections -= 1
            writer.close()


class Hangup(Exception):
    """Raised by a script to close the connection."""


# ------------------------------------------------------------------------------------------------------- scripts


def http(status: int, content_type: str, body: bytes, extra: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode() + body


def raw(*pieces: bytes, then_close: bool = False, pause_s: float = 0) -> Script:
    """Exactly these bytes."""

    async def script(request: Request) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            if pause_s:
                await asyncio.sleep(pause_s)
        if then_close:
            raise Hangup

    return script


def plain(status: int, value: Any, *, extra: str = "") -> Script:
    return raw(http(status, "application/json", json.dumps(value).encode(), extra))


def silent(seconds: float = 60) -> Script:
    """Accepts and never answers."""

    async def script(request: Request) -> AsyncIterator[bytes]:
        await asyncio.sleep(seconds)
        yield b""

    return script


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def stream(events: Iterable[bytes], *, pause_s: float = 0, cut: bool = False) -> Script:
    """These bytes as the pieces of a chunked event stream; cut: without its end."""

    async def script(request: Request) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        for event in events:
            yield chunked(event)
            if pause_s:
                await asyncio.sleep(pause_s)
        if cut:
            raise Hangup
        yield b"0\r\n\r\n"

    return script


def sse(value: Any) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **extra: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "theirs", "choices": [choice], **extra}


def events(
    words: Iterable[str], usage: tuple[int, int] | None = None, finish: str | None = "stop"
) -> list[bytes]:
    """The events of a usual answer."""
    listed = [sse(chunk({"role": "assistant", "content": ""}))]
    listed += [sse(chunk({"content": word})) for word in words]
    if finish:
        listed.append(sse(chunk({}, finish)))
    if usage:
        listed.append(sse({"id": "x", "choices": [], "usage": usage_block(usage)}))
    return [*listed, sse(b"[DONE]")]


def usage_block(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}


def model(
    text: str = "Paris is the capital of France.",
    *,
    usage: tuple[int, int] | None = (10, 8),
    pause_s: float = 0,
    finish: str = "stop",
    names: Iterable[str] = (),
) -> Script:
    """A usual model server: chat, completions and embeddings, streamed and not. names: what /v1/models lists."""
    words = [word + " " for word in text.split(" ")]
    words[-1] = words[-1][:-1]

    async def script(request: Request) -> AsyncIterator[bytes]:
        block = {"usage": usage_block(usage)} if usage else {}
        body = request.body
        if request.path == "/v1/models":
            data = [{"id": name, "object": "model"} for name in names]
            yield http(200, "application/json", json.dumps({"object": "list", "data": data}).encode())
        elif request.path.endswith("/embeddings"):
            listed = isinstance(body["input"], list) and not isinstance(body["input"][0], int)
            inputs = body["input"] if listed else [body["input"]]
            vector: Any = [0.25, -0.5]
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack("<2f", 0.25, -0.5)).decode()
            rows = [{"object": "embedding", "index": n, "embedding": vector} for n in range(len(inputs))]
            yield http(
                200, "application/json", json.dumps({"object": "list", "data": rows, **block}).encode()
            )
        elif body.get("stream"):
            async for piece in stream(events(words, usage, finish), pause_s=pause_s)(request):
                yield piece
        else:
            await asyncio.sleep(pause_s)
            choices: list[dict[str, Any]] = []
            for index in range(body.get("n") or 1):
                if "messages" in body:
                    message = {"role": "assistant", "content": text}
                    choices.append({"index": index, "message": message, "finish_reason": finish})
                else:
                    choices.append({"index": index, "text": text, "finish_reason": finish})
            answer = {"id": "x", "model": "theirs", "choices": choices, **block}
            yield http(200, "application/json", json.dumps(answer).encode())

    return script
