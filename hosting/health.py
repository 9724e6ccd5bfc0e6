"""Is a server well? One look from outside, and the score that many looks add up to."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from pyreqwest.client import Client

from hosting import connector, tokens
from hosting.connector import AskFailed, ConnectRefused
from hosting.models import HealthCheck, Server

WEIGHT_OF_A_CHECK = 0.2  # a server that fails every check falls below 0.3 with the sixth
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


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: `error` holds words for the server's owner and is empty when all is well."""

    server_id: int
    latency_ms: int
    error: str

    @property
    def ok(self) -> bool:
        return not self.error


def next_score(score: float, *, ok: bool) -> float:
    """The moving average after one more check, from 0 to 1."""
    return min(1.0, max(0.0, score * (1 - WEIGHT_OF_A_CHECK) + (WEIGHT_OF_A_CHECK if ok else 0.0)))


async def check(client: Client, target: Target) -> str:
    """Words about what is wrong with a server, empty when nothing is.

    A hoster's server: GET /health is 200; where there is none (Ollama, llama-cpp-python) GET /v1/models is.
    A provider of the operator: GET /models is 200, or does not exist (not every vendor has it).
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
    except AskFailed as failure:
        return f"GET {path}: {failure}"
    if status == 200 or (not hosted and status in {404, 405}):
        return ""
    return f"GET {path} answers {status} instead of 200"


async def look(target: Target) -> Look:
    """One look at a server through a fresh connection, so that its name is resolved and judged anew."""
    started = time.monotonic()
    try:
        client = await connector.open_client(target.base_url, guarded=target.kind == Server.Kind.HOSTER)
        async with client:
            started = time.monotonic()
            error = await check(client, target)
    except ConnectRefused as refusal:
        error = str(refusal)
    return Look(target.server_id, round((time.monotonic() - started) * 1000), error[:ERROR_CHARS_MAX])


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
    for server in servers.only("kind", "base_url", "token_encrypted"):
        try:
            token = tokens.unseal(server_id=server.pk, sealed=server.token_encrypted)
        except tokens.TokenUnreadable:
            unreadable.append(Look(server.pk, 0, "NeuralGate cannot read the stored token"))
            continue
        found.append(Target(server.pk, server.kind, server.base_url, token))
    return found, unreadable


def record(looks: Sequence[Look]) -> None:
    """Keep what was seen and move the scores, in one transaction."""
    seen = {look.server_id: look for look in looks}
    with transaction.atomic():
        servers = list(Server.objects.select_for_update(no_key=True).filter(pk__in=seen).order_by("pk"))
        for server in servers:
            server.health = next_score(server.health, ok=seen[server.pk].ok)
            # the score does not belong to what raises a server's version: no NOTIFY, no reload
            Server.objects.filter(pk=server.pk).update(health=server.health, health_checked_at=Now())
        HealthCheck.objects.bulk_create(
            HealthCheck(server=server, ok=look.ok, latency_ms=look.latency_ms, error=look.error)
            for server in servers
            for look in [seen[server.pk]]
        )


def forget_old() -> int:
    """Delete looks older than a week; how many. Called at every round, so that one has little to do."""
    old = HealthCheck.objects.filter(checked_at__lt=Now() - KEEP).order_by("pk")
    forgotten, _by_model = HealthCheck.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[:FORGET_ROWS_MAX])
    ).delete()
    return forgotten
