"""The parameters of a request, read from its JSON and checked one by one.

Pure. What is wrong raises `ApiError`, which names the parameter.
"""

from typing import Any

import orjson

from accounts.envelope import MALFORMED, ApiError

MODEL_CHARS_MAX = 200
NAMES_MAX = 50


def json_object(body: bytes, depth_max: int) -> dict[str, Any]:
    """The body's object, nested no deeper than that."""
    if body.count(b"[") + body.count(b"{") > depth_max and _depth(body) > depth_max:
        raise ApiError(MALFORMED.because(f"The JSON is nested deeper than {depth_max} levels."))
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(MALFORMED.because(f"The body is not valid JSON: {str(error)[:120]}.")) from None
    if not isinstance(payload, dict):
        raise ApiError(MALFORMED.because("The body must be a JSON object."))
    return payload


def names(payload: dict[str, Any], field: str) -> list[str]:
    """A list of names; empty when it is not there."""
    value = payload.get(field)
    if value is None:
        return []
    if (
        not isinstance(value, list)
        or len(value) > NAMES_MAX
        or not all(
            isinstance(name, str) and 0 < len(name) <= MODEL_CHARS_MAX and name.isprintable()
            for name in value
        )
    ):
        raise ApiError(
            MALFORMED.because(f"`{field}` must be a list of at most {NAMES_MAX} names.", param=field)
        )
    return value


def boolean(payload: dict[str, Any], field: str) -> bool:
    """False when it is not there."""
    value = payload.get(field)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ApiError(MALFORMED.because(f"`{field}` must be true or false.", param=field))
    return value


def whole(payload: dict[str, Any], field: str, low: int, high: int, *, inside: str = "") -> int | None:
    """A number from low to high; None when it is not there. inside: the object that holds it."""
    value = payload.get(field)
    if value is None:
        return None
    if type(value) is not int or not low <= value <= high:
        name = f"{inside}.{field}" if inside else field
        raise ApiError(
            MALFORMED.because(f"`{name}` must be a whole number from {low} to {high}.", param=name)
        )
    return value


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
