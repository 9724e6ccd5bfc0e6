"""Verify the servers of a hoster that are not verified yet; those that pass get traffic."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from hosting import checking
from hosting.checking import CheckRuns
from hosting.models import Hoster
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
            try:
                found = checking.check(server)
            except CheckRuns as running:
                raise CommandError(str(running)) from None
            errors += [f"{server.base_url}: {error}" for error in found.errors]
        if errors:
            raise CommandError("\n".join(errors))
        return {"hoster_id": hoster_id, "verified": True}
