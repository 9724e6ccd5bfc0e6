"""What a simulated server answers: decided whole before the first byte, then sent in one piece or streamed.

Usage is honest: a token is up to four bytes of the prompt or the answer; each chunk of a stream is one token.
"""

import base64
import hashlib
import json
import math
import random
import struct
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neuralgate.demo.answers import answer

TOKEN_BYTES = 4
EMBEDDING_FLOATS = 64
COMPLETION_TOKENS_DEFAULT = 16  # OpenAI's, of /v1/completions

JSON = dict[str, Any]


class Refused(Exception):
    """An answer that is an error: (status, message)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer decided before its first byte: what a chat (or a completion) will say, choice by choice."""

    id: str
    model: str
    chat: bool
    created: int
    input_tokens: int
    choices: tuple[tuple[str, ...], ...]  # each a text, in tokens
    finish_reason: str
    tool: JSON | None
    usage_in_stream: bool

    @property
    def output_tokens(self) -> int:
        spoken = tokens(self.tool["arguments"]) if self.tool else ()
        return sum(map(len, self.choices)) + len(spoken) * len(self.choices)

    def whole(self) -> JSON:
        choices = [self._choice(number, "".join(text)) for number, text in enumerate(self.choices)]
        return {**self._frame(chunk=False), "choices": choices, "usage": self._usage()}

    def events(self) -> Iterator[JSON | str]:
        """Role, contents, finish, usage when asked for, [DONE]."""
        numbers = range(len(self.choices))
        if self.chat:
            for number in numbers:
                yield self._chunk(number, {"role": "assistant", "content": None if self.tool else ""})
        for number in numbers:
            if self.tool:
                yield self._chunk(number, {"tool_calls": [{"index": 0, **self._tool_call(number, "")}]})
                for part in tokens(self.tool["arguments"]):
                    call = {"index": 0, "function": {"arguments": part}}
                    yield self._chunk(number, {"tool_calls": [call]})
        for step in range(max(map(len, self.choices), default=0)):
            for number in numbers:
                if step < len(self.choices[number]):
                    yield self._chunk(number, {"content": self.choices[number][step]})
        for number in numbers:
            yield self._chunk(number, {}, self.finish_reason)
        if self.usage_in_stream:
            yield {**self._frame(chunk=True), "choices": [], "usage": self._usage()}
        yield "[DONE]"

    def _choice(self, number: int, text: str) -> JSON:
        choice: JSON = {"index": number, "finish_reason": self.finish_reason, "logprobs": None}
        if not self.chat:
            return {**choice, "text": text}
        message: JSON = {"role": "assistant", "content": text}
        if self.tool:
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [self._tool_call(number, self.tool["arguments"])],
            }
        return {**choice, "message": message}

    def _chunk(self, number: int, delta: JSON, finish_reason: str | None = None) -> JSON:
        choice: JSON = {"index": number, "finish_reason": finish_reason, "logprobs": None}
        choice |= {"delta": delta} if self.chat else {"text": delta.get("content", "")}
        return {**self._frame(chunk=True), "choices": [choice]}

    def _tool_call(self, number: int, arguments: str) -> JSON:
        assert self.tool is not None
        function = {"name": self.tool["name"], "arguments": arguments}
        return {"id": f"call_{self.id[-12:]}{number}", "type": "function", "function": function}

    def _frame(self, *, chunk: bool) -> JSON:
        kind = ("chat.completion.chunk" if chunk else "chat.completion") if self.chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self) -> JSON:
        total = self.input_tokens + self.output_tokens
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": total,
        }


def chat(asked: JSON) -> Reply:
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages must be a list with at least one message.")
    texts = [text_of(message) for message in messages]
    users = [text for message, text in zip(messages, texts, strict=True) if message.get("role") == "user"]
    question = users[-1] if users else texts[-1]
    tool = tool_call(asked, question) if messages[-1].get("role") != "tool" else None
    if messages[-1].get("role") == "tool":
        said = f"The tool answered: {texts[-1][:500]}"
    else:
        said = answer(question, model=asked["model"])
        if (asked.get("response_format") or {}).get("type") in ("json_object", "json_schema"):
            said = json.dumps({"answer": said}, ensure_ascii=False)
    return reply(asked, prompts=texts, said="" if tool else said, chat=True, tool=tool)


