"""API key strings: make them, check them without a database, digest them for storage.

Layout: `ngk_` + 34 random base62 characters + 6 of checksum (CRC32 of the 34, base62), so that a typo or a
random string is recognised without a query, and secret scanners find leaked keys by PATTERN.
34 characters carry 202 bits, so a plain SHA-256 digest is a safe way to store them.
"""

import hashlib
import hmac
import re
import secrets
import zlib

PREFIX = "ngk_"
PATTERN = re.compile(r"ngk_[0-9A-Za-z]{40}")
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARS = 34
CHECKSUM_CHARS = 6
VISIBLE_CHARS = 8


def make() -> str:
    """A new key; the caller shows it once and stores only its digest."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARS))
    return PREFIX + body + checksum(body)


def derived(secret: str, purpose: str) -> str:
    """The key of the platform itself for one purpose: the same wherever the secret is the same."""
    number = int.from_bytes(hmac.digest(secret.encode(), f"key:{purpose}".encode(), "sha256"))
    chars = []
    for _ in range(RANDOM_CHARS):
        number, digit = divmod(number, 62)
        chars.append(ALPHABET[digit])
    body = "".join(chars)
    return PREFIX + body + checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether the layout and the checksum are right; says nothing about whether the key exists."""
    if len(key) != 44 or PATTERN.fullmatch(key) is None:
        return False
    return checksum(key[4:-CHECKSUM_CHARS]) == key[-CHECKSUM_CHARS:]


def digest(key: str) -> bytes:
    """The 32 bytes that stand for the key in the database."""
    return hashlib.sha256(key.encode()).digest()


def visible_part(key: str) -> str:
    """What a list of keys shows: enough to recognise it, useless to an attacker."""
    return f"{key[:VISIBLE_CHARS]}…{key[-4:]}"


def checksum(body: str) -> str:
    """CRC32 of the random part in base62, six characters, most significant first."""
    number = zlib.crc32(body.encode())
    chars = []
    for _ in range(CHECKSUM_CHARS):
        number, digit = divmod(number, 62)
        chars.append(ALPHABET[digit])
    return "".join(reversed(chars))
