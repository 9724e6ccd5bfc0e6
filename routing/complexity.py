"""Is this query simple? For `model="auto"`: a simple one goes to the operator's own server, free of charge."""

import re
from typing import Any

from routing.wire import CHAT, Call

CHARS_MAX = 400
HARD_WORDS = re.compile(
    r"\b(analy[sz]e|summari[sz]e|compare|explain|prove|derive|implement|refactor|debug|design|write|essay|story|code|"
    r"function|step by step|translate|plan|review)\b",
    re.IGNORECASE,
)
CODE = re.compile(r"```|[{};]\s*$|\bdef |\bclass |</\w+>|=>|#include|\bSELECT\b.*\bFROM\b", re.MULTILINE)


def is_simple(call: Call) -> bool:
    """One short question for a fact or a small rewrite: single turn, no code, tools or images. In doubt: no."""
    if (
        call.endpoint != CHAT
        or call.choices > 1
        or call.payload.get("tools")
        or call.payload.get("response_format")
    ):
        return False
    asked = [message for message in call.payload["messages"] if message["role"] != "system"]
    if len(asked) != 1 or asked[0]["role"] != "user":
        return False
    text: Any = asked[0].get("content")
    if not isinstance(text, str) or len(text) > CHARS_MAX or call.prompt_bytes > 4 * CHARS_MAX:
        return False
    return HARD_WORDS.search(text) is None and CODE.search(text) is None
