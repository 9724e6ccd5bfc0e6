"""Bearer tokens of hosters' servers: made here or given, encrypted at rest, bound to their server."""

import base64
import functools
import hashlib
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class TokenUnreadable(Exception):
    """The stored token cannot be decrypted with the keys we have, or belongs to another server."""


def make() -> str:
    return "ngs_" + secrets.token_urlsafe(32)


def seal(*, server_id: int, token: str) -> str:
    """What the database keeps. The server's id is inside, so that a swapped row is noticed."""
    return _fernet(tuple(settings.FERNET_KEYS)).encrypt(f"{server_id}:{token}".encode()).decode()


def unseal(*, server_id: int, sealed: str) -> str:
    """The token; empty when the server has none."""
    if not sealed:
        return ""
    try:
        owner, _, token = _fernet(tuple(settings.FERNET_KEYS)).decrypt(sealed).decode().partition(":")
    except (InvalidToken, ValueError):  # ValueError: not even text of ours
        raise TokenUnreadable(
            f"The token of server {server_id} cannot be decrypted; check FERNET_KEYS."
        ) from None
    if owner != str(server_id):
        raise TokenUnreadable(f"The token of server {server_id} belongs to another server.")
    return token


@functools.cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    """The first key encrypts, all decrypt; any string serves as a key."""
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )
