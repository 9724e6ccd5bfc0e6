"""Mails about money: a letter for each kind, sent once, later while the mail server is away, never after two days."""

import ast
import datetime as dt
import smtplib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from billing import disputes, emails, notices, releases
from billing.models import Notice, Payout
from tests import bookings, factories
from tests.billing.test_tasks import at_once

ROOT = Path(__file__).parents[2]
APPS = ("accounts", "billing", "hosting", "routing", "neuralgate")
PAYOUT = {
    "amount_nanos": 12_000_000_001, "due_on": "2026-01-09", "reason": "The <b>bank</b> said no.", "reference": "TX-7",
}  # fmt: skip
FACTS: dict[str, dict[str, Any]] = {
    "dispute_opened": {"charge": "c", "reason": "other", "net_nanos": 80_000},
    "dispute_decided": {
        "charge": "c", "state": "upheld", "verdict": "Cut <off>.", "gross_nanos": 100_000, "net_nanos": 80_000,
        "paid": True,
    },
    "release_summary": {"day": "2026-01-05", "amount_nanos": 80_000},
    **{
        f"spending_{percent}": {
            "key": "notebook", "visible_part": "ngk_7wqR…tXKg", "percent": percent, "period": "month",
            "spent_nanos": 5_000_000_000, "limit_nanos": 10_000_000_000,
        }
        for percent in (50, 80, 100)
    },
    "topup_paid": {"amount_nanos": 25_000_000_000},
    "topup_taken_back": {"amount_nanos": 25_000_000_000, "taken_nanos": 7_000_000_000},
    "topup_given_again": {"amount_nanos": 7_000_000_000},
    "recharge_paused": {"because": "The card was <declined>."},
    "refunded": {"charge": "c", "reason": "It was <b>ours</b>.", "gross_nanos": 100_000},
    "earning_taken_back": {"charge": "c", "reason": "It was <b>ours</b>.", "net_nanos": 80_000},
    "moderated": {
        "hoster": "borealis", "kind": "deactivate", "done": "deactivated", "model": "org/m", "server": "rack",
        "reason": "Wrong <b>answers</b>.", "rule": "consistency", "status": "active",
    },
    **{f"payout_{state}": PAYOUT for state in Payout.State.values},
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    """Other tests left notices; these are about our own."""
    Notice.objects.filter(mailed_at=None).update(mailed_at=timezone.now())


def notice(kind: str = "release_summary", **fields: Any) -> Notice:
    facts = FACTS.get(kind, {}) | fields
    subject = factories.unique("subject")
    assert notices.tell(factories.person("bob").customer, kind, subject, facts)
    return Notice.objects.get(subject=subject)


def to(waiting: Notice) -> list[Any]:
    return [sent for sent in mail.outbox if sent.to == [waiting.customer.user.email]]


@pytest.mark.parametrize("kind", sorted(emails.LETTERS))
def test_every_kind_has_a_letter_in_text_and_html(kind: str):
    waiting = notice(kind)
    assert emails.send_waiting() == 1
    (sent,) = to(waiting)
    assert sent.subject.isprintable()
    ((html, form),) = sent.alternatives
    assert form == "text/html"
    link = "http://127.0.0.1:"
    for words in (sent.body, html):
        assert link in words
        assert "$" in words or kind in {"recharge_paused", "moderated"}  # of no amount
        assert "{" not in words
    assert "<b>" not in html
    assert "<off>" not in html
    assert "&lt;" not in sent.body


def test_amounts_are_exact():
    waiting = notice("payout_paid")
    emails.send_waiting()
    (sent,) = to(waiting)
    assert "$12.000000001" in sent.subject
    assert "$12.000000001" in sent.body
    assert "TX-7" in sent.body


def test_both_sides_of_a_dispute_get_their_own_words():
    payer = emails.write(notice("dispute_decided"))
    hoster = emails.write(notice("dispute_decided", paid=False, state="rejected"))
    assert (payer.subject, payer.path) == ("Your dispute was upheld", "/account/requests/c#dispute")
    assert hoster.subject == "The dispute of a request you served was rejected"


def test_the_customers_words_do_not_reach_the_hoster():
    alice, (bob, hoster) = factories.person(), factories.hoster()
    _, offer = factories.server(of=hoster)
    call = bookings.book(alice, offer)
    disputes.open_(customer=alice.customer, charge=call.id, reason="other", detail="My secret words.")
    emails.send_waiting()
    (sent,) = [sent for sent in mail.outbox if sent.to == [bob.customer.user.email]]
    for words in (sent.subject, sent.body, sent.alternatives[0][0]):
        assert "secret" not in words
        assert alice.customer.user.email not in words


def test_each_notice_is_sent_once_by_several_at_once():
    waiting = [notice() for _ in range(8)]
    assert sum(at_once(emails.send_waiting)) == 8
    assert [len(to(one)) for one in waiting] == [1] * 8
    assert emails.send_waiting() == 0


def test_what_is_older_than_two_days_is_given_up():
    waiting = notice()
    Notice.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - dt.timedelta(days=2, minutes=1))
    assert emails.send_waiting() == 0
    assert to(waiting) == []


