"""When a process reads what is for sale: one reading for all that changes together."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from routing import directory
from routing.directory import Directory
from routing.load import Load


class Listener:
    """The database told of many changes at once, and then no more."""

    def __init__(self, notices: int) -> None:
        self.notices = notices

    async def notifies(self, *, timeout: float, stop_after: int | None = None) -> AsyncIterator[str]:
        if timeout and not self.notices:
            raise asyncio.CancelledError
        while self.notices:
            self.notices -= 1
            yield "offers"


@pytest.mark.parametrize("notices", [1, 50])
def test_many_notices_are_one_wait_and_one_reading(notices: int, monkeypatch: pytest.MonkeyPatch):
    waits, readings = [], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def reload() -> None:
        readings.append(1)

    async def run() -> None:
        kept = Directory("", Load(lambda: 0.0), boot="", heartbeat_s=1, dead_after_s=1)
        kept._listener = Listener(notices)
        monkeypatch.setattr(kept, "reload", reload)
        monkeypatch.setattr(directory.asyncio, "sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await kept._keep()

    asyncio.run(run())
    assert (waits, readings) == ([directory.GATHER_S], [1])
