"""What one server answers in one attempt: counted, put into our own envelope, and given on as bytes.

Pure: payloads and bodies in, bytes and token counts out. What the server sent wrong raises `BadAnswer`. The finishing
chunk of a stream and all that follows it stay here until `end` gives them: they are sent only after the booking.
"""

from typing import Any

import orjson

from hosting.offers import LiveOffer
from routing import wire
from routing.calls import CHAT, COMPLETIONS, EMBEDDINGS, Call
from routing.metering import Meter
from routing.wire import BadAnswer

NESTING_SAFE = 200  # brackets; what orjson reads but cannot write again is nested deeper
FINGERPRINT_CHARS_MAX = 100
ID_PREFIXES = {CHAT: "chatcmpl-", COMPLETIONS: "cmpl-"}
OBJECTS = {CHAT: "chat.completion", COMPLETIONS: "text_completion"}
STREAM_OBJECTS = {CHAT: "chat.completion.chunk", COMPLETIONS: "text_completion"}
SERVERS_USAGE_FIELDS = ("prompt_tokens_details", "completion_tokens_details")


class Reply:
    """Begins empty, and is of one attempt only.

    `done`: nothing more is taken; `finishing`: its last events are here; `capped`: we ended it; `called`: the name that
    the server gives its model.
    """

    __slots__ = (
        "_call", "_early", "_input_max", "_last", "_offer", "_output_max", "_shell", "_usage", "called", "capped",
        "done", "finishing", "meter",
    )  # fmt: skip

    def __init__(
        self, call: Call, offer: LiveOffer, *, charge: str, created_s: int, input_max: int, output_max: int
    ) -> None:
        """charge: names the answer. created_s: Unix time. The most tokens to bill: input_max; output_max per choice."""
        self._call = call
        self._offer = offer
        self._input_max = input_max
        self._output_max = output_max * call.choices
        self.meter = Meter(call)
        self.done = self.finishing = self.capped = False
        self.called: object = None
        self._early: list[bytes] = []  # before the first content: role chunks
        self._last: list[bytes] = []  # from the finishing chunk on
        self._usage: dict[str, Any] = {}
        # The fields around the choices: ours, whatever the server calls itself.
        self._shell: dict[str, Any]
        if call.endpoint == EMBEDDINGS:
            self._shell = {"object": "list", "data": [], "model": offer.model}
        else:
            self._shell = {
                "id": ID_PREFIXES[call.endpoint] + charge,
                "object": (STREAM_OBJECTS if call.stream else OBJECTS)[call.endpoint],
                "created": created_s,
                "model": offer.model,
            }

    # ------------------------------------------------------------------------------------------ what the server says

    def take(self, payloads: list[bytes]) -> list[bytes]:
        """Count these events of a stream and give those that may be sent now."""
        now: list[bytes] = []
        for payload in payloads:
            if self.done:
                break
            if payload == b"[DONE]":
                self.done = True
                break
            value = wire.decode_answer(payload)
            if isinstance(usage := value.get("usage"), dict):
                self._usage = usage
            choices = value.get("choices")
            if not choices or self.finishing:
                self.meter.see({"usage": value.get("usage")})  # ours follows at the end
                continue
            self.meter.see(value)
            self._put(choices, value)
            event = wire.event(self._shell)
            if self.meter.finished_all(self._call.choices):
                self.finishing = True
                self._last.append(event)
            elif self.meter.empty:
                self._early.append(event)
            else:
                now.append(event)
        if now and self._early:
            now, self._early = self._early + now, []
        return now

    def take_whole(self, body: bytes | bytearray) -> None:
        """Count and check an answer that was not streamed."""
        value = wire.decode_answer(body)
        if body.count(b"[") + body.count(b"{") > NESTING_SAFE:
            wire.encode_answer(value)  # before it is booked
        self.meter.see(value)
        if isinstance(usage := value.get("usage"), dict):
            self._usage = usage
        if self._call.endpoint == EMBEDDINGS:
            self._shell["data"] = self._embeddings(value.get("data"))
            return
        choices = value.get("choices")
        if not choices or not all(
            isinstance(choice.get("message"), dict) or isinstance(choice.get("text"), str)
            for choice in choices
        ):
            raise BadAnswer("no choices")
        if self.meter.empty and not self.meter.finished:
            raise BadAnswer("an empty answer")
        self._put(choices, value)

    def cap(self) -> None:
        """A limit of ours ends the stream, properly: what was relayed is paid, and no claim of the server counts."""
        self.done = self.finishing = self.capped = True
        chat = {"index": 0, "delta": {}, "finish_reason": "length"}
        text = {"index": 0, "text": "", "finish_reason": "length"}
        self._shell["choices"] = [text if self._call.endpoint == COMPLETIONS else chat]
        self._last.append(wire.event(self._shell))
        self.meter.claimed_output = None

    def _put(self, choices: Any, value: dict[str, Any]) -> None:
        """Put the choices into our envelope, and what says which model it is."""
        self._shell["choices"] = choices
        self.called = value.get("model")
        if isinstance(fingerprint := value.get("system_fingerprint"), str):
            self._shell["system_fingerprint"] = fingerprint[:FINGERPRINT_CHARS_MAX]

    def _embeddings(self, data: Any) -> list[dict[str, Any]]:
        if (
            not isinstance(data, list)
            or len(data) != self._call.inputs
            or not all(isinstance(row, dict) and row.get("embedding") for row in data)
        ):
            raise BadAnswer("not one embedding for each input")
        return data

    # --------------------------------------------------------------------------------------------- what is made of it

    @property
    def fingerprint(self) -> str | None:
        return self._shell.get("system_fingerprint")

    def output_estimate(self) -> int:
        """Tokens written so far."""
        return self.meter.output_estimate(self._offer.bytes_per_token)

    def tokens(self, *, complete: bool) -> tuple[int, int]:
        """(input, output) tokens to bill, never above what was admitted. Incomplete: what was relayed so far."""
        bytes_per_token = self._offer.bytes_per_token
        output_tokens = self.meter.output_tokens(
            bytes_per_token=bytes_per_token, output_max=self._output_max, complete=complete
        )
        return min(self.meter.input_tokens(self._call, bytes_per_token), self._input_max), output_tokens

    def usage(self, input_tokens: int, output_tokens: int) -> dict[str, Any]:
        """The usage block for what is billed, with the server's details."""
        usage: dict[str, Any] = {"prompt_tokens": input_tokens}
        if self._call.endpoint != EMBEDDINGS:
            usage["completion_tokens"] = output_tokens
        usage["total_tokens"] = input_tokens + output_tokens
        for name in SERVERS_USAGE_FIELDS:
            if isinstance(details := self._usage.get(name), dict):
                usage[name] = details
        return usage

    def whole(self, usage: dict[str, Any], beside: dict[str, Any]) -> bytes:
        """The answer as one body. beside: further fields."""
        return orjson.dumps({**self._shell, "usage": usage, **beside})

    def end(self, usage: dict[str, Any] | None, beside: dict[str, Any]) -> bytes:
        """What a stream still has to say: events that were withheld, usage where it is wanted, [DONE]."""
        last = self._early + self._last
        if usage is not None or beside:
            self._shell["choices"] = []
            last.append(wire.event({**self._shell, **({} if usage is None else {"usage": usage}), **beside}))
        last.append(wire.DONE)
        return b"".join(last)
