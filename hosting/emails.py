"""Mails to the operator about what was done and what was said; one function for each. Hosters read `billing.notices`.

A mail that cannot be sent is logged and never undoes what it tells of.
"""

import smtplib
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import mail_admins
from django.template.loader import render_to_string

from hosting.models import ModerationAction

log = structlog.get_logger(__name__)


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


def _guarded(action: ModerationAction, send: Any) -> None:
    try:
        send()
    except (smtplib.SMTPException, OSError) as error:
        log.warning("mail.not_sent", action=action.pk, error=type(error).__name__)


def _context(action: ModerationAction) -> dict[str, Any]:
    return {"action": action, "hoster": action.hoster, "portal": f"{settings.PUBLIC_URL}/hosters/portal"}
