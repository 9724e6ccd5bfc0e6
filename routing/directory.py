"""This process's copy of what is for sale: replaced whole on NOTIFY, every second, and when found stale."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence

import psycopg
import structlog

from hosting import catalogue
from hosting.offers import LiveOffer
from routing.batching import CONNECTION_OPTIONS, KEEPALIVES, TRIP_S, bounded

log = structlog.get_logger(__name__)

REFRESH_S = 1.0
HEARTBEAT = """
INSERT INTO routing_gatewayprocess (boot, started_at, heartbeat_at) VALUES (%s, now(), now())
ON CONFLICT (boot) DO UPDATE SET heartbeat_at = now()
"""
LIVE_PROCESSES = (
    "SELECT count(*) FROM routing_gatewayprocess WHERE heartbeat_at > now() - make_interval(secs => %s)"
)
GOODBYE = "DELETE FROM routing_gatewayprocess WHERE boot = %s"


class Directory:
    """Offers by model, and how many processes share the servers. Keeps the last copy while the database is away."""

    def __init__(self, dsn: str, *, boot: str, heartbeat_s: float, dead_after_s: float) -> None:
        self._dsn = dsn
        self._boot = boot
        self._heartbeat_s = heartbeat_s
        self._dead_after_s = dead_after_s
        self._offers: Mapping[str, Sequence[LiveOffer]] = {}
        self._opened: catalogue.SealedTokens = {}
        self._connection: psycopg.AsyncConnection[tuple] | None = None
        self._listener: psycopg.AsyncConnection[tuple] | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._next_heartbeat = 0.0
        self._loaded_s = -math.inf
        self.processes = 1

    async def start(self) -> None:
        """Register this process and load the first copy; raises when the database is away."""
        await self.reload()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="directory")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            connection = await self._connected()
            await connection.execute(GOODBYE, [self._boot])
            await self._disconnect()
        except psycopg.Error as error:
            log.warning("directory.goodbye_failed", error=type(error).__name__)

    def offers(self, model: str) -> Sequence[LiveOffer]:
        return self._offers.get(model, ())

    def all_offers(self) -> list[LiveOffer]:
        return [offer for group in self._offers.values() for offer in group]

    async def reload(self, *, since_s: float = math.inf) -> None:
        """Read everything anew, unless that was begun after since_s (monotonic); callers wait for each other."""
        async with self._lock:
            now = time.monotonic()
            if self._loaded_s >= since_s:
                return
            await bounded(self._read(now), TRIP_S)

    async def _read(self, now: float) -> None:
        """Everything anew, and the heartbeat when it is due."""
        connection = await self._connected()
        if now >= self._next_heartbeat:
            await connection.execute(HEARTBEAT, [self._boot])
            cursor = await connection.execute(LIVE_PROCESSES, [self._dead_after_s])
            row = await cursor.fetchone()
            self.processes = max(row[0] if row else 1, 1)
            self._next_heartbeat = now + self._heartbeat_s
        cursor = await connection.execute(catalogue.LIVE_OFFERS, {"prior": catalogue.BYTES_PER_TOKEN_PRIOR})
        offers: dict[str, list[LiveOffer]] = {}
        for offer in catalogue.live_offers(await cursor.fetchall(), self._opened):
            offers.setdefault(offer.model, []).append(offer)
        self._offers = offers
        self._loaded_s = now

    async def _keep(self) -> None:
        while True:
            try:
                if self._listener is None:
                    self._listener = await self._connect()
                    await self._listener.execute("LISTEN offers")
                async for _ in self._listener.notifies(timeout=REFRESH_S, stop_after=1):
                    pass
                await self.reload()
            except Exception as error:  # whatever it is, this must go on: it carries the heartbeat
                log.warning("directory.stale", error=type(error).__name__, detail=str(error)[:200])
                await self._disconnect()
                await asyncio.sleep(REFRESH_S)

    async def _connect(self) -> psycopg.AsyncConnection[tuple]:
        return await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, options=CONNECTION_OPTIONS, **KEEPALIVES
        )

    async def _connected(self) -> psycopg.AsyncConnection[tuple]:
        if self._connection is None or self._connection.closed:
            self._connection = await self._connect()
        return self._connection

    async def _disconnect(self) -> None:
        for connection in (self._connection, self._listener):
            if connection is not None:
                await connection.close()
        self._connection = self._listener = None
