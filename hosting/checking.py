"""Check a hoster's server at its owner's wish, and keep what was found."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.db import connection

from hosting import fingerprints, registration, stages, tokens, verification
from hosting.models import Server
from hosting.stages import Found, Seen
from hosting.tokens import TokenUnreadable
from hosting.verification import Asked, Verification

Result = TypeVar("Result")
CHECK_TIMEOUT_S = 120  # of all models together: a server may load each of them first


class CheckRuns(Exception):
    """A check of this server runs already."""


def check(server: Server) -> Verification:
    """Verify the server now: it gets traffic when it passes, and none until then. Raises CheckRuns."""
    models = server.models.order_by("pk")
    found = probe(server, [Asked(model.model_id, model.upstream_name or model.model_id) for model in models])
    if found.ok:
        fingerprints.keep(server, found.fingerprints)
        registration.mark_verified(server)
    else:
        registration.mark_failed(server, found.errors)
    return found


def probe(server: Server, models: Sequence[Asked]) -> Verification:
    """What the server shows for these models; changes nothing. Raises CheckRuns."""
    if not models:
        return Verification(("It offers no model yet. Choose one first.",))
    return _alone(
        server,
        lambda token: verification.verify(base_url=server.base_url, token=token, models=models),
        lambda words: Verification((words,)),
    )


def stage(server: Server, name: str, models: tuple[Found, ...]) -> Seen:
    """One stage of the checks of a server that is being registered; changes nothing. Raises CheckRuns."""
    return _alone(
        server,
        lambda token: stages.look(name, base_url=server.base_url, token=token, models=models),
        lambda words: Seen(words, models),
    )


def _alone(
    server: Server, ask: Callable[[str], Awaitable[Result]], failed: Callable[[str], Result]
) -> Result:
    """`ask(token)` in bounded time, while nobody else asks this server; `failed(words)` when it cannot."""
    running = f"checking:{server.pk}"
    if not cache.add(running, 1, timeout=CHECK_TIMEOUT_S):
        raise CheckRuns("A check of this server runs already. Wait for it to end.")
    try:
        token = tokens.unseal(server_id=server.pk, sealed=server.token_encrypted)
        connection.close()  # back to the pool: the server may take a while to answer
        return async_to_sync(_bounded)(ask(token), failed)
    except TokenUnreadable:
        return failed("Its token cannot be read any more. Rotate the token, then check again.")
    finally:
        cache.delete(running)


async def _bounded(asking: Awaitable[Result], failed: Callable[[str], Result]) -> Result:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await asking
    except TimeoutError:
        return failed(f"The check did not end within {CHECK_TIMEOUT_S} seconds.")
