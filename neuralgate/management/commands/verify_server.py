"""Verify the servers of a hoster that are not verified yet; those that pass get traffic."""

import asyncio
from typing import Any

from django.core.management.base import CommandError, CommandParser

from hosting import registration, tokens, verification
from hosting.models import Hoster, Server
from hosting.verification import Verification
from neuralgate.management.answering import AnsweringCommand


class Command(AnsweringCommand):
    help = __doc__ + ' Prints {"hoster_id": …, "verified": true} when all of them are verified now.'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hoster_id", type=int)

    def answer(self, *, hoster_id: int, **_: Any) -> dict[str, Any]:
        hoster = Hoster.objects.filter(pk=hoster_id).first()
        if hoster is None:
            raise CommandError(f"There is no hoster {hoster_id}.")
        errors = []
        for server in hoster.servers.filter(verified_at=None).order_by("pk"):
            found = _verify(server)
            if found.ok:
                registration.mark_verified(server)
            else:
                registration.mark_failed(server, found.errors)
                errors += [f"{server.base_url}: {error}" for error in found.errors]
        if errors:
            raise CommandError("\n".join(errors))
        return {"hoster_id": hoster_id, "verified": True}


def _verify(server: Server) -> Verification:
    try:
        token = tokens.unseal(server_id=server.pk, sealed=server.token_encrypted)
    except tokens.TokenUnreadable as error:
        return Verification((str(error),))
    names = [model.upstream_name or model.model_id for model in server.models.order_by("pk")]
    return asyncio.run(verification.verify(base_url=server.base_url, token=token, models=names))
