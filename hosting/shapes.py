"""What is kept of a customer's chat request so that a test can look like it: parameters and sizes, never text."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

ANSWER_TOKENS_MIN = 48  # room for an answer to a question of the bank
PROMPT_BYTES_MAX = 16_384
MESSAGES_MAX = 40
LIMITS = ("max_tokens", "max_completion_tokens")
SAMPLERS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)
FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "seed", "user", "stop", "n", *LIMITS, *SAMPLERS}
)
STOPS = frozenset({"\n\n", "\n\n\n", "###", "</s>", "<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "User:",
                   "\nUser:", "Human:", "\nHuman:", "<|endoftext|>"})  # fmt: skip
SAMPLER_MAX = 1_000
TOKENS_MAX = 10**7
SEED_MAX, DRAWN = 9_999, -1
NOTHING: tuple[object, ...] = (None, False, [], {})  # fields that say no more than their absence


class BadShape(ValueError):
    """A stored shape that cannot be used."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A chat request without its words.

    sizes: UTF-8 bytes of each message, in order. fields: the order in which the payload has its fields.
    limit_field: which of two names the token limit has, empty without one. seed: one that people choose (42), or -1
    for a large one, which a test draws anew. stop: only of a list of usual ones. parts: contents are lists with
    one text. answer_tokens: how long the answer was, when known.
    """

    sizes: tuple[int, ...]
    fields: tuple[str, ...] = ("model", "messages")
    system: bool = False
    parts: bool = False
    stream: bool = False
    include_usage: bool = False
    limit_field: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    user_given: bool = False
    stop: tuple[str, ...] = ()
    answer_tokens: int | None = None

    @property
    def seed_given(self) -> bool:
        return self.seed is not None

    @property
    def messages(self) -> int:
        return len(self.sizes)

    @property
    def prompt_bytes(self) -> int:
        return sum(self.sizes)

    @classmethod
    def of(cls, payload: Mapping[str, Any], *, answer_tokens: int | None = None) -> "Shape | None":
        """The shape of a parsed chat payload, without our routing fields; None when a test cannot look like it.

        That is so with tools, images, formats, several choices, fields that we do not know, a limit below 48
        tokens, more than 40 messages or 16 KiB, and turns that do not alternate.
        """
        unknown = [name for name, value in payload.items() if name not in FIELDS and value not in NOTHING]
        given = {name: value for name, value in payload.items() if name in FIELDS and value is not None}
        limits = [name for name in LIMITS if name in given]
        measured = _measure(given.get("messages"))
        options = given.get("stream_options", {})
        stop = given.get("stop", [])
        if (
            unknown
            or measured is None
            or len(limits) > 1
            or given.get("n", 1) != 1
            or not isinstance(options, Mapping)
            or not set(options) <= {"include_usage"}
            or not isinstance(stop, str | list)
        ):
            return None
        sizes, system, parts = measured
        shape = cls(
            sizes=sizes,
            fields=tuple(given),
            system=system,
            parts=parts,
            stream=given.get("stream", False),
            include_usage=options.get("include_usage") is True,
            limit_field=limits[0] if limits else "",
            max_tokens=given[limits[0]] if limits else None,
            seed=_kept_seed(given.get("seed")),
            user_given="user" in given,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            answer_tokens=answer_tokens,
            **{name: given[name] for name in SAMPLERS if name in given},
        )
        return shape if _is_sound(shape) else None

    def to_json(self) -> str:
        """Compact: only what differs from the defaults."""
        defaults = {field.name: field.default for field in fields(self)}
        kept = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        return json.dumps(kept, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Shape":
        """What `to_json` wrote, or BadShape."""
        try:
            kept = json.loads(text)
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()
            }
            shape = cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise BadShape(f"not a shape: {error}") from None
        if not _is_sound(shape):
            raise BadShape("a shape out of bounds")
        return shape


def _measure(messages: object) -> tuple[tuple[int, ...], bool, bool] | None:
    """(sizes, whether there is a system prompt, whether contents are lists), or None for other turns than usual."""
    if not isinstance(messages, list) or not 1 <= len(messages) <= MESSAGES_MAX:
        return None
    sizes, roles, listed = [], [], set()
    for message in messages:
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            return None
        text = message["content"]
        if isinstance(text, list):
            part = text[0] if len(text) == 1 else None
            if not isinstance(part, Mapping) or set(part) != {"type", "text"} or part["type"] != "text":
                return None
            text = part["text"]
            listed.add(True)
        elif message["role"] == "user":
            listed.add(False)
        if not isinstance(text, str):
            return None
        sizes.append(len(text.encode(errors="replace")))
        roles.append(message["role"])
    system = roles[0] == "system"
    turns = roles[system:]
    if (
        len(turns) % 2 == 0
        or turns != ["user", "assistant"] * (len(turns) // 2) + ["user"]
        or len(listed) != 1
    ):
        return None
    return tuple(sizes), system, listed == {True}


def _kept_seed(seed: object) -> int | None:
    """A seed that says nothing about whose it is; DRAWN for others, None for none."""
    if type(seed) is not int:
        return None
    return seed if 0 <= seed <= SEED_MAX else DRAWN


def _is_sound(shape: Shape) -> bool:
    """Whether every value has its type and stays within its bounds."""
    flags = (shape.system, shape.parts, shape.stream, shape.include_usage, shape.user_given)
    samplers = [value for name in SAMPLERS if (value := getattr(shape, name)) is not None]
    turns = shape.messages - shape.system if isinstance(shape.sizes, tuple) else 0
    return (
        all(isinstance(flag, bool) for flag in flags)
        and turns % 2 == 1
        and shape.messages <= MESSAGES_MAX
        and all(type(size) is int and size >= 0 for size in shape.sizes)
        and shape.prompt_bytes <= PROMPT_BYTES_MAX
        and isinstance(shape.fields, tuple)
        and all(isinstance(name, str) and name in FIELDS for name in shape.fields)
        and len(set(shape.fields)) == len(shape.fields)
        and {"model", "messages"} <= set(shape.fields)
        and (shape.limit_field in shape.fields if shape.max_tokens is not None else shape.limit_field == "")
        and (shape.limit_field in LIMITS or shape.limit_field == "")
        and _is_whole(shape.max_tokens, ANSWER_TOKENS_MIN)
        and _is_whole(shape.answer_tokens, 0)
        and _is_whole(shape.seed, -1)
        and all(type(value) in (int, float) and abs(value) <= SAMPLER_MAX for value in samplers)
        and isinstance(shape.stop, tuple)
        and len(shape.stop) <= len(STOPS)
        and all(isinstance(stop, str) and stop in STOPS for stop in shape.stop)
    )


def _is_whole(value: object, low: int) -> bool:
    return value is None or (type(value) is int and low <= value <= TOKENS_MAX)
