"""Tokens from what a server claims and what it delivered.

The server's `usage` is a claim. What was delivered bounds it: estimate = bytes / bytes per token (learned from
other owners' servers of the model, 4 where nothing is known yet); billed is at most 1.25 × estimate + 16 for each
choice + 32 for each tool call, and never above max_tokens. Without a claim the estimate is billed; a claim of 0 is 0.
"""

import math
import zlib
from typing import Any

from routing.calls import Call
from routing.wire import BadAnswer

BYTES_PER_TOKEN_PRIOR = 4.0  # of English; what is known of a model comes with each offer
SLACK = 1.25
SLACK_TOKENS = 16
TOOL_CALL_TOKENS = 32
TOKENS_MAX = 10**7
# Ġ and Ċ of byte-level tokenizers, and what undecodable bytes become.
ODD_SIGNS = ("\u0120", "\u010a", "\ufffd")


def prompt_estimate(call: Call, bytes_per_token: float) -> int:
    return math.ceil(call.prompt_bytes / bytes_per_token) + call.prompt_tokens


def prompt_bound(call: Call, bytes_per_token: float) -> int:
    """The most prompt tokens that may be billed: what the hold covers."""
    return bound(prompt_estimate(call, bytes_per_token))


def bound(estimate: int, *, answers: int = 1, tool_calls: int = 0) -> int:
    return math.floor(SLACK * estimate) + SLACK_TOKENS * answers + TOOL_CALL_TOKENS * tool_calls


def billed(claim: int | None, estimate: int, most: int) -> int:
    """Tokens to bill. most: the bound, or less where the request allows less."""
    return min(estimate if claim is None else claim, most)


class Meter:
    """Watches one answer pass: how much text, how many tool calls, what is finished, what the server claims."""

    __slots__ = (
        "_choices_max", "_finished", "_seen", "_takes_tools", "_tool_calls", "arguments", "claimed_input",
        "claimed_output", "cut_off", "digest", "odd_text", "output_bytes",
    )  # fmt: skip

    def __init__(self, call: Call) -> None:
        self._choices_max = call.choices
        self._takes_tools = bool(call.payload.get("tools") or call.payload.get("functions"))
        self.output_bytes = 0
        self.digest = 0  # of all text, in the order it came
        self.odd_text = False  # a tokenizer's own signs, or replacement characters
        self.cut_off = False  # a choice ended for its length
        self.arguments: dict[tuple[int, int], list[str]] = {}  # of tool calls, piece by piece
        self.claimed_input: int | None = None
        self.claimed_output: int | None = None
        self._tool_calls: set[tuple[int, int]] = set()  # (choice, place in it)
        self._seen: set[int] = set()
        self._finished: set[int] = set()

    def see(self, answer: dict[str, Any]) -> None:
        """Count one event of a stream, or a whole answer. Raises BadAnswer for what has not OpenAI's shape."""
        if usage := answer.get("usage"):
            self._see_usage(usage)
        choices = answer.get("choices")
        if choices is None:
            return
        if not isinstance(choices, list):
            raise BadAnswer("choices that are no list")
        for choice in choices:
            if not isinstance(choice, dict):
                raise BadAnswer("a choice that is no object")
            index = choice.get("index", 0)
            if type(index) is not int or not 0 <= index < self._choices_max:
                raise BadAnswer("a choice that was not asked for")
            self._seen.add(index)
            if reason := choice.get("finish_reason"):
                self._finished.add(index)
                self.cut_off = self.cut_off or reason == "length"
            content = choice.get("delta") or choice.get("message")
            if content is not None:
                if not isinstance(content, dict):
                    raise BadAnswer("a message that is no object")
                self._see_message(index, content)
            else:
                self._count(choice.get("text"))

    @property
    def finished(self) -> bool:
        """Every choice that began has said why it ended."""
        return bool(self._finished) and self._finished == self._seen

    def finished_all(self, choices: int) -> bool:
        return len(self._finished) >= choices and self.finished

    @property
    def empty(self) -> bool:
        """Nothing at all was delivered."""
        return not self.output_bytes and not self._tool_calls

    @property
    def tool_calls(self) -> int:
        return len(self._tool_calls)

    def output_estimate(self, bytes_per_token: float) -> int:
        return math.ceil(self.output_bytes / bytes_per_token) + 8 * self.tool_calls

    def output_tokens(self, *, bytes_per_token: float, output_max: int, complete: bool) -> int:
        """Tokens to bill for the answer. output_max: over all choices. Incomplete: what was relayed, estimated."""
        estimate = self.output_estimate(bytes_per_token)
        most = bound(estimate, answers=max(len(self._seen), 1), tool_calls=self.tool_calls)
        return billed(self.claimed_output if complete else None, estimate, min(most, output_max))

    def input_tokens(self, call: Call, bytes_per_token: float) -> int:
        estimate = prompt_estimate(call, bytes_per_token)
        return billed(self.claimed_input, estimate, bound(estimate))

    def _see_usage(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            raise BadAnswer("usage that is no object")
        claimed_input, claimed_output = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if claimed_input is None and "total_tokens" in usage and claimed_output is None:
            claimed_input = usage["total_tokens"]
        for claim in (claimed_input, claimed_output):
            if claim is not None and (type(claim) is not int or claim < 0):
                raise BadAnswer("a token count that is no count")
        # A later block replaces an earlier one: servers that send usage with every chunk count upwards.
        if claimed_input is not None:
            self.claimed_input = min(claimed_input, TOKENS_MAX)
        if claimed_output is not None:
            self.claimed_output = min(claimed_output, TOKENS_MAX)

    def _see_message(self, choice: int, message: dict[str, Any]) -> None:
        for field in ("content", "reasoning_content", "reasoning", "refusal"):
            value = message.get(field)
            if isinstance(value, str):
                self._count(value)
            elif isinstance(value, list):
                for part in value:
                    self._count(part.get("text") if isinstance(part, dict) else None)
        calls = message.get("tool_calls")
        if calls:
            if not isinstance(calls, list):
                raise BadAnswer("tool calls that are no list")
            for place, call in enumerate(calls):
                if not isinstance(call, dict):
                    raise BadAnswer("a tool call that is no object")
                self._see_function(choice, call.get("index", place), call.get("function"))
        elif message.get("function_call"):
            self._see_function(choice, 0, message["function_call"])

    def _see_function(self, choice: int, place: Any, function: Any) -> None:
        if not isinstance(function, dict) or type(place) is not int:
            raise BadAnswer("a tool call without a function")
        self._count(function.get("name"))
        arguments = function.get("arguments")
        self._count(arguments)
        if self._takes_tools:
            self._tool_calls.add((choice, place))
            if isinstance(arguments, str):
                self.arguments.setdefault((choice, place), []).append(arguments)

    def _count(self, text: Any) -> None:
        if isinstance(text, str):
            data = text.encode()
            self.output_bytes += len(data)
            self.digest = zlib.crc32(data, self.digest)
            if len(data) > len(text) and any(sign in text for sign in ODD_SIGNS):
                self.odd_text = True
