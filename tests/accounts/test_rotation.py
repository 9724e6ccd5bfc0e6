"""Rotation: a new string for the same key, while the old one works on for as long as was asked; limits are shared."""

import datetime as dt

import httpx
import pytest
from django.db.models.functions import Now

from accounts import auth, issuing
from accounts.envelope import ApiError
from accounts.issuing import KeyRefused
from accounts.models import ReplacedKey
from billing import spending
from tests import factories, fakes
from tests.gateway import RunningGateway

DAY = dt.timedelta(days=1)


def refused(key: str) -> str:
    with pytest.raises(ApiError) as error:
        auth.caller(f"Bearer {key}")
    return error.value.problem.code


def test_with_grace_both_strings_are_one_key():
    alice = factories.person()
    new = issuing.rotate(alice.api_key, grace=DAY)
    assert new != alice.key
    assert auth.caller(f"Bearer {new}") == auth.caller(f"Bearer {alice.key}") == alice.api_key


def test_without_grace_the_old_string_is_dead_at_once():
    alice = factories.person()
    new = issuing.rotate(alice.api_key, grace=dt.timedelta(0))
    assert refused(alice.key) == "invalid_api_key"
    assert auth.caller(f"Bearer {new}") == alice.api_key


def test_the_old_string_ends_with_its_grace():
    alice = factories.person()
    issuing.rotate(alice.api_key, grace=DAY)
    auth.caller(f"Bearer {alice.key}")
    ReplacedKey.objects.filter(key=alice.api_key).update(works_until=Now())
    assert refused(alice.key) == "invalid_api_key"


def test_grace_ends_no_later_than_the_key():
    alice = factories.person()
    expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    type(alice.api_key).objects.filter(pk=alice.api_key.pk).update(expires_at=expires_at)
    alice.api_key.refresh_from_db()
    issuing.rotate(alice.api_key, grace=dt.timedelta(days=7))
    assert ReplacedKey.objects.get(key=alice.api_key).works_until == expires_at


def test_grace_can_be_ended_and_a_revoked_key_has_none():
    alice = factories.person()
    new = issuing.rotate(alice.api_key, grace=DAY)
    assert issuing.end_grace(alice.api_key) == 1
    assert issuing.end_grace(alice.api_key) == 0
    assert refused(alice.key) == "invalid_api_key"
    alice.api_key.refresh_from_db()
    newest = issuing.rotate(alice.api_key, grace=DAY)
    issuing.revoke(alice.api_key)
    assert refused(new) == refused(newest) == "revoked_api_key"


def test_of_two_rotations_at_once_one_wins():
    alice = factories.person()
    issuing.rotate(alice.api_key, grace=DAY)
    with pytest.raises(KeyRefused, match="meanwhile"):
        issuing.rotate(alice.api_key, grace=DAY)  # this row still knows the string from before


def test_a_spending_limit_is_not_doubled_by_a_rotation(gateway: RunningGateway):
    """One token of output at 1,000 nanodollars each; the limit is two and a half of them, whichever string asks."""
    alice = factories.person()
    server, offer = factories.server(
        fakes.FakeServer(fakes.model(usage=(1, 1))).base_url, price_in=0, price_out=1_000
    )
    gateway.wait_for(server)
    old, row = factories.new_key(alice.customer, spend_limit_nanos=2_500)
    new = issuing.rotate(row, grace=DAY)

    def ask(key: str) -> int:
        body = {"model": offer.model_id, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers).status_code

    assert [ask(old), ask(new), ask(new), ask(old)] == [200, 200, 402, 402]
    assert spending.by_key(alice.customer)[row.pk].used_nanos == 2_000
    issuing.end_grace(row)
    assert ask(old) == 401


def test_expired_keys_do_not_count_against_how_many_there_may_be(monkeypatch: pytest.MonkeyPatch):
    alice = factories.person()
    monkeypatch.setattr(issuing, "KEYS_MAX", 2)
    factories.new_key(alice.customer, expires_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    issuing.issue(customer=alice.customer, name="second")
    with pytest.raises(KeyRefused):
        issuing.issue(customer=alice.customer, name="third")