@pytest.mark.parametrize("where", ["open", "send_messages"])
def test_a_server_that_is_away_gets_it_later(where: str, monkeypatch: pytest.MonkeyPatch):
    waiting = notice()
    error = OSError("away") if where == "open" else smtplib.SMTPDataError(451, b"later")
    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, where, failing(error), raising=False)
        assert emails.send_waiting() == 0
    waiting.refresh_from_db()
    assert waiting.mailed_at is None
    assert emails.send_waiting() == 1
    assert len(to(waiting)) == 1


@pytest.mark.parametrize(
    "error",
    [smtplib.SMTPServerDisconnected("in the middle"), smtplib.SMTPRecipientsRefused({"x": (550, b"who?")})],
)
def test_what_may_have_been_taken_is_not_sent_again(error: Exception, monkeypatch: pytest.MonkeyPatch):
    waiting = notice()
    with monkeypatch.context() as broken:
        broken.setattr(EmailBackend, "send_messages", failing(error))
        emails.send_waiting()
    assert emails.send_waiting() == 0
    assert to(waiting) == []


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def test_an_unknown_kind_has_no_letter_and_stops_nobody():
    unknown, known = notice("nonsense"), notice()
    with pytest.raises(emails.UnknownKind):
        emails.write(unknown)
    emails.send_waiting()
    assert len(to(known)) == 1


def test_every_kind_that_the_code_tells_of_has_a_letter():
    told = {
        kind for app in APPS for path in (ROOT / app).rglob("*.py") for kind in kinds_in(path.read_text())
    }
    assert {"dispute_opened", "dispute_decided"} <= told
    told -= {"test"}  # of a webhook, and for that only
    assert told <= set(emails.LETTERS), "write their letters in billing/emails.py"
    assert {f"payout_{state}" for state in Payout.State.values} <= set(emails.LETTERS)


def kinds_in(source: str) -> set[str]:
    """The kinds that are written out in calls of `notices.tell`."""
    return {
        call.args[1].value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func) == "notices.tell"
        and isinstance(call.args[1], ast.Constant)
    }


def test_a_days_releases_are_told_once_when_the_day_is_over(travel: Callable[[dt.timedelta], None]):
    bob, hoster = factories.hoster()
    bookings.earn(hoster, 10_000_000_000)
    bookings.earn(hoster, 5_000_000_000)
    mine = Notice.objects.filter(customer=bob.customer)
    releases.tell_yesterdays()
    assert not mine.exists()
    travel(dt.timedelta(days=1))
    releases.tell_yesterdays()
    assert mine.get().facts["amount_nanos"] == 12_000_000_000
    releases.tell_yesterdays()
    assert mine.count() == 1
    while emails.send_waiting() and not to(mine.get()):
        pass
    (sent,) = to(mine.get())
    assert sent.subject == "Yesterday $12.00 became spendable"
    travel(dt.timedelta(days=2))
    releases.tell_yesterdays()
    assert mine.count() == 1
