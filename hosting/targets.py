"""Which server a test of ours is meant for: a signed header that only this installation can write.

The request is a customer's in all else, and the header stays with the gateway: the server sees no difference.
"""

import hmac

HEADER = "x-ng-target"
VALID_S = 300


def sign(server_id: int, *, secret: str, now_s: float) -> str:
    """The header's value, good for five minutes."""
    told = f"{server_id}.{int(now_s) + VALID_S}"
    return f"{told}.{_seal(told, secret)}"


def server_of(value: bytes, *, secret: str, now_s: float) -> int | None:
    """The server's id; None without the header, and for one that is forged or too old."""
    if not value:
        return None
    told, _, seal = value.decode("latin-1").rpartition(".")
    if not hmac.compare_digest(seal.encode("latin-1"), _seal(told, secret).encode()):
        return None
    server_id, _, until = told.partition(".")
    return int(server_id) if now_s <= int(until) else None


def _seal(told: str, secret: str) -> str:
    return hmac.digest(secret.encode(), f"target:{told}".encode(), "sha256").hex()
