"""Tokens from what a server claims and what it delivered.

The server's `usage` is a claim. What was delivered bounds it: estimate = bytes / bytes per token (learned from
other owners' servers of the model, 4 where nothing is known yet); billed is at most 1.25 × estimate + 16 for each
choice + 32 for each tool call, and never above max_tokens. Without a claim the estimate is billed; a claim of 0 is 0.
"""

import math
from typing import Any

from routing.wire import BadAnswer, Call

SLACK = 1.25
SLACK_TOKENS = 16
TOOL_CALL_TOKENS = 32
TOKENS_MAX = 10**7


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

    __slots__ = ("_choices", "_finished", "claimed_input", "claimed_output", "output_bytes", "tool_calls")

    def __init__(self) -> None:
        self.output_bytes = 0
        self.tool_calls = 0
        self.claimed_input: int | None = None
        self.claimed_output: int | None = None
        self._choices: set[int] = set()
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
            if type(index) is not int or not 0 <= index < 1_000:
                raise BadAnswer("a choice without an index")
            self._choices.add(index)
            if choice.get("finish_reason"):
                self._finished.add(index)
            content = choice.get("delta") or choice.get("message")
            if content is not None:
                if not isinstance(content, dict):
                    raise BadAnswer("a message that is no object")
                self._see_message(content)
            elif isinstance(text := choice.get("text"), str):
                self.output_bytes += len(text) if text.isascii() else len(text.encode())

    @property
    def finished(self) -> bool:
        """Every choice that began has said why it ended."""
        return bool(self._finished) and self._finished == self._choices

    def finished_all(self, choices: int) -> bool:
        return len(self._finished) >= choices and self.finished

    @property
    def empty(self) -> bool:
        """Nothing at all was delivered."""
        return not self.output_bytes and not self.tool_calls

    def output_estimate(self, bytes_per_token: float) -> int:
        return math.ceil(self.output_bytes / bytes_per_token) + 8 * self.tool_calls

    def output_tokens(self, *, bytes_per_token: float, output_max: int, complete: bool) -> int:
        """Tokens to bill for the answer. output_max: over all choices. Incomplete: what was relayed, estimated."""
        estimate = self.output_estimate(bytes_per_token)
        most = bound(estimate, answers=max(len(self._choices), 1), tool_calls=self.tool_calls)
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

    def _see_message(self, message: dict[str, Any]) -> None:
        for field in ("content", "reasoning_content", "reasoning", "refusal"):
            value = message.get(field)
            if isinstance(value, str):
                self.output_bytes += len(value) if value.isascii() else len(value.encode())
        calls = message.get("tool_calls")
        if calls:
            if not isinstance(calls, list):
                raise BadAnswer("tool calls that are no list")
            for call in calls:
                self._see_function(call.get("function") if isinstance(call, dict) else None)
        elif message.get("function_call"):
            self._see_function(message["function_call"])

    def _see_function(self, function: Any) -> None:
        if not isinstance(function, dict):
            raise BadAnswer("a tool call without a function")
        for field in ("name", "arguments"):
            value = function.get(field)
            if isinstance(value, str):
                self.output_bytes += len(value.encode())
                if field == "name" and value:
                    self.tool_calls += 1
