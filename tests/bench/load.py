"""A load generator: `python -m tests.bench.load PORT CONNECTIONS REQUESTS` with path, key and body on standard input.

Keeps each connection busy with one request after the other and prints one JSON object: requests, errors, seconds,
p50_ms, p99_ms.
"""

import asyncio
import json
import sys
import time

import uvloop


class Client(asyncio.Protocol):
    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = bytearray()
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport
        self.ask()

    def ask(self) -> None:
        if self.load.left <= 0:
            self.transport.close()
            self.load.finished()
            return
        self.load.left -= 1
        self.buffer.clear()
        self.began = time.perf_counter()
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 :].split(b"\r\n")[0])
            if len(self.buffer) < end + 4 + length:
                return
        elif not self.buffer.endswith(b"0\r\n\r\n"):
            return
        ok = head.startswith(b"http/1.1 200") and (at >= 0 or b"[DONE]" in self.buffer[-64:])
        if not ok and self.load.errors < 3:
            print(bytes(self.buffer[:600]), file=sys.stderr)
        self.load.errors += not ok
        self.load.latencies.append(time.perf_counter() - self.began)
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self.load.errors += 1
            self.load.finished()


class Load:
    def __init__(self, request: bytes, connections: int, requests: int) -> None:
        self.request = request
        self.left = requests
        self.open = connections
        self.errors = 0
        self.latencies: list[float] = []
        self.done = asyncio.Event()

    def finished(self) -> None:
        self.open -= 1
        if self.open <= 0:
            self.done.set()


async def run(
    port: int, connections: int, requests: int, path: str, key: str, body: bytes
) -> dict[str, float]:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    load = Load(head.encode() + body, connections, requests)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    await asyncio.wait_for(load.done.wait(), 300)
    seconds = time.perf_counter() - began
    ranked = sorted(load.latencies)
    return {
        "requests": len(ranked), "errors": load.errors, "seconds": seconds,
        "p50_ms": ranked[len(ranked) // 2] * 1e3, "p99_ms": ranked[len(ranked) * 99 // 100] * 1e3,
    }  # fmt: skip


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    port, connections, requests = (int(word) for word in sys.argv[1:4])
    print(
        json.dumps(
            uvloop.run(run(port, connections, requests, asked["path"], asked["key"], asked["body"].encode()))
        )
    )
