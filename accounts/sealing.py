"""What the database keeps encrypted with FERNET_KEYS.

Servers' tokens, second factors, where payouts go, webhooks' secrets, answers that are kept for a repetition.
"""

import base64
import functools
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """Something sealed cannot be opened: the words say why, to follow what it is."""


def seal(data: bytes, *, owner: str) -> bytes:
    """The owner's name (without colons) is inside, so that a swapped row is noticed."""
    return fernet().encrypt(owner.encode() + b":" + data)


def unseal(sealed: bytes | str, *, owner: str) -> bytes:
    try:
        found, _, data = fernet().decrypt(sealed).partition(b":")
    except InvalidToken:
        raise Unreadable("cannot be decrypted; check FERNET_KEYS.") from None
    if found != owner.encode():
        raise Unreadable("belongs to another owner.")
    return data


def fernet() -> MultiFernet:
    """The first key encrypts, all decrypt; any string serves as a key."""
    return _fernet(tuple(settings.FERNET_KEYS))


@functools.cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )
