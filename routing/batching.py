"""Many concurrent calls, one statement: what waits while a trip to the database is under way goes with the next.

At rest a batch is one row and waits for nobody. A data error splits the batch, so that one bad row fails alone; a
lost connection or an unknown commit repeats it (`again`), which the database functions answer idempotently.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

import psycopg
import structlog

log = structlog.get_logger(__name__)

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Result = TypeVar("Result")
Connection = psycopg.AsyncConnection[tuple]
Waiting = tuple[Row, asyncio.Future[Answer], float]  # the row, who waits for its answer, until when

RETRY_PAUSE_S = 0.2
BUSY_ROWS = 8
GATHER_S = 0.004
CONNECTION_OPTIONS = "-c statement_timeout=5000 -c lock_timeout=2000 -c plan_cache_mode=force_generic_plan"
TRIP_S = 8.0  # above the statement timeout
KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 2, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}  # fmt: skip
ABANDONED: set[asyncio.Future[Any]] = set()
# Deadlocks and serialisation failures are Operational.
RETRYABLE = (psycopg.OperationalError, psycopg.InterfaceError)


async def bounded(work: Coroutine[Any, Any, Result], limit_s: float) -> Result:
    """The work's result, or Stalled after limit_s.

    A database that is frozen, or behind a dead network, lets even a cancelled statement wait for ever: the work is
    left to itself then, and its connection must not be used again.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        return task.result()
    task.cancel()
    ABANDONED.add(task)
    task.add_done_callback(ABANDONED.discard)
    raise Stalled("the database does not answer")


class Stalled(psycopg.OperationalError):
    """A statement took longer than any statement may."""


class Full(Exception):
    """Too many rows wait already."""


class Unreachable(Exception):
    """The database did not answer in time. Whether the row was written is unknown until it is asked again."""


class Batcher(Generic[Row, Answer]):
    """Collects rows and hands them to `trip`, one batch at a time, over a connection of its own."""

    def __init__(
        self,
        name: str,
        dsn: str,
        trip: Callable[[Connection, Sequence[Row], bool], Coroutine[Any, Any, list[Answer]]],
        *,
        rows_max: int,
        queue_max: int | None,
        wait_s: float,
        durable: bool = True,
    ) -> None:
        """trip answers a batch row by row, in order. wait_s: how long a row may wait while the database is away.

        durable: an answered row survives a crash of the database; without, it may be lost in its last moments.
        """
        self._name = name
        self._dsn = dsn
        self._trip = trip
        self._rows_max = rows_max
        self._queue_max = queue_max
        self._wait_s = wait_s
        self._trip_s = min(TRIP_S, wait_s)
        self._options = CONNECTION_OPTIONS + ("" if durable else " -c synchronous_commit=off")
        self._waiting: deque[Waiting[Row, Answer]] = deque()
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self.stopping = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Finish what waits, then stop."""
        self.stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        if self._connection is not None:
            await self._connection.close()

    def submit(self, row: Row) -> asyncio.Future[Answer]:
        """The row is on its way when this returns; cancelling the future does not take it back."""
        if self._queue_max is not None and len(self._waiting) >= self._queue_max:
            raise Full
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting.append((row, future, self._loop.time() + self._wait_s))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                if self.stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            count = min(len(self._waiting), self._rows_max)
            batch = [self._waiting.popleft() for _ in range(count)]
            await self._carry(batch, again=False)
            if count >= BUSY_ROWS:
                await asyncio.sleep(GATHER_S)  # a trip's fixed cost is that of ten rows: let more gather

    async def _carry(self, batch: list[Waiting[Row, Answer]], *, again: bool) -> None:
        """One batch until each of its rows has an answer."""
        while batch:
            try:
                connection = await self._connected()
                answers = await bounded(
                    self._trip(connection, [row for row, _, _ in batch], again), self._trip_s
                )
                pairs = list(zip(batch, answers, strict=True))
            except RETRYABLE as error:
                log.warning("batch.repeated", batch=self._name, rows=len(batch), error=type(error).__name__)
                again = True
                await self._disconnect(error)
                batch = self._give_up_late(batch)
                if batch:
                    await asyncio.sleep(RETRY_PAUSE_S)
            except psycopg.Error as error:
                if len(batch) == 1:
                    log.error(
                        "batch.row_refused",
                        batch=self._name,
                        error=type(error).__name__,
                        detail=str(error)[:200],
                    )
                    _fail(batch[0][1], error)
                    return
                middle = len(batch) // 2
                await self._carry(batch[:middle], again=again)
                await self._carry(batch[middle:], again=again)
                return
            except Exception as error:
                log.exception("batch.broken", batch=self._name)
                for _, future, _ in batch:
                    _fail(future, error)
                return
            else:
                for (row, future, _), answer in pairs:
                    if not future.done():
                        future.set_result(answer)
                    else:
                        self.orphaned(row, answer)
                return

    def orphaned(self, row: Row, answer: Answer) -> None:
        """Called with an answer that nobody waits for any more."""

    def _give_up_late(self, batch: list[Waiting[Row, Answer]]) -> list[Waiting[Row, Answer]]:
        """What of the batch is still in time; the rest, and what waits behind and is late too, is given up."""
        now = self._loop.time()
        kept: list[Waiting[Row, Answer]] = []
        late: list[Waiting[Row, Answer]] = []
        for entry in batch:
            (late if entry[2] <= now or self.stopping else kept).append(entry)
        while self._waiting and self._waiting[0][2] <= now:
            late.append(self._waiting.popleft())
        for row, future, _ in late:
            _fail(future, Unreachable())
            self.given_up(row)
        return kept

    def given_up(self, row: Row) -> None:
        """Called with a row whose fate is unknown."""

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                prepare_threshold=0,
                **KEEPALIVES,
                options=self._options,
            )
        return self._connection

    async def _disconnect(self, error: psycopg.Error) -> None:
        connection = self._connection
        if connection is not None and (connection.broken or error.sqlstate is None):
            self._connection = None
            connection.pgconn.finish()  # close() would wait for a statement that was abandoned


def literal(values: Sequence[object]) -> str:
    """A PostgreSQL array literal of numbers, booleans and plain words; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def quoted(values: Sequence[str | None]) -> str:
    """A PostgreSQL array literal of any texts; None is NULL."""
    return (
        "{"
        + ",".join(
            [
                "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
                for value in values
            ]
        )
        + "}"
    )


def _fail(future: asyncio.Future, error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # a caller that went away must not leave a warning behind
