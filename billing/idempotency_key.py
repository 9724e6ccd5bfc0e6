"""The header `Idempotency-Key`: what it may be, and whose an answer is that is kept for it."""

import hashlib
import re

from accounts import envelope
from accounts.envelope import ApiError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
NAME = re.compile(r"[\x21-\x7e]{1,255}")


def check(name: str) -> str:
    """The header's text; raises ApiError when it is no key."""
    if not NAME.fullmatch(name):
        raise ApiError(envelope.MALFORMED.because(f"{HEADER} takes 1 to 255 printable ASCII characters."))
    return name


def owner(customer_id: int, name: str) -> str:
    """Whose a sealed answer is."""
    return f"answer {customer_id} {hashlib.sha256(name.encode()).hexdigest()}"
