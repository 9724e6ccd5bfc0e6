"""/accounts/email/: whose an address is, what may be the main one, and that nothing tells about other accounts."""

import re
from collections.abc import Iterator

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client, override_settings

from accounts.models import User
from tests import factories, site

PATH = "/accounts/email/"
WITH_MAIL = {"EMAIL_HOST": "mail.example", "ACCOUNT_EMAIL_VERIFICATION": "mandatory"}
NEW_MAIN = "You have a new main address."
NOT_MAIN = "cannot be your main one here"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Counts of earlier tests, all from one address."""
    cache.clear()
    yield
    cache.clear()


def resident(name: str = "alice", *, verified: bool = False) -> User:
    """Somebody with a main address, as the sign-up leaves them."""
    email = f"{factories.unique(name)}@example.org"
    user = User.objects.create_user(email, "a long enough sentence")
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=verified)
    return user


def press(client: Client, button: str, email: str) -> str:
    """What the page says afterwards."""
    answer = client.post(PATH, {button: "", "email": email}, follow=True)
    assert answer.status_code == 200
    page: str = answer.content.decode()
    return page


def main_of(user: User) -> tuple[str, str]:
    """The main address in both of the places that know it."""
    return User.objects.get(pk=user.pk).email, EmailAddress.objects.get(user=user, primary=True).email


# ------------------------------------------------------------------------------------------ without a mail server


def test_without_a_mail_server_an_address_is_ones_own_at_once_and_the_page_says_so():
    alice, new = resident(), f"{factories.unique('alice')}@example.org"
    client = site.signed_in(alice)
    page = press(client, "action_add", new)
    assert f"{new} is yours." in page
    assert "We sent" not in page
    assert "It is yours at once" in page
    assert NEW_MAIN in press(client, "action_primary", new)
    assert main_of(alice) == (new, new)


def test_without_a_mail_server_nobody_takes_another_ones_address():
    alice, carol = resident(), resident("carol")
    second = f"{factories.unique('alice')}@example.org"
    EmailAddress.objects.create(user=alice, email=second)
    # Without a row of allauth's.
    by_hand = User.objects.create_user(f"{factories.unique('olga')}@example.org")
    for taken in (alice.email, second, by_hand.email, second.upper()):
        page = press(site.signed_in(carol), "action_add", taken)
        assert "This address cannot be added here" in page
        assert "account with this address" not in page
    assert EmailAddress.objects.filter(user=carol).count() == 1


@pytest.mark.parametrize("button", ["action_primary", "action_remove"])
def test_what_was_taken_before_it_was_refused_neither_becomes_the_main_one_nor_crashes(button: str):
    alice, carol = resident(), resident("carol")
    EmailAddress.objects.create(user=carol, email=alice.email)
    page = press(site.signed_in(carol), button, alice.email)
    assert NEW_MAIN not in page
    assert (NOT_MAIN in page) == (button == "action_primary")
    assert main_of(carol) == (carol.email, carol.email)
    assert main_of(alice) == (alice.email, alice.email)


def test_an_address_that_was_half_made_the_main_one_is_put_right_by_choosing_again():
    alice, carol = resident(), resident("carol")
    EmailAddress.objects.filter(user=carol).update(primary=False)
    EmailAddress.objects.create(user=carol, email=alice.email, primary=True)
    client = site.signed_in(carol)
    assert "is your main address" in press(client, "action_remove", carol.email)
    assert NEW_MAIN in press(client, "action_primary", carol.email)
    assert main_of(carol) == (carol.email, carol.email)
    press(client, "action_remove", alice.email)
    assert EmailAddress.objects.get(user=carol).email == carol.email


def test_the_message_follows_a_change_that_was_kept(monkeypatch: pytest.MonkeyPatch):
    """Two accounts may look at the same moment, and see that the address is free."""
    monkeypatch.setattr("neuralgate.addresses.has_another", lambda email, user: False)
    alice, carol = resident(), resident("carol")
    EmailAddress.objects.create(user=carol, email=alice.email)
    page = press(site.signed_in(carol), "action_primary", alice.email)
    assert NEW_MAIN not in page
    assert NOT_MAIN in page
    assert main_of(carol) == (carol.email, carol.email)


# --------------------------------------------------------------------------------------------- with a mail server


def test_with_a_mail_server_adding_tells_nothing_about_other_accounts():
    dora, carol = resident("dora", verified=True), resident("carol", verified=True)
    pages = []
    with override_settings(**WITH_MAIL):
        for email in (dora.email, f"{factories.unique('nobody')}@example.org"):
            page = press(site.signed_in(carol), "action_add", email)
            assert f"We sent {email} a link that confirms the address." in page
            assert "is yours" not in re.sub("Once you opened it, the address is yours", "", page)
            assert mail.outbox[-1].to == [email]
            pages.append(re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", page).replace(email, "…"))
            EmailAddress.objects.get(user=carol, email=email).delete()
    assert pages[0] == pages[1]


def test_with_a_mail_server_only_a_confirmed_address_becomes_the_main_one():
    for verified in (True, False):  # also where none of an account's addresses is confirmed
        carol, new = resident("carol", verified=verified), f"{factories.unique('carol')}@example.org"
        EmailAddress.objects.create(user=carol, email=new)
        client = site.signed_in(carol)
        with override_settings(**WITH_MAIL):
            assert "Confirm this address first" in press(client, "action_primary", new)
            assert main_of(carol) == (carol.email, carol.email)
            EmailAddress.objects.filter(email=new).update(verified=True)
            assert NEW_MAIN in press(client, "action_primary", new)
            assert main_of(carol) == (new, new)


def test_a_confirmed_address_that_is_another_accounts_main_one_is_refused_without_a_crash():
    alice, carol = resident(), resident("carol", verified=True)
    EmailAddress.objects.create(user=carol, email=alice.email, verified=True)
    with override_settings(**WITH_MAIL):
        assert NOT_MAIN in press(site.signed_in(carol), "action_primary", alice.email)
    assert main_of(carol) == (carol.email, carol.email)


def test_confirming_what_is_another_accounts_main_address_does_not_crash():
    alice = resident()
    by_hand = User.objects.create_user(f"{factories.unique('olga')}@example.org")  # has no main row yet
    client = site.signed_in(by_hand)
    with override_settings(**WITH_MAIL):
        press(client, "action_add", alice.email)
        found = re.search(r"http://\S+(/accounts/confirm-email/\S+)", str(mail.outbox[-1].body))
        assert found
        page = client.post(found[1], follow=True).content.decode()
    assert "was not confirmed: another account has it already" in page
    assert "is confirmed." not in page
    assert User.objects.get(pk=by_hand.pk).email == by_hand.email
