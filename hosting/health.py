"""Is a server well? One look from outside, and the score that looks and customers' requests add up to.

The score is a function of what was recorded in the hour before it was computed: recomputing it gives the same.
"""

import asyncio
import datetime as dt
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models.functions import Now
from pyreqwest.client import Client

from hosting import connector, tokens
from hosting.connector import AskFailed, ConnectRefused
from hosting.models import HealthCheck, Server

WEIGHT_OF_A_CHECK = 0.2  # a server that fails every check falls below 0.3 with the sixth
WEIGHT_OF_A_REQUEST = 0.02
WINDOW = timedelta(hours=1)  # of what is older, less than a millionth would be left in the score
SETTLED_AFTER_S = 70  # a minute's requests are all recorded this long after it began
CHECKS_TO_OPEN = 3  # failed in a row: the circuit opens, as it does for requests
GRACE = timedelta(minutes=10)  # for a server to take its new token
CHECK_TIMEOUT_S = 10
PARALLEL_CHECKS_MAX = 64
KEEP = timedelta(days=7)
FORGET_ROWS_MAX = 10_000  # per run
ERROR_CHARS_MAX = 200  # HealthCheck.error


@dataclass(frozen=True, slots=True)
class Target:
    """A server to look at. base_url is an origin for hosters, a full base URL for providers."""

    server_id: int
    kind: str
    base_url: str
    token: str
    waiting: bool = False  # for it to take its new token


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: `error` holds words for the server's owner and is empty when all is well."""

    server_id: int
    latency_ms: int
    error: str
    refused: bool = False  # it is well, but does not take the token

    @property
    def ok(self) -> bool:
        return not self.error


EVENTS = """
-- hosting_healthcheck_latest and hosting_serverminute_once, a range of each for every server; checks of a moment come
-- before requests of the minute that began then
SELECT server_id, weight, ok, failed FROM (
    SELECT server_id, checked_at AS at, 0 AS kind, id, %(check)s::float8 AS weight, ok::int AS ok,
           (NOT ok)::int AS failed
      FROM hosting_healthcheck
     WHERE server_id = ANY (%(servers)s) AND checked_at > %(since)s AND checked_at <= %(as_of)s AND NOT excused
    UNION ALL
    SELECT server_id, minute, 1, id, %(request)s::float8, served, failed FROM hosting_serverminute
     WHERE server_id = ANY (%(servers)s) AND minute > %(since)s
       AND minute <= %(as_of)s - make_interval(secs => %(settled_s)s)
) AS event ORDER BY at, kind, id
"""
OPEN_CIRCUITS = """
-- for servers whose last looks all failed (hosting_healthcheck_latest), unless their circuit is open; 30 s, doubling
INSERT INTO hosting_circuit (server_id, open_until, openings, changed_at)
SELECT s.id, clock_timestamp() + interval '30 seconds', 1, clock_timestamp()
  FROM unnest(%(servers)s::bigint[]) AS s (id)
 WHERE %(checks)s = (SELECT count(*) FILTER (WHERE NOT ok AND NOT excused)
                       FROM (SELECT ok, excused FROM hosting_healthcheck c WHERE c.server_id = s.id
                              ORDER BY checked_at DESC LIMIT %(checks)s) AS last)
 ORDER BY s.id
ON CONFLICT (server_id) DO UPDATE
   SET open_until = clock_timestamp() + least(30 * 2 ^ hosting_circuit.openings, 300) * interval '1 second',
       openings = least(hosting_circuit.openings + 1, 10), changed_at = clock_timestamp()
 WHERE hosting_circuit.open_until < clock_timestamp()
"""


class TokenRefused(Exception):
    """The server does not take its new token yet."""


class Seen(NamedTuple):
    """What one event says: outcomes good and bad, each of which moves the score by `weight`."""

    weight: float
    ok: int
    failed: int


def score(events: Iterable[Seen]) -> float:
    """The moving average from 0 to 1 over events, the oldest first. It starts at 1."""
    value = 1.0
    for weight, ok, failed in events:
        if seen := ok + failed:
            keep = (1 - weight) ** seen
            value = value * keep + (1 - keep) * ok / seen
    return min(max(value, 0.0), 1.0)


async def check(client: Client, target: Target) -> str:
    """Words about what is wrong with a server, empty when nothing is.

    A hoster's server: GET /health is 200; where there is none (Ollama, llama-cpp-python) GET /v1/models is.
    A provider of the operator: GET /models is 200, or does not exist (not every vendor has it).
    Raises TokenRefused for a server that is well and waits for its new token to be set.
    """
    hosted = target.kind == Server.Kind.HOSTER
    paths = ["/health", "/v1/models"] if hosted else ["/models"]
    status = 404
    try:
        for path in paths:
            url = target.base_url + path
            status = (
                await connector.ask(client, "GET", url, token=target.token, timeout_s=CHECK_TIMEOUT_S)
            ).status
            if status not in {404, 405}:
                break
        if status == 200 and target.waiting and path == "/health":  # which many servers show to everybody
            path = "/v1/models"
            url = target.base_url + path
            shown = await connector.ask(client, "GET", url, token=target.token, timeout_s=CHECK_TIMEOUT_S)
            status = 401 if shown.status in {401, 403} else 200
    except AskFailed as failure:
        return f"GET {path}: {failure}"
    if target.waiting and status in {401, 403}:
        raise TokenRefused
    if status == 200 or (not hosted and status in {404, 405}):
        return ""
    return f"GET {path} answers {status} instead of 200"


async def look(target: Target) -> Look:
    """One look at a server through a fresh connection, so that its name is resolved and judged anew."""
    started = time.monotonic()
    refused = False
    try:
        client = await connector.open_client(target.base_url, guarded=target.kind == Server.Kind.HOSTER)
        async with client:
            started = time.monotonic()
            error = await check(client, target)
    except TokenRefused:
        error, refused = "The server does not take its new token yet. Start it with that one.", True
    except ConnectRefused as refusal:
        error = str(refusal)
    latency_ms = round((time.monotonic() - started) * 1000)
    return Look(target.server_id, latency_ms, error[:ERROR_CHARS_MAX], refused)


async def look_at_all(targets: Sequence[Target], *, jitter_s: float) -> list[Look]:
    """Looks at every server, at most 64 at a time, each after a random pause of up to `jitter_s` seconds."""
    free = asyncio.Semaphore(PARALLEL_CHECKS_MAX)

    async def one(target: Target) -> Look:
        await asyncio.sleep(random.uniform(0, jitter_s))
        async with free:
            return await look(target)

    return list(await asyncio.gather(*(one(target) for target in targets)))


def targets() -> tuple[list[Target], list[Look]]:
    """Every verified server, and failed looks at those whose token cannot be read."""
    found: list[Target] = []
    unreadable: list[Look] = []
    servers = Server.objects.filter(verified_at__isnull=False).order_by("pk")
    for server in servers.only("kind", "base_url", "token_encrypted", "waiting_since"):
        try:
            token = tokens.unseal(server_id=server.pk, sealed=server.token_encrypted)
        except tokens.TokenUnreadable:
            unreadable.append(Look(server.pk, 0, "NeuralGate cannot read the stored token"))
            continue
        waiting = server.waiting_since is not None
        found.append(Target(server.pk, server.kind, server.base_url, token, waiting))
    return found, unreadable


def record(looks: Sequence[Look]) -> None:
    """Keep what was seen and compute the scores anew, in one transaction."""
    seen = {look.server_id: look for look in looks}
    with transaction.atomic():
        # Locks the servers by id: looks of one server are recorded one after the other, so that a score is of all
        # that was recorded before its moment.
        servers = list(Server.objects.select_for_update(no_key=True).filter(pk__in=seen).order_by("pk"))
        now = clock()
        HealthCheck.objects.bulk_create(
            HealthCheck(
                server=server, checked_at=now, ok=look.ok, latency_ms=look.latency_ms, error=look.error,
                excused=look.refused and server.waiting_since is not None and now - server.waiting_since < GRACE,
            )
            for server in servers
            for look in [seen[server.pk]]
        )  # fmt: skip
        events = recorded([server.pk for server in servers], now)
        for server in servers:
            # none of this belongs to what raises a server's version: no NOTIFY, no reload
            changes = {"health": score(events[server.pk]), "health_checked_at": now}
            if seen[server.pk].ok:
                changes["waiting_since"] = None
            Server.objects.filter(pk=server.pk).update(**changes)
        with connection.cursor() as cursor:
            cursor.execute(OPEN_CIRCUITS, {"servers": list(seen), "checks": CHECKS_TO_OPEN})


def recorded(server_ids: Sequence[int], as_of: dt.datetime) -> dict[int, list[Seen]]:
    """What the scores of these servers at that moment are functions of, the oldest first."""
    found: dict[int, list[Seen]] = {server_id: [] for server_id in server_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            EVENTS,
            {
                "servers": list(server_ids), "as_of": as_of, "since": as_of - WINDOW, "settled_s": SETTLED_AFTER_S,
                "check": WEIGHT_OF_A_CHECK, "request": WEIGHT_OF_A_REQUEST,
            },
        )  # fmt: skip
        for server_id, weight, ok, failed in cursor.fetchall():
            found[server_id].append(Seen(weight, ok, failed))
    return found


def clock() -> dt.datetime:
    """The database's moment, also within a transaction: after a lock was waited for, say."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: dt.datetime = cursor.fetchone()[0]
    return moment


def forget_old() -> int:
    """Delete looks older than a week; how many. Called at every round, so that one has little to do."""
    old = HealthCheck.objects.filter(checked_at__lt=Now() - KEEP).order_by("pk")
    forgotten, _by_model = HealthCheck.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:FORGET_ROWS_MAX])
    ).delete()
    return forgotten
