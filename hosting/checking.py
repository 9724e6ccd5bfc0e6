"""Check a hoster's server at its owner's wish, and keep what was found."""

import asyncio
from collections.abc import Sequence

from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.db import connection

from hosting import fingerprints, registration, tokens, verification
from hosting.models import Server
from hosting.tokens import TokenUnreadable
from hosting.verification import Asked, Verification

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
    running = f"checking:{server.pk}"
    if not cache.add(running, 1, timeout=CHECK_TIMEOUT_S):
        raise CheckRuns("A check of this server runs already. Wait for it to end.")
    try:
        token = tokens.unseal(server_id=server.pk, sealed=server.token_encrypted)
        connection.close()  # back to the pool: the server may take a while to answer
        return async_to_sync(_bounded)(server.base_url, token, models)
    except TokenUnreadable:
        return Verification(("Its token cannot be read any more. Rotate the token, then check again.",))
    finally:
        cache.delete(running)


async def _bounded(base_url: str, token: str, models: Sequence[Asked]) -> Verification:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await verification.verify(base_url=base_url, token=token, models=models)
    except TimeoutError:
        return Verification((f"The check did not end within {CHECK_TIMEOUT_S} seconds.",))
