"""This process's copy of what is for sale: read anew on NOTIFY, every second, and when found stale.

With it come the circuits that other processes opened and what all of them saw in the last minutes; the circuits that
open here go the other way.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping, Sequence

import psycopg
import structlog

from hosting import catalogue
from hosting.offers import LiveOffer
from routing.batching import CONNECTION_OPTIONS, KEEPALIVES, TRIP_S, bounded
from routing.load import CircuitChange, Load, Shared

log = structlog.get_logger(__name__)

AUTO = "auto"
REFRESH_S = 1.0
GATHER_S = 0.02  # for what else changes with it; until it is read, an admission finds a stale copy out
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

    def __init__(self, dsn: str, load: Load, *, boot: str, heartbeat_s: float, dead_after_s: float) -> None:
        """load: told what other processes saw."""
        self._dsn = dsn
        self._load = load
        self._boot = boot
        self._heartbeat_s = heartbeat_s
        self._dead_after_s = dead_after_s
        self._offers: Mapping[str, Sequence[LiveOffer]] = {}
        self._kinds: dict[str, set[str]] = {}
        self._auto_models: frozenset[str] = frozenset()
        self._auto_offers: dict[int, Sequence[LiveOffer]] = {}  # by price ceiling
        self._circuits: dict[int, tuple[float, int]] = {}  # to be told
        self._telling: asyncio.Task[None] | None = None
        self._stock = catalogue.Stock()
        self._connection: psycopg.AsyncConnection[tuple] | None = None
        self._listener: psycopg.AsyncConnection[tuple] | None = None
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._next_heartbeat = 0.0
        self.loaded_s = -math.inf  # when the last read began
        self.processes = 1
        self.epoch = 0  # rises with every change
        self._chat_offers: Mapping[str, Sequence[LiveOffer]] = {}

    async def start(self) -> None:
        """Register this process and load the first copy; raises when the database is away."""
        await self.reload()
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="directory")

    async def stop(self) -> None:
        tasks = [task for task in (self._task, self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            connection = await self._connected()
            await connection.execute(GOODBYE, [self._boot])
            await self._disconnect()
        except psycopg.Error as error:
            log.warning("directory.goodbye_failed", error=type(error).__name__)

    def offers(self, model: str) -> Sequence[LiveOffer]:
        return self._offers.get(model, ())

    def chat_offers(self, model: str) -> Sequence[LiveOffer]:
        """Without those that only embed."""
        return self._chat_offers.get(model, ())

    def names(self) -> Iterable[str]:
        """Of all models that somebody offers."""
        return self._offers.keys()

    def has(self, model: str, kind: str) -> bool:
        """Whether a server of this kind offers the model; for `auto`: any model."""
        return kind in self._kinds.get(model, ())

    def all_offers(self) -> Sequence[LiveOffer]:
        return self._stock.offers

    def auto_offers(self, price_max: int) -> Sequence[LiveOffer]:
        """What `auto` may draw from: chat models of the admin's list, all while it is empty; not above price_max."""
        kept = self._auto_offers.get(price_max)
        if kept is None:
            kept = self._auto_offers[price_max] = [
                offer
                for offer in self.all_offers()
                if not self._auto_models or offer.model in self._auto_models
                if offer.chats and offer.price_in <= price_max and offer.price_out <= price_max
            ]
        return kept

    def tell_circuit(self, server_id: int, open_s: float, openings: int) -> None:
        """Let every process know that a circuit opened, or with 0 s closed; as soon as the database hears it."""
        self._circuits[server_id] = (open_s, openings)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell(), name="circuits")

    async def reload(self, *, since_s: float = math.inf) -> None:
        """Read everything anew, unless that was begun after since_s (monotonic); callers wait for each other."""
        async with self._lock:
            now = time.monotonic()
            if self.loaded_s >= since_s:
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
        rows = await cursor.fetchall()
        cursor = await connection.execute(catalogue.AUTO_MODELS)
        auto_models = frozenset(model for (model,) in await cursor.fetchall())
        cursor = await connection.execute(catalogue.RECENT_MINUTES)
        shared = {server: Shared(*sums) for server, *sums in await cursor.fetchall()}
        cursor = await connection.execute(catalogue.CIRCUITS)
        self._load.adopt([CircuitChange(*row) for row in await cursor.fetchall()], shared)
        # With no wait in between: all or nothing.
        if self._stock.take(rows) or auto_models != self._auto_models:
            self._arrange(auto_models)
        self.loaded_s = now

    def _arrange(self, auto_models: frozenset[str]) -> None:
        """Sort what is for sale by what is asked for."""
        offers: dict[str, list[LiveOffer]] = {}
        for offer in self._stock.offers:
            offers.setdefault(offer.model, []).append(offer)
        self._offers, self._auto_models, self._auto_offers = offers, auto_models, {}
        self._chat_offers = {
            model: [offer for offer in group if offer.chats] for model, group in offers.items()
        }
        self._kinds = {model: {offer.kind for offer in group} for model, group in offers.items()}
        self._kinds[AUTO] = {kind for kinds in self._kinds.values() for kind in kinds}
        self.epoch += 1

    async def _tell(self) -> None:
        while self._circuits:
            server_id, (open_s, openings) = self._circuits.popitem()
            change = {"server": server_id, "open_s": open_s, "openings": openings}
            try:
                async with self._lock:
                    connection = await self._connected()
                    await bounded(_execute(connection, catalogue.CHANGE_CIRCUIT, change), TRIP_S)
            except psycopg.Error as error:  # each process will find out on its own
                log.warning("circuit.not_told", server=server_id, error=type(error).__name__)

    async def _keep(self) -> None:
        while True:
            try:
                if self._listener is None:
                    self._listener = await self._connect()
                    await self._listener.execute("LISTEN offers")
                told = False
                async for _ in self._listener.notifies(timeout=REFRESH_S, stop_after=1):
                    told = True
                if told:
                    await asyncio.sleep(GATHER_S)
                    async for _ in self._listener.notifies(timeout=0):
                        pass  # one reading is for all of them
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


async def _execute(
    connection: psycopg.AsyncConnection[tuple], sql: str, values: Mapping[str, object]
) -> None:
    await connection.execute(sql, values)
