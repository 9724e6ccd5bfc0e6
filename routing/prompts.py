"""How much a model has to read: the bytes of a prompt, and what is known of it in tokens already.

Pure. What is no prompt raises `ApiError`. entries_max: messages, texts or lists of token ids in one request.
"""

from typing import Any

import orjson

from accounts.envelope import MALFORMED, ApiError

MESSAGE_TOKENS = 4  # what a chat template adds around each message
IMAGE_TOKENS = 1_500
IMAGE_TYPES = ("image_url", "input_image", "image")  # no set: a part's type may be any JSON


def measure_chat(payload: dict[str, Any], entries_max: int) -> tuple[int, int]:
    """(bytes, tokens known already) of the messages and the tools."""
    messages = payload.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(
            MALFORMED.because("`messages` must be a list of at least one message.", param="messages")
        )
    if len(messages) > entries_max:
        raise ApiError(
            MALFORMED.because(f"`messages` must not have more than {entries_max} entries.", param="messages")
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
        elif content is not None:
            part_bytes, part_tokens = _measure_parts(content, f"messages[{number}].content")
            size += part_bytes
            tokens += part_tokens
        for field in ("tool_calls", "function_call", "reasoning_content"):
            if message.get(field):
                size += len(orjson.dumps(message[field]))
    return size + _tools_bytes(payload), tokens


def measure_texts(payload: dict[str, Any], field: str, entries_max: int) -> tuple[int, int, int]:
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
    if len(value) > entries_max:
        raise ApiError(
            MALFORMED.because(f"`{field}` must not have more than {entries_max} entries.", param=field)
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


def _measure_parts(content: Any, param: str) -> tuple[int, int]:
    """(bytes, tokens known already) of a message's parts."""
    if not isinstance(content, list):
        raise ApiError(MALFORMED.because("`content` must be a text or a list of parts.", param=param))
    size = tokens = 0
    for part in content:
        if not isinstance(part, dict):
            raise ApiError(MALFORMED.because("Each content part must be an object.", param=param))
        if part.get("type") in IMAGE_TYPES:
            tokens += IMAGE_TOKENS
        elif isinstance(text := part.get("text"), str):
            size += _utf8(text)
        else:
            size += len(orjson.dumps(part))
    return size, tokens


def _tools_bytes(payload: dict[str, Any]) -> int:
    """What stands beside the messages and is read too."""
    size = 0
    for field in ("tools", "functions", "response_format"):
        value = payload.get(field)
        if value is None:
            continue
        if not isinstance(value, dict if field == "response_format" else list):
            raise ApiError(MALFORMED.because(f"`{field}` has the wrong type.", param=field))
        size += len(orjson.dumps(value))
    return size


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
