"""What arrives over ASGI: the headers and the body of a request for inference."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from accounts import envelope, keys
from accounts.envelope import ApiError
from billing import idempotency_key
from hosting import targets
from routing import calls
from routing.upstream import HOP_HEADER as HOP

HOP_HEADER = HOP.encode()
EXPLAIN_HEADER = b"x-neuralgate-explain"
TARGET_HEADER = targets.HEADER.encode()
REPEAT_HEADER = idempotency_key.HEADER.lower().encode()

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Head(NamedTuple):
    """What the headers say: API key, announced body bytes, whether to explain, for which server a test is.

    repeat: the Idempotency-Key, if there is one.
    """

    key: str
    length: int
    explain: bool
    target: bytes
    repeat: str | None


def read_headers(scope: Scope) -> Head:
    """The key's layout is checked here, before anything is spent on it."""
    authorization: bytes | None = None
    length, explain, target = 0, False, b""
    repeat: str | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                raise ApiError(envelope.MALFORMED.because("Send one Authorization header, not several."))
            authorization = value
        elif name == HOP_HEADER:
            raise ApiError(envelope.LOOP)
        elif name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise ApiError(envelope.MALFORMED.because("Send the body without Content-Encoding."))
        elif name == EXPLAIN_HEADER:
            explain = value.strip() in (b"1", b"true")
        elif name == TARGET_HEADER:
            target = value
        elif name == REPEAT_HEADER:
            if repeat is not None:
                raise ApiError(envelope.MALFORMED.because("Send one Idempotency-Key header, not several."))
            repeat = value.decode("latin-1")
    if not authorization:
        raise ApiError(envelope.NO_KEY)
    scheme, _, key = authorization.decode("latin-1").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not keys.is_well_formed(key):
        raise ApiError(envelope.BAD_KEY)
    return Head(key, length, explain, target, repeat)


async def read_body(receive: Receive, body_bytes_max: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
        calls.check_size(len(body), body_bytes_max)
    if message["type"] == "http.disconnect":
        raise ClientGone
    calls.check_size(len(body), body_bytes_max)
    return body
