"""The mails' links and the pages behind them, in our words; what a page says where there is no mail server."""

import re
from collections.abc import Iterator

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client, override_settings

from accounts.models import User
from tests import factories

PASSWORD = "a long enough sentence"
LINK = re.compile(r"http://\S+(/accounts/(?:confirm-email|password/reset/key)/\S+)")
WITH_MAIL = {"EMAIL_HOST": "mail.example", "ACCOUNT_EMAIL_VERIFICATION": "mandatory"}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Counts of earlier tests, all from one address."""
    cache.clear()
    yield
    cache.clear()


def read(answer) -> str:
    """The page, of which nothing is in Title Case or repeats itself in a placeholder."""
    page: str = answer.content.decode()
    assert answer.status_code == 200
    assert page.count("<h1>") == 1
    assert "placeholder=" not in page
    assert not re.search(r"<(h1|h2|button|label|title)[^>]*>[A-Z]\w+ [A-Z][a-z]", page), page
    assert "email" not in re.sub(r"<[^>]*>", "", page).replace("@example.org", "")
    return page


def link() -> str:
    found = LINK.search(str(mail.outbox[-1].body))
    assert found
    return found[1]


def test_who_joins_with_a_password_confirms_the_address_and_signs_in():
    email = f"{factories.unique('alice')}@example.org"
    given = {"email": email, "password1": PASSWORD}
    with override_settings(**WITH_MAIL):
        client = Client()
        assert "We send a link there" in read(client.get("/accounts/signup/"))
        sent = read(client.post("/accounts/signup/", given, follow=True))
        assert "Look at your mail" in sent
        assert "no mail server" not in sent
        asked = read(Client().get(link()))
        assert "Is this your address?" in asked
        assert email in asked
        confirmed = Client().post(link(), follow=True)
        assert f"{email} is confirmed." in confirmed.content.decode()
        assert EmailAddress.objects.get(email=email).verified
        client = Client()
        entered = client.post("/accounts/login/", {"login": email, "password": PASSWORD}, follow=True)
        assert f"You are signed in as {email}." in entered.content.decode()
        assert "confirmed" in read(client.get("/accounts/email/"))
        assert "This link is used up" in read(Client().get("/accounts/confirm-email/guess/"))


def test_an_address_that_another_account_has_confirmed_is_refused_behind_its_link():
    email = f"{factories.unique('alice')}@example.org"
    with override_settings(**WITH_MAIL):
        Client().post("/accounts/signup/", {"email": email, "password1": PASSWORD})
        other = User.objects.create_user(f"{factories.unique('dora')}@example.org")
        EmailAddress.objects.create(user=other, email=email, verified=True)
        assert "This address is taken" in read(Client().get(link()))


def test_a_forgotten_password_is_set_anew_once():
    user = User.objects.create_user(f"{factories.unique('alice')}@example.org", "an older sentence")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    with override_settings(**WITH_MAIL):
        client = Client()
        sent = read(client.post("/accounts/password/reset/", {"email": user.email}, follow=True))
        assert "Look at your mail" in sent
        first = link()
        opened = client.get(first, follow=True)
        assert "Choose a new password" in read(opened)
        path = opened.redirect_chain[-1][0]
        refused = read(client.post(path, {"password1": PASSWORD, "password2": "something else"}))
        assert "same password" in refused
        done = read(client.post(path, {"password1": PASSWORD, "password2": PASSWORD}, follow=True))
        assert "Your new password is set" in done
        user.refresh_from_db()
        assert user.check_password(PASSWORD)
        assert "This link is used up" in read(Client().get(first, follow=True))


def test_who_joined_with_a_code_may_set_a_password():
    client = Client()
    user = User.objects.create_user(f"{factories.unique('alice')}@example.org")
    client.force_login(user)
    assert "Set a password" in read(client.get("/accounts/password/change/", follow=True))
    given = {"password1": PASSWORD, "password2": PASSWORD}
    done = read(client.post("/accounts/password/set/", given, follow=True))
    assert "Your password is set." in done
    assert "Change your password" in done


@pytest.mark.parametrize(
    ("path", "known", "words"),
    [
        ("/accounts/password/reset/", True, "A new password"),
        ("/accounts/password/reset/", False, "There is no account here"),
        ("/accounts/signup/", True, "You have an account already"),
        ("/accounts/signup/", False, "Is this your address?"),
    ],
)
def test_every_mail_of_the_way_in_speaks_our_words_as_text_and_as_html(path: str, known: bool, words: str):
    email = f"{factories.unique('alice')}@example.org"
    if known:
        user = User.objects.create_user(email)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    with override_settings(**WITH_MAIL):
        Client().post(path, {"email": email, "password1": PASSWORD})
    sent = mail.outbox[-1]
    assert sent.to == [email]
    assert sent.subject == f"{words} – NeuralGate"
    ((html, kind),) = sent.alternatives
    assert kind == "text/html"
    target = re.findall(r"http://\S+/accounts/\S+", sent.body)
    assert len(target) == 1
    assert f'href="{target[0]}"' in html
    for form in (sent.body, html):
        assert "ignore this mail" in form
        assert "Hello from" not in form
        assert "example.com" not in form


@pytest.mark.parametrize("path", ["/accounts/password/reset/done/", "/accounts/confirm-email/"])
def test_without_a_mail_server_a_page_says_where_the_mail_is(path: str):
    assert "no mail server" in read(Client().get(path))
    with override_settings(EMAIL_HOST="mail.example"):
        assert "no mail server" not in read(Client().get(path))


def test_the_way_to_a_code_keeps_the_page_that_was_asked_for():
    for path in ("/accounts/login/", "/accounts/signup/"):
        page = read(Client().get(path, {"next": "/account/credit?a=1&b=2"}))
        assert "/join?next=%2Faccount%2Fcredit%3Fa%3D1%26b%3D2" in page
        assert 'name="next" value="/account/credit?a=1&amp;b=2"' in page
