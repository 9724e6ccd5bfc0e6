"""Servers that do what no server should: raw bytes, sockets that hang, answers without end."""

import asyncio
import datetime as dt
import gzip
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests import fakes
from tests.ports import ports

LEAK = "leaked-by-the-server"
HEADERS = f"x-secret: {LEAK}\r\nserver: {LEAK}\r\nset-cookie: session={LEAK}; path=/\r\n"


@dataclass
class Address:
    """Something that is no HTTP server, and what must stay alive for it."""

    base_url: str
    kept: list[Any] = field(default_factory=list)


Make = Callable[[], "fakes.FakeServer | Address"]


def serving(*pieces: bytes, then_close: bool = False, pause_s: float = 0) -> Make:
    return lambda: fakes.FakeServer(fakes.raw(*pieces, then_close=then_close, pause_s=pause_s))


def running(script: fakes.Script) -> Make:
    return lambda: fakes.FakeServer(script)


# ---------------------------------------------------------------------------------------------------- no HTTP at all


def refused_port() -> Address:
    return Address(f"http://127.0.0.1:{next(ports)}")


def full_backlog() -> Address:
    """Nobody accepts: the next connection waits for ever."""
    listener = socket.socket()
    port = next(ports)
    listener.bind(("127.0.0.1", port))
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    return Address(f"http://127.0.0.1:{port}", [listener, *waiting])


def garbage_for_tls() -> Address:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(range(256)))
        await writer.drain()
        writer.close()

    server, port = fakes.listen(connection)
    return Address(f"https://127.0.0.1:{port}", [server])


def silence_for_tls() -> Address:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side gives up
        writer.close()

    server, port = fakes.listen(connection)
    return Address(f"https://127.0.0.1:{port}", [server])


def self_signed(name: str = "localhost", *, days: int = 1) -> Address:
    """A certificate that nobody vouches for; days below 0: expired, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "server.pem"
        file.write_bytes(_certificate(name, days))
        context.load_cert_chain(file)

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    port = next(ports)
    starting = asyncio.start_server(connection, "127.0.0.1", port, ssl=context)
    server = asyncio.run_coroutine_threadsafe(starting, fakes.LOOP).result(5)
    return Address(f"https://localhost:{port}", [server])


def _certificate(name: str, days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - dt.timedelta(days=9))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


# ------------------------------------------------------------------------------------------------------------ answers


def whole(text: str = "Fine.", **fields: Any) -> dict[str, Any]:
    """A usual answer of one choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": LEAK, "model": LEAK, "choices": [choice], "usage": fakes.usage_block((10, 2)), **fields}


def body(data: bytes | Any, *, status: int = 200, kind: str = "application/json", extra: str = "") -> bytes:
    """A whole response; data that is no bytes is written as JSON."""
    return fakes.http(
        status, kind, data if isinstance(data, bytes) else json.dumps(data).encode(), HEADERS + extra
    )


def head(*lines: str, kind: str = "application/json", status: str = "200 OK") -> bytes:
    more = "".join(line + "\r\n" for line in lines)
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{HEADERS}{more}\r\n".encode()


def redirect(status: int, to: str) -> bytes:
    return body(b"", status=status, extra=f"location: {to}\r\n")


STREAM_HEAD = head("transfer-encoding: chunked", kind="text/event-stream")


def stream(*events: bytes, cut: bool = False, pause_s: float = 0) -> Make:
    """These pieces of an event stream, with headers that nobody may see."""

    async def script(request: fakes.Request) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        for event in events:
            yield fakes.chunked(event)
            if pause_s:
                await asyncio.sleep(pause_s)
        if cut:
            raise fakes.Hangup
        yield b"0\r\n\r\n"

    return running(script)


def endless(first: bytes, again: bytes, *, pause_s: float = 0.001, most_bytes: int = 1 << 30) -> Make:
    """For ever the same; it stops at a gibibyte, should nobody stop it."""

    async def script(request: fakes.Request) -> AsyncIterator[bytes]:
        yield first
        sent = 0
        while sent < most_bytes:
            yield again
            sent += len(again)
            await asyncio.sleep(pause_s)
        raise fakes.Hangup

    return running(script)


def crumbs(data: bytes, *, size: int = 1, at_once: int = 1_000) -> list[bytes]:
    """The data as chunks of so few bytes, many of them in each piece that is written."""
    cut = [fakes.chunked(data[at : at + size]) for at in range(0, len(data), size)]
    return [b"".join(cut[at : at + at_once]) for at in range(0, len(cut), at_once)]


def bomb(mebibytes: int = 64) -> bytes:
    return gzip.compress(bytes(mebibytes << 20), 9)
