"""Joining and signing in by e-mail: a code to type, and a link that does the same, each once and for a while.

Nothing says whether an address is known, and nothing is made before its mail was read. The ticket stays in the
session; the link's secret is in the mail alone, so that who asked for a code cannot open the link without reading it.
"""

import hmac
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache

from accounts import emails

VALID_S = 900
TRIES_MAX = 5
DIGITS = 6


@dataclass(frozen=True, slots=True)
class Asked:
    """What a ticket stands for."""

    email: str
    code: str
    link: str


def begin(email: str) -> str:
    """Send a code and a link; the ticket to remember. Raises emails.NotSent."""
    ticket = secrets.token_urlsafe(24)
    asked = Asked(email, f"{secrets.randbelow(10**DIGITS):0{DIGITS}}", secrets.token_urlsafe(24))
    emails.sign_in_code(
        email,
        code=asked.code,
        link=f"{settings.PUBLIC_URL}/join/{asked.link}",
        valid_minutes=VALID_S // 60,
    )
    cache.set(_ticket(ticket), asked, VALID_S)
    cache.set(_link(asked.link), ticket, VALID_S)
    return ticket


def asked_with(ticket: str) -> Asked | None:
    """None when it is used, too old, or was tried too often."""
    found: Asked | None = cache.get(_ticket(ticket))
    return found


def asked_by(link: str) -> Asked | None:
    ticket = cache.get(_link(link))
    return asked_with(ticket) if ticket else None


def redeem_code(ticket: str, code: str) -> str | None:
    """The address, once; None for a wrong code. After TRIES_MAX of them the ticket is void."""
    asked = asked_with(ticket)
    if asked is None:
        return None
    tried = _try(ticket)
    if tried <= TRIES_MAX and hmac.compare_digest(asked.code.encode(), code.strip().encode()):
        return _redeem(ticket, asked)
    if tried >= TRIES_MAX:
        _forget(ticket, asked)
    return None


def redeem_link(link: str) -> str | None:
    """The address, once."""
    ticket = cache.get(_link(link))
    asked = asked_with(ticket) if ticket else None
    return _redeem(ticket, asked) if asked else None


def _redeem(ticket: str, asked: Asked) -> str | None:
    return asked.email if _forget(ticket, asked) else None


def _forget(ticket: str, asked: Asked) -> bool:
    """Whether it was still there: of two at once, one is told so."""
    cache.delete(_link(asked.link))
    return cache.delete(_ticket(ticket))


def _try(ticket: str) -> int:
    """The number of this try, from 1; TRIES_MAX + 1 for all that come too late.

    A row for each, because `add` is atomic and `incr` of a database's cache is not.
    """
    numbers = range(1, TRIES_MAX + 1)
    mine = (number for number in numbers if cache.add(f"{_ticket(ticket)}:{number}", 1, VALID_S))
    return next(mine, TRIES_MAX + 1)


def _ticket(ticket: str) -> str:
    return f"join-ticket:{ticket}"


def _link(link: str) -> str:
    return f"join-link:{link}"
