"""The second trip: book what was served, give back what was not. Belongs to the process, not to a response."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from routing.batching import Batcher, Connection, literal, quoted

SETTLE = """
-- everything is found by primary key; see the functions of billing's and routing's migrations
SELECT * FROM routing_settle(%s::uuid[], %s::int[], %s::bigint[], %s::bigint[], %s::text[], %s::int, %s::text[],
    %s::text[], %s::text[], %s::bigint[], %s::text[], %s::boolean[], %s::boolean[], %s::int[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::text[], %s::int[],
    %s::text[])
"""


class Ending(NamedTuple):
    """How a request ended. quote: 1-based position of the serving server's prices, 0 when nobody is paid."""

    charge: str
    quote: int
    input_tokens: int
    output_tokens: int
    outcome: str
    success: bool
    model_asked: str
    model: str
    provider: str
    server: int | None
    endpoint: str
    streamed: bool
    attempts: int
    claimed_input: int | None
    claimed_output: int | None
    input_bytes: int
    output_bytes: int
    ttft_ms: int | None
    latency_ms: int
    failed_servers: tuple[int, ...]
    flags: int = 0
    explanation: dict[str, Any] | None = None


class Receipt(NamedTuple):
    """What the books say: posted | voided | already_posted | already_voided | missing."""

    status: str
    gross_nanos: int | None

    @property
    def stands(self) -> bool:
        """Whether the charge is booked, by this trip or by an earlier try of it."""
        return self.status in ("posted", "already_posted")


class Settlement(Batcher[Ending, Receipt]):
    """Repeats a trip for up to wait_s while the database is away; after that the charge is voided, by whoever
    can: this process when the database is back, the sweep at the hold's expiry."""

    def __init__(self, dsn: str, *, hold_s: int, rows_max: int, wait_s: float) -> None:
        super().__init__("settlement", dsn, self._settle, rows_max=rows_max, queue_max=None, wait_s=wait_s)
        self._hold_s = hold_s

    async def _settle(self, connection: Connection, rows: Sequence[Ending], again: bool) -> list[Receipt]:
        cursor = await connection.execute(
            SETTLE,
            (
                literal([row.charge for row in rows]),
                literal([row.quote for row in rows]),
                literal([row.input_tokens for row in rows]),
                literal([row.output_tokens for row in rows]),
                literal([row.outcome for row in rows]),
                self._hold_s,
                quoted([row.model_asked for row in rows]),
                quoted([row.model for row in rows]),
                quoted([row.provider for row in rows]),
                literal([row.server for row in rows]),
                literal([row.endpoint for row in rows]),
                literal([row.streamed for row in rows]),
                literal([row.success for row in rows]),
                literal([row.attempts for row in rows]),
                literal([row.claimed_input for row in rows]),
                literal([row.claimed_output for row in rows]),
                literal([row.input_bytes for row in rows]),
                literal([row.output_bytes for row in rows]),
                literal([row.ttft_ms for row in rows]),
                literal([row.latency_ms for row in rows]),
                quoted([literal(row.failed_servers) for row in rows]),
                literal([row.flags for row in rows]),
                quoted(
                    [
                        None if row.explanation is None else orjson.dumps(row.explanation).decode()
                        for row in rows
                    ]
                ),
            ),
        )
        return [Receipt(status, gross) for _, status, gross in await cursor.fetchall()]

    def given_up(self, row: Ending) -> None:
        """The client was told that nothing is charged: see to it, for as long as it takes."""
        if not self.stopping:
            self.submit(voided(row, row.outcome if row.quote == 0 else "platform_fault"))

    def give_back(self, charge: str) -> None:
        """Void an admitted charge that no request uses."""
        self.submit(
            Ending(
                charge=charge, quote=0, input_tokens=0, output_tokens=0, outcome="abandoned", success=False,
                model_asked="", model="", provider="", server=None, endpoint="", streamed=False, attempts=0,
                claimed_input=None, claimed_output=None, input_bytes=0, output_bytes=0, ttft_ms=None, latency_ms=0,
                failed_servers=(),
            )
        )  # fmt: skip


def voided(ending: Ending, outcome: str) -> Ending:
    """The same request, with nobody paid."""
    return ending._replace(
        quote=0, input_tokens=0, output_tokens=0, outcome=outcome, success=False, provider=""
    )
