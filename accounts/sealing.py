"""Secrets at rest: what the database keeps of servers' tokens and of second factors is encrypted with FERNET_KEYS."""

import base64
import functools
import hashlib

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


def fernet() -> MultiFernet:
    """The first key encrypts, all decrypt; any string serves as a key."""
    return _fernet(tuple(settings.FERNET_KEYS))


@functools.cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
    )
