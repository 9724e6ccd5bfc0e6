"""What the relays of one process share: the servers' clients, the way to the books, limits and counters."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from hosting.offers import LiveOffer
from routing.delivery import Delivery
from routing.load import Load
from routing.settlement import Settlement
from routing.suspicion import Memory
from routing.upstream import Upstreams

RETRIES_FREE = 100  # active requests up to which every failure may be tried again; above, a fifth of them


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much, for one request."""

    first_byte_s: float
    idle_s: float
    total_s: float
    stall_s: float
    body_bytes: int
    event_bytes: int
    stream_bytes: int


@dataclass(slots=True)
class Traffic:
    """end_user: what a server is told instead of a customer's `user`, from its offer, the customer and that.

    comment_every_s: how long a stream may be silent towards its client.
    """

    upstreams: Upstreams
    settlement: Settlement
    load: Load
    bounds: Bounds
    end_user: Callable[[LiveOffer, int, object], str]
    crash_at: str
    comment_every_s: float
    memory: Memory = field(default_factory=Memory)
    streams: set[Delivery] = field(default_factory=set)
    active: int = 0
    retrying: int = 0

    async def keep_streams_open(self) -> None:
        """For ever: a comment line into every stream that has been silent for long, so that no proxy cuts it."""
        pause_s = self.comment_every_s / 3
        while True:
            await asyncio.sleep(pause_s)
            comments = [
                asyncio.create_task(stream.comment(after_s=self.comment_every_s)) for stream in self.streams
            ]
            if comments:
                await asyncio.wait(comments, timeout=pause_s)  # a slow reader holds up only itself

    def may_retry(self) -> bool:
        return self.active <= RETRIES_FREE or self.retrying < self.active // 5
