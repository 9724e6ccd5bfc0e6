"""Mails to customers about their money, and to hosters about their standing.

Each notice becomes one letter, by the function of its kind, and a sweep sends what waits.
"""

import smtplib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection
from django.template.loader import render_to_string

from billing import money
from billing.models import Notice

LETTERS_MAX = 200  # of one sweep; what is left is for the next one
GIVEN_UP_AFTER = "2 days"

CLAIM = f"""
-- billing_notice_to_mail, its oldest row of the last days that nobody else holds
UPDATE billing_notice SET mailed_at = clock_timestamp() WHERE id = (
    SELECT id FROM billing_notice WHERE mailed_at IS NULL AND created_at > now() - interval '{GIVEN_UP_AFTER}'
     ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""

log = structlog.get_logger(__name__)


class UnknownKind(Exception):
    """No function here writes letters of this kind."""


@dataclass(frozen=True, slots=True)
class Letter:
    """path: of the page where the reader sees more. facts: the notice's, for the templates of its kind."""

    subject: str
    path: str
    facts: dict[str, Any] = field(default_factory=dict)


def send_waiting() -> int:
    """Send what waits, the oldest first; how many. Each notice is sent at most once, and given up after two days.

    It is marked before it is sent, so that who dies between the two sends nothing twice. While the mail server is
    away, or says no for the moment, notices wait for the next sweep.
    """
    server, sent = get_connection(), 0
    try:
        server.open()
    except (smtplib.SMTPException, OSError) as error:
        log.warning("mail.server_away", error=type(error).__name__)
        return 0
    try:
        while sent < LETTERS_MAX and (notice := _claim()) is not None:
            if not _send(notice, server):
                break
            sent += 1
    finally:
        server.close()
    return sent


def write(notice: Notice) -> Letter:
    """The letter of a notice. Raises UnknownKind."""
    if notice.kind not in LETTERS:
        raise UnknownKind(notice.kind)
    return LETTERS[notice.kind](notice.facts)


def _claim() -> Notice | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM)
        row = cursor.fetchone()
    return Notice.objects.select_related("customer__user").get(pk=row[0]) if row else None


def _send(notice: Notice, server: Any) -> bool:
    """False when the server takes no mails now. What it may have taken is never sent again."""
    try:
        _message(notice, server).send()
    except UnknownKind:
        log.error("mail.unknown_kind", kind=notice.kind, notice=notice.pk)
    except smtplib.SMTPRecipientsRefused:
        log.warning("mail.refused", notice=notice.pk)
    except smtplib.SMTPResponseException as error:
        log.warning("mail.not_now", notice=notice.pk, code=error.smtp_code)
        Notice.objects.filter(pk=notice.pk).update(mailed_at=None)
        return False
    except (smtplib.SMTPException, OSError) as error:  # on its way, perhaps
        log.warning("mail.connection_lost", notice=notice.pk, error=type(error).__name__)
        return False
    return True


def _message(notice: Notice, server: Any) -> EmailMultiAlternatives:
    letter = write(notice)
    context = {**letter.facts, "link": settings.PUBLIC_URL + letter.path, "subject": letter.subject}
    text, html = (
        render_to_string(f"billing/email/{notice.kind}.{form}", context).strip() for form in ("txt", "html")
    )
    message = EmailMultiAlternatives(
        letter.subject, text + "\n", to=[notice.customer.user.email], connection=server
    )
    message.attach_alternative(html, "text/html")
    return message


# ------------------------------------------------------------------------------------------- one for each kind


def dispute_opened(facts: dict[str, Any]) -> Letter:
    """To the hoster. Without a word of the customer's."""
    return Letter(
        f"A request is disputed: {money.text(facts['net_nanos'])} are frozen",
        "/hosters/portal#disputes",
        facts,
    )


def dispute_decided(facts: dict[str, Any]) -> Letter:
    """To either side; `paid` is true for who paid for the request."""
    words = "was upheld" if facts["state"] == "upheld" else "was rejected"
    if facts["paid"]:
        return Letter(f"Your dispute {words}", f"/account/requests/{facts['charge']}#dispute", facts)
    return Letter(f"The dispute of a request you served {words}", "/hosters/portal#disputes", facts)


