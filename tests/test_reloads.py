"""A page that shows a secret is the answer to a POST; loading it again makes no second key and no second token."""

import re
from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client

from accounts import issuing
from accounts.issuing import KeyRefused
from hosting.models import Server
from tests import factories, site
from tests.accounts.test_pages import signed_in, text
from tests.billing.test_tasks import at_once

SECRET = re.compile(r'id="(?:key|token)">([^<]+)<')
Made = Callable[[factories.Person], tuple[str, dict[str, str]]]


def _new_key(bob: factories.Person) -> tuple[str, dict[str, str]]:
    return "/account/keys/new", {"name": "notebook", "spend_period": "month"}


def _rotation(bob: factories.Person) -> tuple[str, dict[str, str]]:
    return f"/account/keys/{bob.api_key.pk}/rotate", {"grace": "0"}


def _new_token(bob: factories.Person) -> tuple[str, dict[str, str]]:
    return f"/hosters/register/{site.draft(bob.customer.hoster).pk}/token", {}


def _rotated_token(bob: factories.Person) -> tuple[str, dict[str, str]]:
    server, _ = factories.server(of=bob.customer.hoster)
    return f"/hosters/servers/{server.pk}/token", {}


def secrets_of(bob: factories.Person) -> list[object]:
    """What a second POST would change."""
    keys = bob.customer.api_keys.order_by("pk").values_list("digest", flat=True)
    tokens = Server.objects.filter(hoster=bob.customer.hoster).values_list("token_encrypted", flat=True)
    return [bytes(digest) for digest in keys] + list(tokens.order_by("pk"))


def form_of(client: Client, path: str) -> dict[str, str]:
    (name,) = re.findall(r'name="once" value="([^"]+)"', text(client, path))
    return {"once": name}


@pytest.mark.parametrize("made", [_new_key, _rotation, _new_token, _rotated_token])
def test_a_reload_makes_no_second_secret(made: Made):
    bob = factories.hoster()[0]
    path, fields = made(bob)
    client = signed_in(bob)
    sent = {**fields, **form_of(client, path)}
    assert SECRET.search(client.post(path, sent).content.decode())
    before = secrets_of(bob)
    again = client.post(path, sent, follow=True).content.decode()
    assert "already, and" in again
    assert "shown only once" in again
    assert not SECRET.search(again)
    assert secrets_of(bob) == before
    assert SECRET.search(client.post(path, {**fields, **form_of(client, path)}).content.decode())
    assert secrets_of(bob) != before


def test_of_many_posts_at_once_one_makes_a_key():
    alice = factories.person()
    path, fields = _new_key(alice)
    client = signed_in(alice)
    sent = {**fields, **form_of(client, path)}
    had = alice.customer.api_keys.count()
    at_once(lambda: signed_in(alice).post(path, sent), times=4)
    assert alice.customer.api_keys.count() == had + 1


def test_a_form_that_was_refused_can_be_sent_again():
    alice = factories.person()
    path, fields = _new_key(alice)
    client = signed_in(alice)
    sent = {**fields, **form_of(client, path)}
    assert client.post(path, {**sent, "spend_limit_nanos": "-1"}).status_code == 200
    assert SECRET.search(client.post(path, sent).content.decode())


@pytest.mark.parametrize("trouble", [KeyRefused("There are enough."), RuntimeError("broken")])
def test_a_form_whose_wish_was_not_done_can_be_sent_again(trouble: Exception, monkeypatch):
    alice = factories.person()
    path, fields = _new_key(alice)
    client = signed_in(alice)
    client.raise_request_exception = False
    sent = {**fields, **form_of(client, path)}
    with monkeypatch.context() as patch:
        patch.setattr(issuing, "issue", lambda **_: (_ for _ in ()).throw(trouble))
        assert not SECRET.search(client.post(path, sent).content.decode())
    assert SECRET.search(client.post(path, sent).content.decode())


def test_names_of_ones_own_are_not_remembered():
    alice = factories.person()
    path, fields = _new_key(alice)
    client = signed_in(alice)
    for _ in range(2):
        assert SECRET.search(client.post(path, {**fields, "once": "mine"}).content.decode())
    assert cache.get("form-mine") is None
