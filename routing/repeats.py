"""`Idempotency-Key` on inference: the same key and body are served and paid once, and a whole answer is given again.

The answer is kept, encrypted, before the booking commits; so a request that is booked has its answer. What runs is
waited for. Nothing of this is touched by requests without the header.
"""

import asyncio
import contextlib
import hashlib
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from accounts import envelope, sealing
from accounts.envelope import ApiError
from billing import idempotency_key
from routing.batching import Batcher, Connection, Full, Unreachable

JOIN_S = 30.0  # a repetition waits so long for the request that runs
JOINERS_MAX = 64  # of one customer in one process; more are told at once that it runs
KEPT_BYTES_MAX = 1024 * 1024  # a longer answer is not kept: it is as with a stream
THREAD_BYTES = 64 * 1024  # from here on it is encrypted in a thread, so that nobody waits for it
LOOK_EVERY_S = 0.25

CLAIM = """
-- billing_idempotentrequest_once; see the function in migration 0006
SELECT status, row_id, charge, http_status, answer FROM routing_repeat(%s, %s, %s, %s, %s, %s, %s, %s)
"""
# Each changes the row of a lease while that is still ours.
BIND = "UPDATE billing_idempotentrequest SET charge = %s WHERE id = %s AND charge IN (%s, %s) AND running"
KEEP = (
    "UPDATE billing_idempotentrequest SET status = 200, answer = %s WHERE id = %s AND charge = %s AND running"
)
END = "UPDATE billing_idempotentrequest SET running = false WHERE id = %s AND charge = %s"


class Step(NamedTuple):
    """One of the statements above with its parameters."""

    statement: str
    parameters: tuple[object, ...]


class Found(NamedTuple):
    """What `routing_repeat` says: new, running, done, served or other."""

    status: str
    row: int
    charge: uuid.UUID | None = None
    http_status: int | None = None
    answer: bytes | None = None


class Lost(Exception):
    """Another process took this key over: it must not be booked."""


class Repeats(Batcher[Step, Found]):
    """Durable, on a connection of its own; `charge` of a step is the lease's name until it is bound."""

    def __init__(
        self, dsn: str, *, boot: str, dead_after_s: float, longest_s: float, rows_max: int, wait_s: float
    ) -> None:
        """dead_after_s: a process without a heartbeat for so long is dead. longest_s: no request takes longer."""
        super().__init__("repeats", dsn, self._take, rows_max=rows_max, queue_max=1_024, wait_s=wait_s)
        self._boot = boot
        self._dead_after_s = round(dead_after_s)
        self._longest_s = round(longest_s)
        self._joiners: Counter[int] = Counter()  # by customer

    async def claim(
        self, *, customer: int, name: str, route: str, body: bytes, join: bool
    ) -> "Lease | Replay":
        """The right to serve this request, or the answer that it has. Raises ApiError: in use, done, reused.

        join: wait for one that runs.
        """
        ticket, digest = uuid.uuid4(), hashlib.sha256(body).digest()
        step = Step(
            CLAIM,
            (customer, name, route, digest, ticket, self._boot, self._dead_after_s, self._longest_s),
        )
        found = await self._do(step)
        if found.status == "running":
            if not join or self._joiners[customer] >= JOINERS_MAX:
                raise ApiError(envelope.IDEMPOTENCY_RUNNING)
            found = await self._join(customer, step)
        if found.status == "new":
            return Lease(self, found.row, ticket, idempotency_key.owner(customer, name))
        if found.status == "other":
            raise ApiError(envelope.IDEMPOTENCY_MISMATCH)
        if found.answer is None or found.charge is None:
            raise ApiError(envelope.IDEMPOTENCY_DONE)
        try:
            content = sealing.unseal(found.answer, owner=idempotency_key.owner(customer, name))
        except sealing.Unreadable:
            raise ApiError(envelope.IDEMPOTENCY_DONE) from None
        return Replay(found.charge.hex, found.http_status or 200, content)

    async def _join(self, customer: int, step: Step) -> Found:
        """What became of the request that runs. Raises ApiError when it runs too long."""
        self._joiners[customer] += 1
        try:
            deadline = self._loop.time() + JOIN_S
            while self._loop.time() < deadline:
                await asyncio.sleep(LOOK_EVERY_S)
                if (found := await self._do(step)).status != "running":
                    return found
        finally:
            self._joiners[customer] -= 1
            if not self._joiners[customer]:
                del self._joiners[customer]
        raise ApiError(envelope.IDEMPOTENCY_RUNNING)

    async def change(self, statement: str, *parameters: object) -> None:
        """Raises Lost, Unreachable."""
        if (await self.submit(Step(statement, parameters))).row == 0:
            raise Lost

    async def _do(self, step: Step) -> Found:
        try:
            return await self.submit(step)
        except Full:
            raise ApiError(envelope.OVERLOADED) from None
        except Unreachable:
            raise ApiError(envelope.UNAVAILABLE) from None

    async def _take(self, connection: Connection, steps: Sequence[Step], again: bool) -> list[Found]:
        """One by one: each is its own transaction, and may be repeated."""
        found = []
        for step in steps:
            cursor = await connection.execute(step.statement, step.parameters)
            if cursor.description:
                (row,) = await cursor.fetchall()
                found.append(Found(*row))
            else:
                found.append(Found("changed", cursor.rowcount))
        return found


class Lease:
    """The right of one request to be served under its key, until it ends."""

    __slots__ = ("_charge", "_owner", "_repeats", "_row")

    def __init__(self, repeats: Repeats, row: int, ticket: uuid.UUID, owner: str) -> None:
        self._repeats = repeats
        self._row = row
        self._charge = ticket
        self._owner = owner

    async def bind(self, charge: str) -> None:
        """From here on the key stands for this charge. Raises Lost, Unreachable."""
        new = uuid.UUID(charge)
        await self._repeats.change(BIND, new, self._row, self._charge, new)  # new: its commit was unknown
        self._charge = new

    async def keep(self, body: bytes) -> None:
        """Keep the whole answer, before it is booked, unless it is too long. Raises Lost, Unreachable."""
        if len(body) > KEPT_BYTES_MAX:
            return
        if len(body) > THREAD_BYTES:
            sealed = await asyncio.to_thread(sealing.seal, body, owner=self._owner)
        else:
            sealed = sealing.seal(body, owner=self._owner)
        await self._repeats.change(KEEP, sealed, self._row, self._charge)

    def end(self) -> None:
        """Nobody is at work any more; what came of it the books say. On its way when this returns."""
        with contextlib.suppress(Full):  # then the booking says it, or the time
            self._repeats.submit(Step(END, (self._row, self._charge)))


class Replay(NamedTuple):
    """An answer that was given before."""

    charge: str
    status: int
    body: bytes
