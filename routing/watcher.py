"""Notices that the client of a running request hangs up."""

import asyncio

from routing.arrival import Receive
from routing.relay import Relay

WATCH_AFTER_S = 0.02


class Watcher:
    """Tells the relay when the client hangs up. It starts a little late, so that quick answers do without its task."""

    __slots__ = ("_receive", "_relay", "_task", "_timer", "gone")

    def __init__(self, receive: Receive, relay: Relay, *, deaf: bool = False) -> None:
        """deaf: it never tells."""
        self._receive = receive
        self._relay = relay
        self._task: asyncio.Task[None] | None = None
        self._timer = None if deaf else asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._start)
        self.gone = False

    def watch(self, relay: Relay) -> None:
        """From now on tell this one; at once, when the client is gone already."""
        self._relay = relay
        if self.gone:
            relay.hang_up()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._relay.hang_up()
