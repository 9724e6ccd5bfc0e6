"""A form that shows a secret makes it once, although the page may be loaded again.

The secret is the answer to the POST, so that it is never stored; a reload sends the same POST again. The form carries a
name of its own, `{% once %}`, signed so that nobody fills the cache with names of his, and what it asks for is done for
the first POST with that name.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.cache import cache
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest

FIELD = "once"
REMEMBERED_S = 3_600
SIGNER = Signer(salt="accounts.once")


def name() -> str:
    """For a form that is shown now."""
    return SIGNER.sign(secrets.token_hex(16))


class AlreadySent(Exception):
    """What the form asks for was done by an earlier POST of it, and is not done again."""


@contextmanager
def sending(request: HttpRequest) -> Iterator[None]:
    """Around what a form asks for; raises AlreadySent unless it is sent for the first time.

    Of several at once one is the first; a form without a name always is. What raises within was not done: the form can
    be sent again.
    """
    key = _key(request.POST.get(FIELD, ""))
    if key is not None and not cache.add(key, True, REMEMBERED_S):
        raise AlreadySent
    try:
        yield
    except Exception:
        if key is not None:
            cache.delete(key)
        raise


def _key(sent: str) -> str | None:
    try:
        return f"form-{SIGNER.unsign(sent)}"
    except BadSignature:
        return None
