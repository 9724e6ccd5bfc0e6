"""Register a hoster's server; the hoster and its customer account are made when missing."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from hosting import addresses, connector, fingerprints, registration, verification
from hosting.drift import Fingerprint
from hosting.registration import Registration
from hosting.terms import ModelTerms, check_hosters
from hosting.verification import Asked
from neuralgate.management.answering import AnsweringCommand, model_terms


class Command(AnsweringCommand):
    help = __doc__ + (
        ' Prints {"api_key": …, "server_token": …, "hoster_id": …}. With --server-token the server is '
        "verified first and nothing is registered unless it passes; a token made here must be given to the "
        "server before `verify_server` can pass."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--base-url", required=True, help="where the server listens, like https://host:8443"
        )
        parser.add_argument("--model", action="append", required=True, metavar="ID:IN:OUT[:CONTEXT]")
        parser.add_argument("--upstream", action="append", default=[], metavar="ID=NAME")
        parser.add_argument("--slots", type=int, help="parallel requests")
        parser.add_argument(
            "--server-token",
            help=f"the token the server already asks for, of {registration.TOKEN_CHARS_MIN} characters or more",
        )
        parser.add_argument(
            "--skip-verification", action="store_true", help="you vouch for it: traffic at once"
        )

    def answer(
        self,
        *,
        email: str,
        name: str,
        base_url: str,
        model: list[str],
        upstream: list[str],
        slots: int | None,
        server_token: str | None,
        skip_verification: bool,
        **_: Any,
    ) -> dict[str, Any]:
        models = model_terms(model, upstream, context_default=settings.CONTEXT_WINDOW_DEFAULT)
        check_hosters(models)
        seen = {}
        if server_token is not None and not skip_verification:
            seen = _verify(base_url, server_token, models)
        made = registration.register(
            user_email=email,
            name=name,
            base_url=base_url,
            models=models,
            slots=slots,
            server_token=server_token,
        )
        answer = {"api_key": made.api_key, "server_token": made.server_token, "hoster_id": made.hoster.pk}
        if server_token is None and not skip_verification:
            return answer | {"verified": False, "next": _next(made)}
        fingerprints.keep(made.server, seen)
        registration.mark_verified(made.server)
        return answer


def _verify(base_url: str, token: str, models: list[ModelTerms]) -> dict[str, Fingerprint]:
    origin = addresses.parse_base_url(base_url, connector.policy())
    registration.check_hosters_token(token)
    asked = [Asked(terms.model_id, terms.asked_as) for terms in models]
    found = asyncio.run(verification.verify(base_url=str(origin), token=token, models=asked))
    if not found.ok:
        raise CommandError("\n".join([*found.errors, "Nothing was registered."]))
    return found.fingerprints


def _next(made: Registration) -> str:
    return (
        f"Start the server at {made.server.base_url} with `--api-key {made.server_token}`, "
        f"then run `manage.py verify_server {made.hoster.pk}`."
    )
