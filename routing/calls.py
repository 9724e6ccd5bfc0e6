"""A request that was understood: from the bytes of its body to a `Call`.

Pure. What the customer sent wrong raises `ApiError`. Parameters that are not known here pass through unchanged.
"""

from dataclasses import dataclass
from typing import Any

from accounts.envelope import MALFORMED, TOO_LARGE, ApiError
from routing import preferences, prompts
from routing.parameters import MODEL_CHARS_MAX, boolean, json_object, whole
from routing.preferences import ROUTING_FIELDS, Preferences

CHAT, COMPLETIONS, EMBEDDINGS = "chat", "completions", "embeddings"
TOKENS_MAX = 10**7
FORBIDDEN_FIELDS = frozenset(
    {"api_base", "base_url", "api_key", "extra_headers", "headers", "provider_url", "timeout", "proxy"}
)
STRIPPED_FIELDS = ROUTING_FIELDS | FORBIDDEN_FIELDS


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may be at most."""

    depth: int
    messages: int
    choices: int


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
    payload = json_object(body, limits.depth)
    model = payload.get("model")
    if not isinstance(model, str) or not model or len(model) > MODEL_CHARS_MAX or not model.isprintable():
        raise ApiError(
            MALFORMED.because(
                f"`model` must be the id of a model: a text of 1 to {MODEL_CHARS_MAX} printable characters.",
                param="model",
            )
        )
    wishes = preferences.read(payload)
    for field in STRIPPED_FIELDS.intersection(payload):
        del payload[field]
    stream = boolean(payload, "stream")
    options = payload.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise ApiError(MALFORMED.because("`stream_options` must be an object.", param="stream_options"))
    wants_usage = boolean(options, "include_usage") if options else False
    choices = whole(payload, "n", 1, limits.choices) or 1
    if (whole(payload, "best_of", 0, TOKENS_MAX) or 1) > 1:
        raise ApiError(MALFORMED.because("`best_of` above 1 is not offered; use `n`.", param="best_of"))
    prompt_bytes, prompt_tokens, inputs = _measure(endpoint, payload, limits.messages)
    if endpoint != EMBEDDINGS and choices * inputs > limits.choices:
        raise ApiError(
            MALFORMED.because(
                f"`prompt` times `n` must not ask for more than {limits.choices} answers.", param="prompt"
            )
        )
    return Call(
        endpoint=endpoint,
        model=model,
        payload=payload,
        stream=stream and endpoint != EMBEDDINGS,
        wants_usage=wants_usage,
        choices=1 if endpoint == EMBEDDINGS else choices * inputs,
        inputs=inputs,
        output_asked=0 if endpoint == EMBEDDINGS else _output_asked(payload),
        prompt_bytes=prompt_bytes,
        prompt_tokens=prompt_tokens,
        preferences=wishes,
    )


def check_size(body_bytes: int, body_bytes_max: int) -> None:
    if body_bytes > body_bytes_max:
        raise ApiError(TOO_LARGE.because(f"The request body must not be above {body_bytes_max} bytes."))


def _measure(endpoint: str, payload: dict[str, Any], entries_max: int) -> tuple[int, int, int]:
    """(bytes, tokens known already, number of prompts)."""
    if endpoint == CHAT:
        return *prompts.measure_chat(payload, entries_max), 1
    return prompts.measure_texts(payload, "prompt" if endpoint == COMPLETIONS else "input", entries_max)


def _output_asked(payload: dict[str, Any]) -> int | None:
    """Tokens per choice that the customer allows; the smaller one where both fields are given."""
    asked = [
        value
        for field in ("max_completion_tokens", "max_tokens")
        if (value := whole(payload, field, 1, TOKENS_MAX)) is not None
    ]
    return min(asked) if asked else None
