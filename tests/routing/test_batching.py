"""The list that waits for the next trip: nothing in it is lost, whatever the database or the callers do."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from routing import batching
from routing.batching import Batcher, Full, Unreachable, literal, quoted


class Recorder(Batcher[int, str]):
    """A batcher whose trips are scripted: each entry of `script` is an exception to raise, then it answers."""

    def __init__(
        self, script: Sequence[Exception] = (), *, wait_s: float = 5, queue_max: int | None = None
    ) -> None:
        super().__init__("test", "", self._trip_once, rows_max=4, queue_max=queue_max, wait_s=wait_s)
        self.script = list(script)
        self.trips: list[tuple[list[int], bool]] = []
        self.given: list[int] = []
        self.orphans: list[int] = []

    async def _connected(self):
        return None

    async def _disconnect(self, error: psycopg.Error) -> None:
        pass

    async def _trip_once(self, connection: object, rows: Sequence[int], again: bool) -> list[str]:
        self.trips.append((list(rows), again))
        await asyncio.sleep(0.01)
        if self.script:
            raise self.script.pop(0)
        if 13 in rows:
            raise psycopg.errors.CheckViolation("13 is not allowed")
        return [f"answer {row}" for row in rows]

    def given_up(self, row: int) -> None:
        self.given.append(row)

    def orphaned(self, row: int, answer: str) -> None:
        self.orphans.append(row)


def run(scenario) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def test_what_waits_while_a_trip_is_under_way_goes_together():
    async def scenario() -> None:
        batcher = Recorder()
        batcher.start()
        first = batcher.submit(1)
        await asyncio.sleep(0.005)
        others = [batcher.submit(n) for n in range(2, 8)]
        assert await asyncio.gather(first, *others) == [f"answer {n}" for n in range(1, 8)]
        assert [rows for rows, _ in batcher.trips] == [[1], [2, 3, 4, 5], [6, 7]]
        await batcher.stop()

    run(scenario())


def test_a_bad_row_fails_alone():
    async def scenario() -> None:
        batcher = Recorder()
        batcher.start()
        futures = [batcher.submit(n) for n in (1, 13, 3, 4)]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(answers[1], psycopg.errors.CheckViolation)
        assert [answers[0], *answers[2:]] == ["answer 1", "answer 3", "answer 4"]
        await batcher.stop()

    run(scenario())


def test_a_lost_connection_repeats_the_batch_and_says_so():
    async def scenario() -> None:
        batcher = Recorder([psycopg.OperationalError("gone")])
        batcher.start()
        assert await batcher.submit(1) == "answer 1"
        assert batcher.trips == [([1], False), ([1], True)]
        await batcher.stop()

    run(scenario())


def test_a_row_whose_caller_left_is_still_carried_through_a_lost_connection():
    async def scenario() -> None:
        batcher = Recorder([psycopg.OperationalError("gone")])
        batcher.start()
        left, stayed = batcher.submit(1), batcher.submit(2)
        await asyncio.sleep(0.005)
        left.cancel()
        assert await stayed == "answer 2"
        assert batcher.trips[-1] == ([1, 2], True)
        assert batcher.orphans == [1]
        await batcher.stop()

    run(scenario())


def test_rows_are_given_up_when_the_database_stays_away_also_those_behind():
    async def scenario() -> None:
        batcher = Recorder([psycopg.OperationalError("gone")] * 50, wait_s=0.3)
        batcher.start()
        futures = [batcher.submit(n) for n in range(1, 7)]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert all(isinstance(answer, Unreachable) for answer in answers)
        assert batcher.given == [1, 2, 3, 4, 5, 6]
        batcher.script.clear()
        assert await batcher.submit(7) == "answer 7"
        await batcher.stop()

    run(scenario())


def test_a_full_queue_refuses_at_once():
    async def scenario() -> None:
        batcher = Recorder(queue_max=2)
        batcher.start()
        first, second = batcher.submit(1), batcher.submit(2)
        with pytest.raises(Full):
            batcher.submit(3)
        assert await asyncio.gather(first, second) == ["answer 1", "answer 2"]
        await batcher.stop()

    run(scenario())


def test_stopping_finishes_what_waits():
    async def scenario() -> None:
        batcher = Recorder()
        batcher.start()
        futures = [batcher.submit(n) for n in range(1, 10)]
        await batcher.stop()
        assert all(future.done() for future in futures)

    run(scenario())


def test_array_literals_survive_any_text():
    from django.db import connection

    nasty = ['a"b', "back\\slash", "com,ma", "{brace}", "NULL", "", " space ", "ünï", "new\nline"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[], %s::bigint[]", [quoted(nasty), literal([1, None, -3])])
        assert cursor.fetchone() == (nasty, [1, None, -3])


def test_a_trip_that_never_ends_is_abandoned(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batching, "TRIP_S", 0.2)

    class Frozen(Recorder):
        async def _trip_once(self, connection: object, rows: Sequence[int], again: bool) -> list[str]:
            if not again:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    await asyncio.sleep(1)  # as psycopg does: it waits for the statement it cancels
            return await super()._trip_once(connection, rows, again)

    async def scenario() -> None:
        batcher = Frozen()
        batcher.start()
        assert await asyncio.wait_for(batcher.submit(1), 2) == "answer 1"
        await batcher.stop()

    run(scenario())


def test_an_ending_that_could_not_be_booked_is_voided():
    from routing.settlement import Ending, voided

    ending = Ending(
        charge="00", quote=1, input_tokens=5, output_tokens=7, outcome="finished", success=True, model_asked="m",
        model="m", provider="hoster", server=1, endpoint="chat", streamed=True, attempts=1, claimed_input=None,
        claimed_output=None, input_bytes=1, output_bytes=1, ttft_ms=None, latency_ms=1, failed_servers=(),
    )  # fmt: skip
    void = voided(ending, "platform_fault")
    assert (void.charge, void.quote, void.input_tokens, void.success) == ("00", 0, 0, False)
