"""Add a server of the operator's own (local) or of a vendor (cloud)."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from hosting import registration
from hosting.terms import without_chat
from neuralgate.management.answering import AnsweringCommand, model_terms

TOKEN_FILE_BYTES_MAX = 4_096


class Command(AnsweringCommand):
    help = __doc__ + ' Prints {"provider_id": …}.'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=[kind.value for kind in registration.PROVIDER_KINDS])
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--base-url", required=True, help="with its path, like https://api.example.org/v1"
        )
        parser.add_argument(
            "--token-file", type=Path, help="a file that holds the vendor's key and nothing else"
        )
        parser.add_argument("--model", action="append", required=True, metavar="ID:IN:OUT[:CONTEXT]")
        parser.add_argument("--upstream", action="append", default=[], metavar="ID=NAME")
        parser.add_argument(
            "--embeddings", action="append", default=[], metavar="ID", help="a model that does not chat"
        )
        parser.add_argument("--slots", type=int, help="parallel requests")

    def answer(
        self,
        *,
        kind: str,
        name: str,
        base_url: str,
        token_file: Path | None,
        model: list[str],
        upstream: list[str],
        embeddings: list[str],
        slots: int | None,
        **_: Any,
    ) -> dict[str, Any]:
        server = registration.add_provider(
            kind=kind,
            name=name,
            base_url=base_url,
            models=without_chat(
                model_terms(model, upstream, context_default=settings.CONTEXT_WINDOW_DEFAULT), embeddings
            ),
            token=_read(token_file) if token_file else "",
            slots=slots,
        )
        return {"provider_id": server.pk}


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            token = stream.read(TOKEN_FILE_BYTES_MAX).decode("ascii").strip()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} must hold ASCII characters only.") from None
    if not token:
        raise CommandError(f"{file} is empty.")
    return token
