"""Notices of spending, and their webhooks: told once for each step, signed, tried again, through the guard."""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import spend_notices
from billing.models import Notice, Webhook
from hosting import webhooks
from hosting.addresses import AddressRefused
from tests import bookings, factories, fakes, site
from tests.factories import Person
from tests.routing.test_usage_api import address

TAKEN = fakes.plain(204, {})


@pytest.fixture
def receiver() -> Iterator[fakes.FakeServer]:
    running = fakes.FakeServer(TAKEN, token="")
    yield running
    running.stop()


def spender(limit_nanos: int = 1_000_000, period: str = "month") -> Person:
    alice = factories.person("alice")
    alice.api_key.spend_limit_nanos, alice.api_key.spend_period = limit_nanos, period
    alice.api_key.save()
    return alice


def spend(alice: Person, nanos: int) -> None:
    _, offer = factories.server(address(), price_in=1, price_out=0)
    bookings.book(alice, offer, input_tokens=nanos, output_tokens=0)


def kinds(who: Person) -> list[str]:
    return list(who.customer.notices.order_by("pk").values_list("kind", flat=True))


def deliver(who: Person) -> None:
    """Only this customer's: others' of earlier tests lead nowhere."""
    Notice.objects.exclude(customer=who.customer).update(hook_next_at=None)
    webhooks.send_due()


def is_ours(header: str, body: bytes, secret: str) -> bool:
    """As the page tells it to customers."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    right = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right, parts["v1"])


def test_each_step_of_a_limit_is_told_once():
    alice = spender()
    for nanos, expected in (
        (400_000, []),
        (100_000, ["spending_50"]),
        (200_000, ["spending_50"]),
        (100_000, ["spending_50", "spending_80"]),
        (200_000, ["spending_50", "spending_80", "spending_100"]),
    ):
        spend(alice, nanos)
        for _ in range(2):
            spend_notices.tell_all()
        assert kinds(alice) == expected


def test_keys_that_were_told_of_cost_no_more_reads():
    for alice in (spender(), spender(), spender()):
        spend(alice, 900_000)
    assert spend_notices.tell_all() >= 3
    with CaptureQueriesContext(connection) as asked:
        assert spend_notices.tell_all() == 0
    assert len(asked) == 2


def test_a_jump_over_a_step_tells_the_highest_only():
    alice = spender()
    spend(alice, 850_000)
    spend_notices.tell_all()
    assert kinds(alice) == ["spending_80"]
    assert alice.customer.notices.get().facts["percent"] == 85


def test_a_new_period_and_a_new_limit_are_told_anew(travel):
    alice = spender(period="day")
    spend(alice, 600_000)
    spend_notices.tell_all()
    travel(dt.timedelta(days=1))
    spend_notices.tell_all()
    assert kinds(alice) == ["spending_50"]
    spend(alice, 600_000)
    spend_notices.tell_all()
    assert kinds(alice) == ["spending_50"] * 2
    type(alice.api_key).objects.filter(pk=alice.api_key.pk).update(spend_limit_nanos=700_000)
    spend_notices.tell_all()
    assert kinds(alice) == ["spending_50", "spending_50", "spending_80"]


def test_a_revoked_key_and_one_without_a_limit_are_not_spoken_of():
    alice, carol = spender(), factories.person("carol")
    spend(alice, 900_000)
    spend(carol, 900_000)
    alice.customer.api_keys.update(revoked_at=F("created_at"))
    spend_notices.tell_all()
    assert kinds(alice) + kinds(carol) == []


def test_a_notice_arrives_signed_and_once(receiver: fakes.FakeServer):
    alice = spender()
    secret = webhooks.keep(customer=alice.customer, url=f"{receiver.base_url}/hooks/neuralgate")
    spend(alice, 500_000)
    spend_notices.tell_all()
    deliver(alice)
    deliver(alice)
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hooks/neuralgate")
    body = json.dumps(request.body).encode()
    assert is_ours(request.headers["neuralgate-signature"], body, secret)
    assert not is_ours(request.headers["neuralgate-signature"], body, "whsec_other")
    notice = alice.customer.notices.get()
    assert request.body["id"] == f"evt_{notice.pk}"
    assert request.body["type"] == "spending_50"
    assert (request.body["data"]["spent_usd"], request.body["data"]["limit_usd"]) == (0.0005, 0.001)
    assert notice.hooked_at is not None
    assert Webhook.objects.get(customer=alice.customer).last_result == "delivered"


def test_what_fails_is_tried_again_with_the_same_id_and_given_up_in_the_end(receiver: fakes.FakeServer):
    alice = factories.person()
    webhooks.keep(customer=alice.customer, url=receiver.base_url)
    webhooks.try_out(alice.customer)
    receiver.script = fakes.plain(500, {})
    mine = alice.customer.notices
    for tries in range(1, 7):
        deliver(alice)
        assert len(receiver.requests) == tries
        deliver(alice)
        assert len(receiver.requests) == tries, "it waits before the next try"
        mine.filter(hook_next_at__isnull=False).update(hook_next_at=F("created_at"))
    assert mine.get().hook_next_at is None
    assert len({request.body["id"] for request in receiver.requests}) == 1
    assert "500" in Webhook.objects.get(customer=alice.customer).last_result


def test_a_redirect_is_not_followed(receiver: fakes.FakeServer):
    alice, other = factories.person(), fakes.FakeServer(TAKEN, token="")
    webhooks.keep(customer=alice.customer, url=receiver.base_url)
    receiver.script = fakes.raw(
        f"HTTP/1.1 307 X\r\nlocation: {other.base_url}\r\ncontent-length: 0\r\n\r\n".encode()
    )
    webhooks.try_out(alice.customer)
    deliver(alice)
    assert other.requests == []
    other.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest", "https://localhost/x", "https://metadata.google.internal/",
        "https://user:secret@example.org/", "ftp://example.org/", "https://example.org:5432/", "https://2130706433/",
    ],
)  # fmt: skip
def test_a_webhook_leads_into_no_private_network(url: str, settings):
    settings.ALLOW_PRIVATE_ADDRESSES = settings.ALLOW_HTTP_HOSTERS = False
    alice = factories.person()
    with pytest.raises(AddressRefused):
        webhooks.keep(customer=alice.customer, url=url)
    page = site.signed_in(alice.customer.user).post("/account/notices", {"url": url})
    assert page.status_code == 200
    assert not Webhook.objects.filter(customer=alice.customer).exists()


def test_the_guard_looks_again_when_it_sends(receiver: fakes.FakeServer, settings):
    alice = factories.person()
    webhooks.keep(customer=alice.customer, url=receiver.base_url)
    webhooks.try_out(alice.customer)
    settings.ALLOW_PRIVATE_ADDRESSES = False
    deliver(alice)
    assert receiver.requests == []
    assert Webhook.objects.get(customer=alice.customer).last_result != "delivered"


def test_the_page_shows_the_secret_once_and_what_became_of_a_test(receiver: fakes.FakeServer):
    alice = factories.person()
    browser: Client = site.signed_in(alice.customer.user)
    made = browser.post("/account/notices", {"url": receiver.base_url}).content.decode()
    assert made.count("whsec_") == 1
    assert "whsec_" not in browser.get("/account/notices").content.decode()
    browser.post("/account/notices/test")
    deliver(alice)
    assert "delivered" in browser.get("/account/notices").content.decode()
    browser.post("/account/notices/stop")
    assert not Webhook.objects.filter(customer=alice.customer).exists()
    webhooks.try_out(alice.customer)
    assert alice.customer.notices.last().hook_next_at is None
