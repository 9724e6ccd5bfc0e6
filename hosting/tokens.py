"""Bearer tokens of hosters' servers: made here or given, encrypted at rest, bound to their server."""

import secrets

from cryptography.fernet import InvalidToken

from accounts.sealing import fernet


class TokenUnreadable(Exception):
    """The stored token cannot be decrypted with the keys we have, or belongs to another server."""


def make() -> str:
    return "ngs_" + secrets.token_urlsafe(32)


def seal(*, server_id: int, token: str) -> str:
    """What the database keeps. The server's id is inside, so that a swapped row is noticed."""
    return fernet().encrypt(f"{server_id}:{token}".encode()).decode()


def unseal(*, server_id: int, sealed: str) -> str:
    """The token; empty when the server has none."""
    if not sealed:
        return ""
    try:
        owner, _, token = fernet().decrypt(sealed).decode().partition(":")
    except (InvalidToken, ValueError):  # ValueError: not even text of ours
        raise TokenUnreadable(
            f"The token of server {server_id} cannot be decrypted; check FERNET_KEYS."
        ) from None
    if owner != str(server_id):
        raise TokenUnreadable(f"The token of server {server_id} belongs to another server.")
    return token
