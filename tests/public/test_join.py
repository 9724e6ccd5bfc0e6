"""Joining and signing in with an address alone: a code or a link, once, for whoever reads the mail."""

import re
import smtplib

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from neuralgate import joining
from tests import factories

CODE = re.compile(r"^    (\d{6})$", re.MULTILINE)
LINK = re.compile(r"^http://127\.0\.0\.1:8000(/join/\S+)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _a_mail_server(settings):
    settings.EMAIL_HOST = "mail.example"
    cache.clear()  # the limits of other tests' requests


@pytest.fixture
def email() -> str:
    return f"{factories.unique('alice')}@example.org"


def ask(client: Client, email: str, **fields: str) -> tuple[str, str]:
    """(the code, the link's path) of the mail."""
    assert client.post("/join", {"email": email, **fields})["Location"] == "/join/code"
    body = mail.outbox[-1].body
    return CODE.search(body)[1], LINK.search(body)[1]


def is_in(client: Client) -> bool:
    return client.get("/account").status_code == 200


def test_a_new_customer_joins_with_a_code_and_has_five_dollars_once(email: str):
    client = Client()
    code, _ = ask(client, email.upper())
    assert not User.objects.filter(email=email).exists()
    assert client.post("/join/code", {"code": f" {code} "})["Location"] == "/account"
    assert "$5.00" in client.get("/account").content.decode()
    user = User.objects.get(email=email)
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    again = Client()
    code, _ = ask(again, email)
    again.post("/join/code", {"code": code})
    assert is_in(again)
    assert user.customer.ledger_accounts.get().posted_nanos == 5_000_000_000


def test_the_mail_has_text_and_html_with_code_and_link(email: str):
    code, link = ask(Client(), email)
    (message,) = mail.outbox
    assert message.to == [email]
    assert code in message.subject
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    assert code in html
    assert link in html


def test_the_link_works_in_another_browser_after_a_press_and_once(email: str):
    code, link = ask(first := Client(), email)
    other = Client()
    assert email in other.get(link).content.decode()
    assert not is_in(other)  # a scanner that opens links gets nobody in
    other.post(link)
    assert is_in(other)
    assert Client().post(link).status_code == 404
    first.post("/join/code", {"code": code})
    assert not is_in(first)


def test_who_asked_for_a_code_cannot_open_the_link_without_the_mail(email: str):
    client = Client()
    ask(client, email)
    assert client.get(f"/join/{client.session['join_ticket']}").status_code == 404


def test_five_wrong_codes_end_it(email: str):
    client = Client()
    code, link = ask(client, email)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(joining.TRIES_MAX - 1):
        assert "That is not the code" in client.post("/join/code", {"code": wrong}).content.decode()
    ended = client.post("/join/code", {"code": wrong}, follow=True).content.decode()
    assert "This code no longer works" in ended
    assert "Send me a code" in ended
    assert f'value="{email}"' in ended
    client.post("/join/code", {"code": code})
    assert not is_in(client)
    assert Client().post(link).status_code == 404
    assert client.get("/join/code")["Location"] == "/join"


def test_a_code_that_is_too_old_is_said_to_be_and_the_next_one_leads_on(email: str):
    client = Client()
    code, _ = ask(client, email, next="/account/keys/new")
    cache.clear()  # as after fifteen minutes
    late = client.post("/join/code", {"code": code}, follow=True)
    page = late.content.decode()
    assert "This code no longer works" in page
    assert late.redirect_chain[-1][0] == "/join?next=%2Faccount%2Fkeys%2Fnew"
    assert 'name="next" value="/account/keys/new"' in page
    assert "no longer works" not in client.get("/join/code", follow=True).content.decode(), "said once"
    code, _ = ask(client, email, next="/account/keys/new")
    assert client.post("/join/code", {"code": code})["Location"] == "/account/keys/new"


def test_known_and_unknown_addresses_get_the_same_answer(email: str):
    alice = factories.person()
    answers = []
    for address in (email, alice.customer.user.email):
        client = Client()
        ask(client, address)
        page = client.get("/join/code").content.decode()
        answers.append(re.sub(r'value="[^"]+"', "", page.replace(address, "X")))
    assert answers[0] == answers[1]


def test_asking_again_and_again_is_limited(email: str):
    answers = [Client().post("/join", {"email": email}).status_code for _ in range(4)]
    assert answers == [302, 302, 302, 429]


def test_a_password_from_before_the_address_was_proven_is_worth_nothing(email: str):
    User.objects.create_user(email, "the password of an impostor")
    client = Client()
    code, _ = ask(client, email)
    client.post("/join/code", {"code": code})
    assert is_in(client)
    assert not User.objects.get(email=email).has_usable_password()


def test_a_password_of_a_proven_address_stays(email: str):
    user = User.objects.create_user(email, "a long enough sentence")
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    client = Client()
    code, _ = ask(client, email)
    client.post("/join/code", {"code": code})
    assert User.objects.get(email=email).has_usable_password()


def test_an_address_that_somebody_else_entered_without_proof_is_not_theirs(email: str):
    mallory = factories.person("mallory").customer.user
    EmailAddress.objects.create(user=mallory, email=email, verified=False, primary=False)
    client = Client()
    code, _ = ask(client, email)
    client.post("/join/code", {"code": code})
    assert str(User.objects.get(email=email).pk) == client.session["_auth_user_id"] != str(mallory.pk)


def test_a_second_factor_is_still_asked_for(email: str):
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    user = User.objects.create_user(email)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    TOTP.activate(user, generate_totp_secret())
    client = Client()
    code, _ = ask(client, email)
    assert "/2fa/authenticate" in client.post("/join/code", {"code": code})["Location"]
    assert not is_in(client)


def test_a_blocked_user_does_not_get_in(email: str):
    User.objects.create_user(email, is_active=False)
    client = Client()
    code, _ = ask(client, email)
    client.post("/join/code", {"code": code})
    assert not is_in(client)


@pytest.mark.parametrize(
    ("given", "goal"),
    [
        ("/account/keys/new", "/account/keys/new"),
        ("https://evil.example/", "/account"),
        ("//evil.example", "/account"),
    ],
)
def test_one_goes_on_where_one_came_from_but_nowhere_else(email: str, given: str, goal: str):
    client = Client()
    code, _ = ask(client, email, next=given)
    assert client.post("/join/code", {"code": code})["Location"] == goal


def test_without_a_mail_server_the_page_says_where_the_code_is(settings, email: str):
    settings.EMAIL_HOST = ""
    client = Client()
    assert "no mail server" in client.get("/join").content.decode()
    assert "/accounts/signup/" in client.get("/join").content.decode()
    code, _ = ask(client, email)
    assert "ask the operator" in client.get("/join/code").content.decode()
    client.post("/join/code", {"code": code})
    assert is_in(client)
    assert not EmailAddress.objects.get(email=email).verified


def test_a_mail_that_cannot_be_sent_is_said(monkeypatch, email: str):
    def refuse(*_: object) -> None:
        raise smtplib.SMTPServerDisconnected

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
    assert "could not be sent" in Client().post("/join", {"email": email}).content.decode()


def test_the_other_way_to_sign_in_by_code_sends_html_too(email: str):
    user = User.objects.create_user(email)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    Client().post("/accounts/login/code/", {"email": email})
    (message,) = mail.outbox
    ((html, _),) = message.alternatives
    assert "Your code" in html
    assert re.search(r"\b[A-Z0-9-]{6,}\b", message.body)


def test_who_is_in_has_no_business_at_the_door():
    client = Client()
    client.force_login(factories.person().customer.user)
    assert client.get("/join")["Location"] == "/account"
