"""Make a customer, or another key for one; the user can then sign in with the e-mail address."""

from typing import Any

from django.core.management.base import CommandParser

from accounts import issuing
from hosting import registration
from neuralgate.management.answering import AnsweringCommand

KEY_NAME = "command line"


class Command(AnsweringCommand):
    help = __doc__ + ' Prints {"api_key": …}; the key is shown this once.'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--tier", help="free, pro, enterprise, internal, or one made in the admin")

    def answer(self, *, email: str, tier: str | None, **_: Any) -> dict[str, Any]:
        customer = registration.open_customer(email=email, tier=tier)
        key, _row = issuing.issue(customer=customer, name=KEY_NAME)
        return {"api_key": key}
