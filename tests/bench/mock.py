"""A fast mock of a model server: `python -m tests.bench.mock PORT`. Answers from memory, so that it costs little.

The model's name says how: `…-d50` answers after 50 ms; a stream has 32 chunks, `…-p5` paced 5 ms apart.
"""

import asyncio
import json
import re
import sys

import uvloop

WORDS = 32


def answer() -> bytes:
    message = {"role": "assistant", "content": "word " * 64}
    value = {
        "id": "chatcmpl-x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 70, "total_tokens": 130},
    }  # fmt: skip
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def event(value: object) -> bytes:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunk(delta: dict, finish: str | None = None) -> dict:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


ANSWER = answer()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNKS = [event(chunk({"content": f"word{n} "})) for n in range(WORDS)]
USAGE = {"prompt_tokens": 60, "completion_tokens": 64, "total_tokens": 124}
END = (
    event(chunk({}, "stop")) + event({"choices": [], "usage": USAGE}) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)
DELAY = re.compile(rb'"model":\s*"[^"]*-d(\d+)"')
PACE = re.compile(rb'"model":\s*"[^"]*-p(\d+)"')


class Mock(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            start = head.find(b"content-length:")
            length = int(head[start + 15 :].split(b"\r\n")[0]) if start >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.respond(body)

    def respond(self, body: bytes) -> None:
        if b'"stream":true' in body:
            if match := PACE.search(body):
                self.pace(int(match[1]) / 1_000, 0)
            else:
                self.transport.write(HEAD + b"".join(CHUNKS) + END)
        elif match := DELAY.search(body):
            asyncio.get_running_loop().call_later(int(match[1]) / 1_000, self.transport.write, ANSWER)
        else:
            self.transport.write(ANSWER)

    def pace(self, pause_s: float, number: int) -> None:
        if number == 0:
            self.transport.write(HEAD)
        if number == WORDS:
            self.transport.write(END)
            return
        self.transport.write(CHUNKS[number])
        asyncio.get_running_loop().call_later(pause_s, self.pace, pause_s, number + 1)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
