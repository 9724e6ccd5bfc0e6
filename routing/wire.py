"""The JSON and the server-sent events between us and a server: write a request, read answers, write them again.

Pure: bytes and values in, values and bytes out. What a server sent wrong raises `BadAnswer`. Fields that this module
does not know pass through unchanged.
"""

from typing import Any

import orjson

from routing.calls import EMBEDDINGS, Call


class BadAnswer(Exception):
    """A server's answer that cannot be used; the words are ours, nothing of the answer is quoted."""


def encode_request(call: Call, *, upstream_name: str, output_max: int, user: str | None) -> bytes:
    """The body for one server: its own model name, the most it may write, usage always asked for.

    output_max: tokens per choice. user: what stands for the customer's end user, None to leave it out.
    """
    payload = {**call.payload, "model": upstream_name}
    if call.endpoint != EMBEDDINGS:
        if payload.get("max_completion_tokens") is not None:
            payload["max_completion_tokens"] = output_max
            if "max_tokens" in payload:
                payload["max_tokens"] = output_max
        else:
            payload["max_tokens"] = output_max
        if call.stream:
            payload["stream_options"] = {**(payload.get("stream_options") or {}), "include_usage": True}
        else:
            payload.pop("stream_options", None)
    if "user" in payload:
        if user is None:
            del payload["user"]
        else:
            payload["user"] = user
    return orjson.dumps(payload)


def decode_answer(data: bytes | bytearray) -> dict[str, Any]:
    """A server's JSON object (a whole answer, or one event of a stream), or BadAnswer."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadAnswer("not JSON") from None
    if not isinstance(answer, dict):
        raise BadAnswer("not a JSON object")
    if answer.get("error"):
        raise BadAnswer("an error instead of an answer")
    return answer


def encode_answer(value: dict[str, Any]) -> bytes:
    """An answer in our envelope; BadAnswer when what the server put into it cannot be written again."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested too deep
        raise BadAnswer("too deep") from None


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + encode_answer(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"
COMMENT = b": still working\n\n"


class EventReader:
    """Cuts a stream of server-sent events into the payloads of its `data` fields, however the bytes are cut.

    Takes LF, CRLF and CR, several data lines in an event, `data:` without a space, comments, a byte-order mark.
    Source: WHATWG HTML, "Server-sent events", 9.2.6. Unlike there, an event the stream ends within counts: some
    servers forget the last blank line.
    """

    __slots__ = ("_event_bytes_max", "_held", "_rest", "_started")

    def __init__(self, event_bytes_max: int) -> None:
        self._event_bytes_max = event_bytes_max
        self._rest = bytearray()  # of an event whose end has not come
        self._held = b""  # half of a byte-order mark or of a CRLF, perhaps
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads that this chunk completes. Raises BadAnswer for an event above the limit.

        Takes time in proportion to the chunk, not to what came before: a server may send a long line byte by byte.
        """
        text = self._held + chunk if self._held else chunk
        self._held = b""
        if not self._started:
            if len(text) < 3 and b"\xef\xbb\xbf".startswith(text):
                self._held = text
                return []
            self._started = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in text:
            if text.endswith(b"\r"):
                text, self._held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._rest:
            looked_at = len(self._rest) - 1
            self._rest += text
            if self._rest.find(b"\n\n", looked_at) < 0:
                self._check()
                return []
            text = bytes(self._rest)
        blocks = text.split(b"\n\n")
        self._rest = bytearray(blocks.pop())
        self._check()
        return [payload for block in blocks if (payload := _data_of(block)) is not None]

    def _check(self) -> None:
        if len(self._rest) > self._event_bytes_max:
            raise BadAnswer("an event too long")

    def end(self) -> list[bytes]:
        """The payload of an event that the stream ended within."""
        payload = _data_of(bytes(self._rest))
        self._rest, self._held = bytearray(), b""
        return [] if payload is None else [payload]


def _data_of(block: bytes) -> bytes | None:
    """The data of one event's lines; None for comments and other fields."""
    if b"\n" not in block:
        if not block.startswith(b"data:"):
            return None
        return block[6:] if block[5:6] == b" " else block[5:]
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