def completion(asked: JSON) -> Reply:
    prompt = asked.get("prompt")
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list) or not prompts or not all(isinstance(text, str) for text in prompts):
        raise Refused(400, "prompt must be a text or a list of texts.")
    return reply(asked, prompts=prompts, said=answer(prompts[0], model=asked["model"]), chat=False, tool=None)


def reply(asked: JSON, *, prompts: list[str], said: str, chat: bool, tool: JSON | None) -> Reply:
    most = (
        asked.get("max_completion_tokens")
        or asked.get("max_tokens")
        or (None if chat else COMPLETION_TOKENS_DEFAULT)
    )
    whole = tokens(said)
    text = whole[:most]
    copies = asked.get("n") or 1
    if not chat:
        copies *= len(prompts)
    return Reply(
        id=("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex,
        model=asked["model"],
        chat=chat,
        created=int(time.time()),
        input_tokens=sum(map(token_count, prompts)),
        choices=(text,) * copies,
        finish_reason="tool_calls" if tool else "length" if len(text) < len(whole) else "stop",
        tool=tool,
        usage_in_stream=bool((asked.get("stream_options") or {}).get("include_usage")),
    )


def tool_call(asked: JSON, question: str) -> JSON | None:
    """A call of a tool that the question is about: the weather, or a tool's own name."""
    if asked.get("tool_choice") == "none":
        return None
    functions = [tool["function"] for tool in asked.get("tools") or [] if tool.get("type") == "function"]
    heard = question.lower()
    for function in functions:
        name = function["name"]
        about_weather = "weather" in heard and "weather" in name.lower()
        if about_weather or name.lower() in heard or asked.get("tool_choice") == "required":
            wanted = (function.get("parameters") or {}).get("properties") or {}
            arguments = {key: argument(key, schema, question) for key, schema in wanted.items()}
            return {"name": name, "arguments": json.dumps(arguments)}
    return None


def argument(name: str, schema: JSON, question: str) -> Any:
    """A value that fits the schema; a place is taken from the question's "in …"."""
    if options := schema.get("enum"):
        return options[0]
    if schema.get("type") in ("number", "integer"):
        return 1
    if schema.get("type") == "boolean":
        return True
    _, found, place = question.rpartition(" in ")
    return place.strip(" ?.!") if found else question


def embeddings(asked: JSON) -> JSON:
    given = asked.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise Refused(400, "input must be a text or a list of texts.")
    encode = base64_floats if asked.get("encoding_format") == "base64" else list
    rows = [
        {"object": "embedding", "index": n, "embedding": encode(vector(text))} for n, text in enumerate(texts)
    ]
    used = sum(map(token_count, texts))
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": rows, "model": asked["model"], "usage": usage}


def vector(text: str) -> list[float]:
    """A unit vector, the same for the same text."""
    chance = random.Random(hashlib.sha256(text.encode()).digest())
    floats = [chance.gauss(0, 1) for _ in range(EMBEDDING_FLOATS)]
    length = math.hypot(*floats)
    return [round(value / length, 6) for value in floats]


def base64_floats(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def text_of(message: JSON) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if isinstance(part, dict))


def tokens(text: str) -> tuple[str, ...]:
    """Cut into pieces of at most four bytes."""
    pieces = []
    piece, size = "", 0
    for char in text:
        char_bytes = len(char.encode("utf-8", "replace"))
        if size + char_bytes > TOKEN_BYTES:
            pieces.append(piece)
            piece, size = "", 0
        piece, size = piece + char, size + char_bytes
    return (*pieces, piece) if piece else tuple(pieces)


def token_count(text: str) -> int:
    return max(1, math.ceil(len(text.encode("utf-8", "replace")) / TOKEN_BYTES))
