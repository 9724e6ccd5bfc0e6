"""Mails to hosters and the operator about what was done and what was said; one function for each.

A mail that cannot be sent is logged and never undoes what it tells of.
"""

import smtplib
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mail_admins
from django.template.loader import render_to_string

from hosting.models import ModerationAction

log = structlog.get_logger(__name__)


def moderated(action: ModerationAction) -> None:
    """To the hoster: what was done or is told, why, and where to answer."""
    _send("moderated", action, to=action.hoster.customer.user.email)


def answered(action: ModerationAction) -> None:
    """To the operator: what a hoster says to an action."""
    _guarded(
        action,
        lambda: mail_admins(
            f"{action.hoster.name} answered",
            render_to_string("hosting/email/answered.txt", _context(action)),
        ),
    )


def noticed(action: ModerationAction) -> None:
    """To the operator: what a hoster was told by a rule."""
    _guarded(
        action,
        lambda: mail_admins(
            f"{action.hoster.name}: {action.get_kind_display()}",
            render_to_string("hosting/email/noticed.txt", _context(action)),
        ),
    )


def _send(name: str, action: ModerationAction, *, to: str) -> None:
    context = _context(action)
    subject = render_to_string(f"hosting/email/{name}_subject.txt", context).strip()
    message = EmailMultiAlternatives(subject, render_to_string(f"hosting/email/{name}.txt", context), to=[to])
    message.attach_alternative(render_to_string(f"hosting/email/{name}.html", context), "text/html")
    _guarded(action, message.send)


def _guarded(action: ModerationAction, send: Any) -> None:
    try:
        send()
    except (smtplib.SMTPException, OSError) as error:
        log.warning("mail.not_sent", action=action.pk, error=type(error).__name__)


def _context(action: ModerationAction) -> dict[str, Any]:
    return {"action": action, "hoster": action.hoster, "portal": f"{settings.PUBLIC_URL}/hosters/portal"}
