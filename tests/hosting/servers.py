"""A server of which every route is scripted, for health checks and verification."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests import fakes

Answer = Callable[[fakes.Request], tuple[int, Any]]


@dataclass
class ScriptedServer:
    """`answer` says status and body of a request. Every request is kept."""

    answer: Answer
    requests: list[fakes.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server, port = fakes.listen(self._connection)
        self.base_url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        fakes.LOOP.call_soon_threadsafe(self._server.close)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {
                    k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)
                }
                data = await reader.readexactly(int(headers.get("content-length", 0)))
                request = fakes.Request(method, path, headers, json.loads(data) if data else {})
                self.requests.append(request)
                status, body = self.answer(request)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                writer.write(fakes.http(status, "application/json", raw))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def routes(**statuses: int) -> Answer:
    """`routes(health=404, models=200)`: GET routes by their last word; everything else is 404."""

    def answer(request: fakes.Request) -> tuple[int, Any]:
        return statuses.get(request.path.rsplit("/", 1)[-1], 404), {}

    return answer


def model(token: str, *, health: int = 200, content: Any = "Hello.") -> Answer:
    """A server that does everything right: refuses strangers, is well, answers chat completions."""

    def answer(request: fakes.Request) -> tuple[int, Any]:
        if request.path == "/health":
            return health, {}
        if request.headers.get("authorization") != f"Bearer {token}":
            return 401, {"error": {"message": "who are you?"}}
        message = {"role": "assistant", "content": content}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "length"}]}

    return answer
