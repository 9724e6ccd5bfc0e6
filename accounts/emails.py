"""Mails to people about signing in; one function for each."""

import smtplib

import structlog
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

log = structlog.get_logger(__name__)


class NotSent(Exception):
    """The mail server did not take the mail."""


def sign_in_code(email: str, *, code: str, link: str, valid_minutes: int) -> None:
    """The code to type and the link that does the same. Raises NotSent."""
    context = {"code": code, "link": link, "valid_minutes": valid_minutes}
    message = EmailMultiAlternatives(
        f"{code} is your code for NeuralGate",
        render_to_string("accounts/email/code.txt", context),
        to=[email],
    )
    message.attach_alternative(render_to_string("accounts/email/code.html", context), "text/html")
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        log.warning("mail.not_sent", kind="sign_in_code", error=type(error).__name__)
        raise NotSent from error
