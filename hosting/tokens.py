"""Bearer tokens of hosters' servers: made here or given, encrypted at rest, bound to their server."""

import secrets

from accounts import sealing


class TokenUnreadable(Exception):
    """The stored token cannot be decrypted with the keys we have, or belongs to another server."""


def make() -> str:
    return "ngs_" + secrets.token_urlsafe(32)


def seal(*, server_id: int, token: str) -> str:
    """What the database keeps."""
    return sealing.seal(token.encode(), owner=str(server_id)).decode()


def unseal(*, server_id: int, sealed: str) -> str:
    """The token; empty when the server has none."""
    if not sealed:
        return ""
    try:
        return sealing.unseal(sealed, owner=str(server_id)).decode()
    except (sealing.Unreadable, ValueError) as error:  # ValueError: not even text of ours
        raise TokenUnreadable(f"The token of server {server_id} {error}") from None
