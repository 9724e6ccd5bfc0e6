"""OpenAI's JSON and server-sent events: parse a request, cut a stream into events, write both again.

Pure: bytes and values in, values and bytes out. What the customer sent wrong raises `ApiError`; what a server
sent wrong raises `BadAnswer`. Fields that this module does not know pass through unchanged.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from accounts.envelope import MALFORMED, TOO_LARGE, ApiError

CHAT, COMPLETIONS, EMBEDDINGS = "chat", "completions", "embeddings"
MODEL_CHARS_MAX = 200
TOKENS_MAX = 10**7
IMAGE_TOKENS = 1_500
IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
MESSAGE_TOKENS = 4  # what a chat template adds around each message
ROUTING_FIELDS = frozenset(
    {"tier", "max_latency_ms", "privacy_mode", "trusted_only", "fallback_models", "allow_hosters", "deny_hosters",
     "max_price"}
)  # fmt: skip
FORBIDDEN_FIELDS = frozenset(
    {"api_base", "base_url", "api_key", "extra_headers", "headers", "provider_url", "timeout", "proxy"}
)
STRIPPED_FIELDS = ROUTING_FIELDS | FORBIDDEN_FIELDS


class BadAnswer(Exception):
    """A server's answer that cannot be used; the words are ours, nothing of the answer is quoted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may be at most."""

    depth: int
    messages: int
    choices: int


@dataclass(frozen=True, slots=True)
class Preferences:
    """The routing fields of a request. Prices are nanodollars per token; None means no wish."""

    tier: str = "balanced"
    max_latency_ms: int | None = None
    privacy_mode: bool = False
    trusted_only: bool = False
    fallback_models: tuple[str, ...] = ()
    allow_hosters: frozenset[str] = frozenset()
    deny_hosters: frozenset[str] = frozenset()
    max_price_in: int | None = None
    max_price_out: int | None = None

    @property
    def are_plain(self) -> bool:
        """Nothing in them needs more than a draw by weight."""
        return self is NO_PREFERENCES or (
            self.tier != "cheapest"
            and self == Preferences(tier=self.tier, fallback_models=self.fallback_models)
        )