def payout_requested(facts: dict[str, Any]) -> Letter:
    return _payout("Your payout of {} is asked for", facts)


def payout_approved(facts: dict[str, Any]) -> Letter:
    return _payout("Your payout of {} is approved", facts)


def payout_paid(facts: dict[str, Any]) -> Letter:
    return _payout("Your payout of {} is paid", facts)


def payout_rejected(facts: dict[str, Any]) -> Letter:
    return _payout("Your payout of {} was rejected, and the money is back", facts)


def payout_cancelled(facts: dict[str, Any]) -> Letter:
    return _payout("Your payout of {} is cancelled, and the money is back", facts)


def payout_failed(facts: dict[str, Any]) -> Letter:
    return _payout("Your payout of {} failed, and the money is back", facts)


def release_summary(facts: dict[str, Any]) -> Letter:
    return Letter(
        f"Yesterday {money.text(facts['amount_nanos'])} became spendable", "/hosters/portal#money", facts
    )


def spending_50(facts: dict[str, Any]) -> Letter:
    return _spending("A key has used half of its spending limit", facts)


def spending_80(facts: dict[str, Any]) -> Letter:
    return _spending("A key has used 80 % of its spending limit", facts)


def spending_100(facts: dict[str, Any]) -> Letter:
    return _spending("A key has used up its spending limit", facts)


def topup_paid(facts: dict[str, Any]) -> Letter:
    return _credit("You bought {} of credit", facts)


def topup_taken_back(facts: dict[str, Any]) -> Letter:
    return _credit("A payment of {} went back", facts)


def topup_given_again(facts: dict[str, Any]) -> Letter:
    return _credit("{} are in your balance again", facts)


def recharge_paused(facts: dict[str, Any]) -> Letter:
    return Letter("Your automatic top-up is paused", "/account/credit", facts)


def refunded(facts: dict[str, Any]) -> Letter:
    """To who paid."""
    subject = f"A request is refunded: {money.text(facts['gross_nanos'])}"
    return Letter(subject, f"/account/requests/{facts['charge']}", facts)


def earning_taken_back(facts: dict[str, Any]) -> Letter:
    """To the hoster."""
    subject = f"A request that you served is refunded: {money.text(facts['net_nanos'])}"
    return Letter(subject, "/hosters/portal#money", facts)


def moderated(facts: dict[str, Any]) -> Letter:
    """To the hoster: what was done to it, or to one of its models, or what it is told."""
    who = " ".join(facts["hoster"].split())
    if facts["kind"] == "notice":
        return Letter(f"About your servers, {who}", "/hosters/portal", facts)
    whose = f"{who} – {facts['model']}" if facts["model"] else who
    return Letter(f"{whose} was {facts['done']}", "/hosters/portal", facts)


def _spending(subject: str, facts: dict[str, Any]) -> Letter:
    return Letter(f"{subject}: {' '.join(facts['key'].split())}", "/account", facts)


def _credit(subject: str, facts: dict[str, Any]) -> Letter:
    return Letter(subject.format(money.text(facts["amount_nanos"])), "/account/credit", facts)


def _payout(subject: str, facts: dict[str, Any]) -> Letter:
    return Letter(subject.format(money.text(facts["amount_nanos"])), "/hosters/payouts", facts)


LETTERS: dict[str, Callable[[dict[str, Any]], Letter]] = {
    letter.__name__: letter
    for letter in (
        dispute_opened,
        dispute_decided,
        payout_requested,
        payout_approved,
        payout_paid,
        payout_rejected,
        payout_cancelled,
        payout_failed,
        release_summary,
        spending_50,
        spending_80,
        spending_100,
        topup_paid,
        topup_taken_back,
        topup_given_again,
        recharge_paused,
        refunded,
        earning_taken_back,
        moderated,
    )
}
