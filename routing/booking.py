"""The booking of one request: what became of each attempt, and at its end one row for the books, with the reasons."""

import asyncio
from collections.abc import Callable
from typing import Any

from hosting.offers import LiveOffer
from hosting.shapes import Shape
from routing.admission import Ticket
from routing.attempt import Attempt
from routing.calls import CHAT
from routing.metering import Meter
from routing.reply import Reply
from routing.settlement import Ending, Receipt, Settlement

EXPLAINED_ONE_IN = 64  # successes whose explanation is kept


def explained(explanation: dict[str, Any]) -> dict[str, Any]:
    """The field that an answer or an error carries when the customer asked why."""
    return {"neuralgate": {"explanation": explanation}}


class Booking:
    """`receipt` comes once an ending is on its way to the books; from then on nothing can take it back."""

    __slots__ = (
        "_attempts", "_clock", "_failed", "_settlement", "_ticket", "flags", "receipt", "started_s",
    )  # fmt: skip

    def __init__(
        self,
        ticket: Ticket,
        settlement: Settlement,
        clock: Callable[[], float],
        *,
        before: "Booking | None" = None,
    ) -> None:
        """clock: the loop's, in seconds. before: of the same request, whose servers all failed."""
        self._ticket = ticket
        self._settlement = settlement
        self._clock = clock
        self.started_s: float = before.started_s if before else clock()
        self._attempts: list[dict[str, Any]] = before._attempts if before else []
        self._failed: list[int] = []
        self.flags = 0  # what looked odd in the answer, as bits of `routing.suspicion`
        self.receipt: asyncio.Future[Receipt] | None = None

    def note(self, offer: LiveOffer, outcome: str, *, blamed: bool = False) -> None:
        """What became of an attempt. blamed: it counts as a failure of the server."""
        self._attempts.append(
            {
                "server": offer.server_id,
                "owner": offer.owner,
                "outcome": outcome,
                "after_ms": self.elapsed_ms(),
            }
        )
        if blamed:
            self._failed.append(offer.server_id)

    def settle(
        self, outcome: str, attempt: Attempt, reply: Reply, tokens: tuple[int, int]
    ) -> "asyncio.Future[Receipt]":
        """The customer pays this attempt's server. tokens: (input, output)."""
        choice, explanation = self._ticket.choice, None
        if choice.seed % EXPLAINED_ONE_IN == 0 and not choice.is_test:
            explanation = {**self.explanation(), **self._shape(tokens[1])}
        return self._submit(outcome, attempt, reply.meter, attempt.position, tokens, explanation)

    def void(self, outcome: str, attempt: Attempt | None) -> "asyncio.Future[Receipt]":
        """Nobody is paid. attempt: the last one, None when there was none."""
        meter = attempt.reply.meter if attempt else Meter(self._ticket.call)
        return self._submit(outcome, attempt, meter, 0, (0, 0), self.explanation())

    @property
    def made(self) -> bool:
        return self.receipt is not None

    def explanation(self) -> dict[str, Any]:
        return {**self._ticket.choice.explanation(), "attempts": self._attempts}

    def elapsed_ms(self) -> int:
        return round((self._clock() - self.started_s) * 1_000)

    def _shape(self, output_tokens: int) -> dict[str, str]:
        """How customers ask, without what they ask: our tests look like that."""
        if self._ticket.call.endpoint != CHAT:
            return {}
        shape = Shape.of(self._ticket.call.payload, answer_tokens=output_tokens)
        return {"shape": shape.to_json()} if shape else {}

    def _submit(
        self,
        outcome: str,
        attempt: Attempt | None,
        meter: Meter,
        quote: int,
        tokens: tuple[int, int],
        explanation: dict[str, Any] | None,
    ) -> "asyncio.Future[Receipt]":
        ticket, call = self._ticket, self._ticket.call
        offer = attempt.offer if attempt else ticket.offers[0]
        input_tokens, output_tokens = tokens
        first_s = attempt.first_s if attempt else None
        self.receipt = self._settlement.submit(
            Ending(
                charge=ticket.charge,
                quote=quote,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                outcome=outcome,
                success=quote > 0,
                model_asked=call.model,
                model=offer.model,
                provider=offer.kind if quote else "",
                server=offer.server_id if quote else None,
                endpoint=call.endpoint,
                streamed=call.stream,
                attempts=attempt.position if attempt else 1,
                claimed_input=meter.claimed_input,
                claimed_output=meter.claimed_output,
                input_bytes=call.prompt_bytes,
                output_bytes=meter.output_bytes,
                ttft_ms=None if first_s is None else round((first_s - self.started_s) * 1_000),
                latency_ms=self.elapsed_ms(),
                failed_servers=tuple(self._failed),
                flags=self.flags,
                explanation=explanation,
            )
        )
        return self.receipt
