"""/account/notices: what one was told, in the words of the mail, and where a mail goes without a mail server."""

from typing import Any

import pytest
from django.utils import timezone

from billing import notices
from billing.models import Notice, Webhook
from hosting import webhooks
from tests import factories
from tests.accounts.test_pages import signed_in

DECIDED = {
    "charge": "c", "state": "upheld", "verdict": "Cut off.", "gross_nanos": 100_000, "net_nanos": 80_000, "paid": True,
}  # fmt: skip


def told(kind: str = "dispute_decided", facts: dict[str, Any] = DECIDED) -> factories.Person:
    alice = factories.person()
    assert notices.tell(alice.customer, kind, factories.unique("subject"), facts)
    Notice.objects.filter(customer=alice.customer).update(mailed_at=timezone.now())
    return alice


def page(who: factories.Person) -> str:
    return signed_in(who).get("/account/notices").content.decode()


def test_a_notice_is_listed_in_words_and_leads_to_what_it_is_about():
    shown = page(told())
    assert '<a href="/account/requests/c#dispute">Your dispute was upheld</a>' in shown
    assert "dispute_decided" not in shown


def test_who_has_a_webhook_sees_the_types_that_it_gets():
    alice = told()
    Webhook.objects.create(customer=alice.customer, url="https://example.org", secret_sealed="x")
    webhooks.try_out(alice.customer)
    shown = page(alice)
    assert "dispute_decided" in shown
    assert "A test of your webhook" in shown


def test_a_kind_that_nobody_writes_any_more_is_shown_as_it_is():
    assert "an_old_kind" in page(told("an_old_kind", {}))


@pytest.mark.parametrize(("host", "words"), [("", "Mail, in the log"), ("smtp.example.org", "By mail<")])
def test_without_a_mail_server_it_says_where_mails_are(host: str, words: str, settings: Any):
    settings.EMAIL_HOST = host
    shown = page(told())
    assert words in shown
    assert ("No mail server is set up here" in shown) == (host == "")
    assert "switched off" not in shown
