"""What looks wrong with an answer, found without keeping any of it: bits that are stored with the request.

One of them says little; a server of which many answers carry them is looked at (`routing.oddities`).
"""

import zlib
from collections import OrderedDict
from typing import Any

import orjson

from routing.calls import Call
from routing.metering import Meter
from routing.prompts import MESSAGE_TOKENS

TOO_FAST = 1  # more tokens in a second than any machine writes
ODD_TEXT = 2  # a tokenizer's own signs, or replacement characters
CUT_SHORT = 4  # "length", although far fewer tokens were written than allowed
BROKEN_TOOLS = 8  # arguments of a tool call that are no JSON
CHANGED = 16  # another model name or system fingerprint than the last answer's
REPEATED = 32  # word for word the long answer to another prompt
SUSPICIOUS = 63  # any of these; the others say something of the request
CHOSEN = 64  # the customer had a say in whose server it is, and could send that one what is special
UNEVEN = 128  # images, tools or token ids: tokens that the text does not show
NAMES = {
    TOO_FAST: "too_fast",
    ODD_TEXT: "odd_text",
    CUT_SHORT: "cut_short",
    BROKEN_TOOLS: "broken_tools",
    CHANGED: "changed_model",
    REPEATED: "repeated_answer",
}

TOKENS_PER_S_MAX = 10_000  # for one answer; wafer-scale machines reach about a third of it
FAST_BYTES_MIN = 4_096  # less may have waited in a buffer
CUT_SHORT_SHARE = 0.5
CUT_SHORT_TOKENS_MIN = 64
LONG_ANSWER_BYTES = 120
REMEMBERED_MAX = 64  # answers of each offer
OFFERS_MAX = 10_000


def flags(meter: Meter, *, output_told: int, writing_ms: float, bytes_per_token: float) -> int:
    """What a finished answer shows by itself. output_told: the max_tokens the server was given, for each choice."""
    found = 0
    written = meter.output_bytes / bytes_per_token
    if meter.output_bytes >= FAST_BYTES_MIN and written > TOKENS_PER_S_MAX * max(writing_ms, 0.01) / 1_000:
        found |= TOO_FAST
    if meter.odd_text:
        found |= ODD_TEXT
    claimed = meter.claimed_output or 0
    if meter.cut_off and max(written, claimed) < CUT_SHORT_SHARE * output_told >= CUT_SHORT_TOKENS_MIN:
        found |= CUT_SHORT
    if (
        meter.arguments
        and not meter.cut_off
        and not all(_is_json("".join(pieces)) for pieces in meter.arguments.values())
    ):
        found |= BROKEN_TOOLS
    return found


def of_call(call: Call) -> int:
    """What keeps an answer out of comparisons between servers."""
    found = 0
    if not call.preferences.are_plain or call.preferences.tier != "balanced":
        found |= CHOSEN
    plain_tokens = MESSAGE_TOKENS * len(call.payload.get("messages") or ())
    if call.prompt_tokens > plain_tokens or call.payload.get("tools"):
        found |= UNEVEN
    return found


def names(bits: int) -> list[str]:
    return [name for bit, name in NAMES.items() if bits & bit]


Asked = tuple[int, str]  # an offer and the endpoint


class Memory:
    """What a process remembers of each offer's last answers: checksums and names, no text."""

    def __init__(self) -> None:
        self._identities: dict[Asked, tuple[object, object]] = {}
        self._answers: dict[Asked, OrderedDict[int, int]] = {}

    def flags(self, asked: Asked, *, prompt: object, meter: Meter, called: Any, fingerprint: Any) -> int:
        """What an answer shows beside earlier ones. prompt: what was asked; called: its model name."""
        found = 0
        identity = (called, fingerprint)
        before = self._identities.get(asked)
        if before != identity:
            if len(self._identities) >= OFFERS_MAX:
                self._identities.clear()
                self._answers.clear()
            self._identities[asked] = identity
            if before is not None:
                found |= CHANGED
        if meter.output_bytes >= LONG_ANSWER_BYTES:
            answers = self._answers.setdefault(asked, OrderedDict())
            digest = zlib.crc32(orjson.dumps(prompt))
            if answers.setdefault(meter.digest, digest) != digest:
                found |= REPEATED
            answers.move_to_end(meter.digest)
            if len(answers) > REMEMBERED_MAX:
                answers.popitem(last=False)
        return found


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return False
    return True
