"""A model server that only pretends: a real HTTP server that speaks OpenAI's API, with a pace of its own.

`python -m neuralgate.demo.simulator` serves what the environment says: SIMULATOR is a Spec as JSON.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import uvicorn

from neuralgate.demo.replies import JSON, Refused, Reply, chat, completion, embeddings

BODY_BYTES_MAX = 16 * 1024 * 1024

Receive = Callable[[], Awaitable[JSON]]
Send = Callable[[JSON], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Spec:
    """What it serves (on 127.0.0.1), and how fast. embedding_models: those that cannot chat."""

    port: int
    token: str
    models: tuple[str, ...]
    embedding_models: tuple[str, ...] = ()
    first_token_ms: int = 100
    tokens_per_s: int = 60

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> "Spec":
        fields: dict[str, Any] = json.loads(text)
        for name in ("models", "embedding_models"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)


def main() -> None:
    spec = Spec.decode(os.environ["SIMULATOR"])
    uvicorn.run(
        Simulator(spec),
        host="127.0.0.1",
        port=spec.port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )


class Simulator:
    """The ASGI application."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.created = int(time.time())

    async def __call__(self, scope: JSON, receive: Receive, send: Send) -> None:
        route = (scope["method"], scope["path"])
        try:
            if route == ("GET", "/health"):
                return await reply(send, {"status": "ok"})
            if dict(scope["headers"]).get(b"authorization") != f"Bearer {self.spec.token}".encode():
                raise Refused(401, "Invalid bearer token.")
            if route == ("GET", "/v1/models"):
                return await reply(send, self.models())
            if route not in {
                ("POST", f"/v1/{name}") for name in ("chat/completions", "completions", "embeddings")
            }:
                raise Refused(404, "Not found.")
            asked = await read_json(receive)
            self.check_model(asked, embed=scope["path"] == "/v1/embeddings")
            if scope["path"] == "/v1/embeddings":
                return await reply(send, embeddings(asked))
            planned = chat(asked) if scope["path"] == "/v1/chat/completions" else completion(asked)
            if asked.get("stream"):
                await self.stream(planned, send)
            else:
                await asyncio.sleep(
                    self.spec.first_token_ms / 1_000 + planned.output_tokens / self.spec.tokens_per_s
                )
                await reply(send, planned.whole())
        except Refused as refused:
            status, message = refused.args
            await reply(send, {"error": {"message": message, "type": "invalid_request_error"}}, status=status)

    def models(self) -> JSON:
        names = self.spec.models + self.spec.embedding_models
        rows = [
            {"id": name, "object": "model", "created": self.created, "owned_by": "demo"} for name in names
        ]
        return {"object": "list", "data": rows}

    def check_model(self, asked: JSON, *, embed: bool) -> None:
        if asked.get("model") not in (self.spec.embedding_models if embed else self.spec.models):
            raise Refused(404, f"The model {asked.get('model')!r} does not exist here.")

    async def stream(self, planned: Reply, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await asyncio.sleep(self.spec.first_token_ms / 1_000)
        async for event in paced(planned.events(), tokens_per_s=self.spec.tokens_per_s):
            data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
            await send(
                {"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True}
            )
        await send({"type": "http.response.body", "body": b""})


async def paced(events: Iterator[JSON | str], *, tokens_per_s: int) -> AsyncIterator[JSON | str]:
    """One event for each token's time, measured from the start, so that the pace does not drift."""
    started_s = time.monotonic()
    for number, event in enumerate(events):
        ahead_s = started_s + number / tokens_per_s - time.monotonic()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        yield event


async def read_json(receive: Receive) -> JSON:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            raise Refused(413, "The body is too large.")
    try:
        asked = json.loads(body)
    except ValueError:
        raise Refused(400, "The body is not JSON.") from None
    if not isinstance(asked, dict):
        raise Refused(400, "The body is not a JSON object.")
    return asked


async def reply(send: Send, body: JSON, *, status: int = 200) -> None:
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    main()