NO_PREFERENCES = Preferences()


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was understood. `payload` is what is passed on, without our own fields.

    prompt_bytes: UTF-8 bytes of everything the model reads; prompt_tokens: what is known in tokens already
    (messages' overhead, images, arrays of token ids). choices: answers it may bring; inputs: prompts
    or texts to embed. output_asked: tokens per choice, None when not said.
    """

    endpoint: str
    model: str
    payload: dict[str, Any]
    stream: bool
    wants_usage: bool
    choices: int
    inputs: int
    output_asked: int | None
    prompt_bytes: int
    prompt_tokens: int
    preferences: Preferences


def parse(endpoint: str, body: bytes, limits: Limits) -> Call:
    """Understand a request body or say, as an `ApiError`, what is wrong with it."""
    payload = _json_object(body, limits.depth)
    model = payload.get("model")
    if not isinstance(model, str) or not model or len(model) > MODEL_CHARS_MAX or not model.isprintable():
        raise ApiError(
            MALFORMED.because(
                f"`model` must be the id of a model: a text of 1 to {MODEL_CHARS_MAX} printable characters.",
                param="model",
            )
        )
    preferences = _preferences(payload)
    for field in STRIPPED_FIELDS.intersection(payload):
        del payload[field]
    stream = _boolean(payload, "stream")
    options = payload.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise ApiError(MALFORMED.because("`stream_options` must be an object.", param="stream_options"))
    wants_usage = _boolean(options, "include_usage") if options else False
    choices = _whole(payload, "n", 1, limits.choices) or 1
    if (_whole(payload, "best_of", 0, TOKENS_MAX) or 1) > 1:
        raise ApiError(MALFORMED.because("`best_of` above 1 is not offered; use `n`.", param="best_of"))
    inputs = 1
    if endpoint == CHAT:
        prompt_bytes, prompt_tokens = _measure_chat(payload, limits)
    elif endpoint == COMPLETIONS:
        prompt_bytes, prompt_tokens, inputs = _measure_prompts(payload, "prompt", limits)
        if choices * inputs > limits.choices:
            raise ApiError(
                MALFORMED.because(
                    f"`prompt` times `n` must not ask for more than {limits.choices} answers.", param="prompt"
                )
            )
        choices *= inputs
    else:
        prompt_bytes, prompt_tokens, inputs = _measure_prompts(payload, "input", limits)
        choices, stream = 1, False
    return Call(
        endpoint=endpoint,
        model=model,
        payload=payload,
        stream=stream,
        wants_usage=wants_usage,
        choices=choices,
        inputs=inputs,
        output_asked=0 if endpoint == EMBEDDINGS else _output_asked(payload),
        prompt_bytes=prompt_bytes,
        prompt_tokens=prompt_tokens,
        preferences=preferences,
    )


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


def _json_object(body: bytes, depth_max: int) -> dict[str, Any]:
    if body.count(b"[") + body.count(b"{") > depth_max and _depth(body) > depth_max:
        raise ApiError(MALFORMED.because(f"The JSON is nested deeper than {depth_max} levels."))
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(MALFORMED.because(f"The body is not valid JSON: {str(error)[:120]}.")) from None
    if not isinstance(payload, dict):
        raise ApiError(MALFORMED.because("The body must be a JSON object."))
    return payload


def _depth(body: bytes) -> int:
    """How deep arrays and objects are nested; brackets inside of strings do not count."""
    deepest = depth = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _measure_chat(payload: dict[str, Any], limits: Limits) -> tuple[int, int]:
    """(bytes, tokens known already) of the messages and the tools."""
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(
            MALFORMED.because("`messages` must be a list of at least one message.", param="messages")
        )
    if len(messages) > limits.messages:
        raise ApiError(
            MALFORMED.because(
                f"`messages` must not have more than {limits.messages} entries.", param="messages"
            )
        )
    size, tokens = 0, MESSAGE_TOKENS * len(messages)
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError(
                MALFORMED.because(
                    "Each message must be an object with a `role`.", param=f"messages[{number}]"
                )
            )
        content = message.get("content")
        if isinstance(content, str):
            size += _utf8(content)
        elif isinstance(content, list):
            for part in content:
                if not isinstance(part, dict):
                    raise ApiError(
                        MALFORMED.because(
                            "Each content part must be an object.", param=f"messages[{number}].content"
                        )
                    )
                if part.get("type") in IMAGE_TYPES:
                    tokens += IMAGE_TOKENS
                elif isinstance(text := part.get("text"), str):
                    size += _utf8(text)
                else:
                    size += len(orjson.dumps(part))
        elif content is not None:
            raise ApiError(
                MALFORMED.because(
                    "`content` must be a text or a list of parts.", param=f"messages[{number}].content"
                )
            )
        for field in ("tool_calls", "function_call", "reasoning_content"):
            if message.get(field):
                size += len(orjson.dumps(message[field]))
    for field in ("tools", "functions", "response_format"):
        value = payload.get(field)
        if value is None:
            continue
        if not isinstance(value, dict if field == "response_format" else list):
            raise ApiError(MALFORMED.because(f"`{field}` has the wrong type.", param=field))
        size += len(orjson.dumps(value))
    return size, tokens


def _measure_prompts(payload: dict[str, Any], field: str, limits: Limits) -> tuple[int, int, int]:
    """(bytes, tokens known already, number of prompts) of a text, texts, token ids or lists of token ids."""
    value = payload.get(field)
    wrong = ApiError(
        MALFORMED.because(f"`{field}` must be a text, a list of texts or a list of token ids.", param=field)
    )
    if isinstance(value, str) and value:
        return _utf8(value), MESSAGE_TOKENS, 1
    if not isinstance(value, list) or not value:
        raise wrong
    if all(type(item) is int and item >= 0 for item in value):
        return 0, len(value), 1
    if len(value) > limits.messages:
        raise ApiError(
            MALFORMED.because(f"`{field}` must not have more than {limits.messages} entries.", param=field)
        )
    size = tokens = 0
    for item in value:
        if isinstance(item, str) and item:
            size += _utf8(item)
            tokens += MESSAGE_TOKENS
        elif isinstance(item, list) and item and all(type(token) is int and token >= 0 for token in item):
            tokens += len(item)
        else:
            raise wrong
    return size, tokens, len(value)


def _output_asked(payload: dict[str, Any]) -> int | None:
    """Tokens per choice that the customer allows; the smaller one where both fields are given."""
    asked = [
        value
        for field in ("max_completion_tokens", "max_tokens")
        if (value := _whole(payload, field, 1, TOKENS_MAX)) is not None
    ]
    return min(asked) if asked else None


def _preferences(payload: dict[str, Any]) -> Preferences:
    if not ROUTING_FIELDS.intersection(payload):
        return NO_PREFERENCES
    tier = payload.get("tier") or "balanced"
    if tier not in ("cheapest", "balanced", "fastest"):
        raise ApiError(MALFORMED.because("`tier` must be cheapest, balanced or fastest.", param="tier"))
    price = payload.get("max_price")
    if price is not None and not isinstance(price, dict):
        raise ApiError(
            MALFORMED.because(
                '`max_price` must be an object: {"input": …, "output": …} in nanodollars per token.',
                param="max_price",
            )
        )
    return Preferences(
        tier=tier,
        max_latency_ms=_whole(payload, "max_latency_ms", 1, 10**9),
        privacy_mode=_boolean(payload, "privacy_mode"),
        trusted_only=_boolean(payload, "trusted_only"),
        fallback_models=tuple(_names(payload, "fallback_models")),
        allow_hosters=frozenset(_names(payload, "allow_hosters")),
        deny_hosters=frozenset(_names(payload, "deny_hosters")),
        max_price_in=_whole(price, "input", 0, 10**9, inside="max_price") if price else None,
        max_price_out=_whole(price, "output", 0, 10**9, inside="max_price") if price else None,
    )


def _names(payload: dict[str, Any], field: str) -> list[str]:
    value = payload.get(field)
    if value is None:
        return []
    if (
        not isinstance(value, list)
        or len(value) > 50
        or not all(
            isinstance(name, str) and 0 < len(name) <= MODEL_CHARS_MAX and name.isprintable()
            for name in value
        )
    ):
        raise ApiError(MALFORMED.because(f"`{field}` must be a list of at most 50 names.", param=field))
    return value


def _boolean(payload: dict[str, Any], field: str) -> bool:
    value = payload.get(field)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ApiError(MALFORMED.because(f"`{field}` must be true or false.", param=field))
    return value


def _whole(payload: dict[str, Any], field: str, low: int, high: int, *, inside: str = "") -> int | None:
    value = payload.get(field)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        name = f"{inside}.{field}" if inside else field
        raise ApiError(
            MALFORMED.because(f"`{name}` must be a whole number from {low} to {high}.", param=name)
        )
    return value


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def check_size(body_bytes: int, body_bytes_max: int) -> None:
    if body_bytes > body_bytes_max:
        raise ApiError(TOO_LARGE.because(f"The request body must not be above {body_bytes_max} bytes."))
