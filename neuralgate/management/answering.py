"""Commands that scripts call: one JSON object on stdout, errors in words on stderr, exit code 0 or 1."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, ProgrammingError

from hosting.addresses import AddressRefused
from hosting.registration import RegistrationRefused
from hosting.terms import ModelTerms, TermsRefused, parse, with_upstream_names


class AnsweringCommand(BaseCommand):
    """Implement `answer`; what it returns is printed, what it refuses becomes words."""

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except SystemExit as end:  # argparse ends with 2
            raise SystemExit(1 if end.code else 0) from None

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.answer(**options)
        except (AddressRefused, RegistrationRefused, TermsRefused) as refusal:
            raise CommandError(str(refusal)) from None
        except ProgrammingError:
            raise CommandError("The database is not up to date. Run `manage.py migrate` first.") from None
        except DatabaseError as error:
            raise CommandError(
                f"The database refused ({type(error).__name__}): {_first_line(error)}"
            ) from None
        self.stdout.write(json.dumps(answer))

    def answer(self, *args: Any, **options: Any) -> dict[str, Any]:
        raise NotImplementedError


def model_terms(texts: list[str], upstream: list[str], *, context_default: int) -> list[ModelTerms]:
    """The values of --model and --upstream. Raises TermsRefused."""
    names = dict(text.split("=", 1) for text in upstream if "=" in text)
    if len(names) < len(upstream):
        raise TermsRefused("Write each --upstream once, as ID=NAME.")
    return with_upstream_names([parse(text, context_default=context_default) for text in texts], names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
