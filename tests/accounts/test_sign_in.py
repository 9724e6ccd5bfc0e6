"""Who may come in, and what a stranger can find out at the door."""

import datetime as dt
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import User
from accounts.tasks import forget_sessions
from neuralgate import idle
from tests import factories, staff

PASSWORD = "a long enough sentence"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')
ROUNDS = 3


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Counts of earlier tests, all from one address."""
    cache.clear()
    yield
    cache.clear()


def resident(*, is_staff: bool = False) -> User:
    """Somebody with a password and a verified address."""
    email = f"{factories.unique('dora')}@example.org"
    user = User.objects.create_user(email, PASSWORD, is_staff=is_staff, is_superuser=is_staff)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


def sign_in(
    email: str, password: str = PASSWORD, *, client: Client | None = None, address: str = "192.0.2.1"
):
    client = client or Client()
    return client.post("/accounts/login/", {"login": email, "password": password}, REMOTE_ADDR=address)


# ------------------------------------------------------------------------------------------- the second factor


@pytest.mark.parametrize("path", ["/admin/", "/admin/billing/transfer/", "/admin/moderation/"])
def test_staff_without_a_second_factor_are_led_to_set_one_up_and_then_back(path: str):
    user, client = resident(is_staff=True), Client()
    answer = sign_in(user.email, client=client)
    assert answer.status_code == 302
    refused = client.get(path)
    assert refused["Location"] == f"/admin/login/?next={path}"
    asked = client.get(refused["Location"])
    assert asked["Location"] == "/accounts/2fa/totp/activate/"
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/").content.decode()
    assert "The admin opens with a second factor only" in page
    secret = client.session["mfa.totp.secret"]
    done = client.post("/accounts/2fa/totp/activate/", {"code": staff.code(secret)}, follow=True)
    assert 'href="/admin/"' in done.content.decode()
    assert Authenticator.objects.filter(user=user, type="totp").exists()
    assert client.get(path).status_code == 200


def test_signing_in_with_the_second_factor_leads_to_the_page_that_was_asked_for():
    user, client = resident(is_staff=True), Client()
    TOTP.activate(user, staff.SECRET)
    asked = client.get("/admin/hosting/hoster/", follow=True)
    assert asked.redirect_chain[-1][0] == "/accounts/login/?next=%2Fadmin%2Fhosting%2Fhoster%2F"
    form = {"login": user.email, "password": PASSWORD, "next": "/admin/hosting/hoster/"}
    assert client.post("/accounts/login/", form)["Location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/admin/hosting/hoster/").status_code == 302
    assert client.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    assert client.get("/admin/hosting/hoster/").status_code == 302
    done = client.post("/accounts/2fa/authenticate/", {"code": staff.code()}, follow=True)
    assert done.redirect_chain[-1][0] == "/admin/hosting/hoster/"
    assert done.status_code == 200


def test_a_session_without_the_factor_is_asked_for_its_code_and_then_let_in():
    user, client = resident(is_staff=True), Client()
    sign_in(user.email, client=client)
    TOTP.activate(user, staff.SECRET)  # in another session
    asked = client.get("/admin/billing/transfer/", follow=True)
    assert (
        asked.redirect_chain[-1][0] == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Fbilling%2Ftransfer%2F"
    )
    done = client.post(asked.redirect_chain[-1][0], {"code": staff.code()}, follow=True)
    assert done.redirect_chain[-1][0] == "/admin/billing/transfer/"
    assert done.status_code == 200


def test_who_removes_the_second_factor_is_out_again():
    user = staff.member()
    client = staff.signed_in(user)
    assert client.get("/admin/").status_code == 200
    Authenticator.objects.filter(user=user).delete()
    assert client.get("/admin/").status_code == 302


def test_another_ones_factor_does_not_count():
    client = staff.signed_in()
    client.force_login(staff.member())
    assert client.get("/admin/").status_code == 302


def test_the_way_in_leads_to_no_other_site():
    client = staff.signed_in()
    for elsewhere in ("https://evil.example", "//evil.example", "/admin/login/?next=/admin/"):
        assert client.get("/admin/login/", {"next": elsewhere})["Location"] == "/admin/"
    assert client.get("/admin/login/", {"next": "/admin/auth/"})["Location"] == "/admin/auth/"


def test_the_admins_own_form_signs_nobody_in():
    user = resident(is_staff=True)
    client = Client()
    answer = client.post("/admin/login/", {"username": user.email, "password": PASSWORD})
    assert answer["Location"].startswith("/accounts/login/")
    assert client.get("/admin/").status_code == 302


def test_customers_are_refused_with_or_without_a_second_factor():
    user = resident()
    TOTP.activate(user, staff.SECRET)
    client = staff.signed_in(user)
    assert client.get("/admin/", follow=True).status_code == 403


def test_the_database_has_no_second_factor_in_the_clear_and_keys_rotate():
    user = staff.member()
    factor = Authenticator.objects.get(user=user)
    assert staff.SECRET not in str(factor.data)
    with override_settings(
        FERNET_KEYS=["another key of forty characters or more, first", *settings.FERNET_KEYS]
    ):
        assert factor.wrap().validate_code(staff.code())
    older = Authenticator.objects.get(user=staff.member())
    older.data = {"secret": staff.SECRET}  # as it was kept before
    assert older.wrap().validate_code(staff.code())


# ---------------------------------------------------------------------------------------------------- sessions


def test_ones_sessions_are_listed_and_the_others_are_ended():
    user = resident()
    here, there = (
        Client(headers={"User-Agent": "Firefox here"}),
        Client(headers={"User-Agent": "Safari there"}),
    )
    for client in (here, there):
        sign_in(user.email, client=client)
    page = here.get("/accounts/sessions/").content.decode()
    assert "Firefox here" in page
    assert "Safari there" in page
    assert 'aria-current="page">Sessions</a>' in page
    here.post("/accounts/sessions/")
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 302
    assert UserSession.objects.filter(user=user).count() == 1


def test_carol_neither_sees_nor_ends_alices_session():
    alice, carol = resident(), resident()
    hers, own = Client(headers={"User-Agent": "Alice's browser"}), Client()
    sign_in(alice.email, client=hers)
    sign_in(carol.email, client=own)
    assert "Alice's browser" not in own.get("/accounts/sessions/").content.decode().replace("&#x27;", "'")
    own.post("/accounts/sessions/")
    assert hers.get("/account").status_code == 200


def test_sessions_that_expired_are_forgotten_and_so_are_their_browsers():
    user, old, new = resident(), Client(), Client()
    for client in (old, new):
        sign_in(user.email, client=client)
    assert UserSession.objects.filter(user=user).count() == 2
    gone = old.session.session_key
    Session.objects.filter(pk=gone).update(expire_date=timezone.now() - dt.timedelta(seconds=1))
    assert forget_sessions() >= 1
    assert not Session.objects.filter(pk=gone).exists()
    (left,) = UserSession.objects.filter(user=user)
    assert left.session_key == new.session.session_key
    assert new.get("/account").status_code == 200
    forget_sessions()
    assert new.get("/account").status_code == 200


def test_an_operator_ends_a_session():
    user, client = resident(), Client()
    sign_in(user.email, client=client)
    row = UserSession.objects.get(user=user)
    data = {"action": "end", "_selected_action": [row.pk]}
    staff.signed_in().post("/admin/usersessions/usersession/", data)
    assert client.get("/account").status_code == 302


def test_a_session_of_staff_ends_when_idle_and_lives_on_while_used():
    user, client = resident(is_staff=True), Client()
    sign_in(user.email, client=client)
    assert client.session.get_expiry_age() == settings.STAFF_IDLE_S == 1_800
    session = client.session
    session[idle.SEEN] -= 120
    session.save()
    client.get("/account")
    assert client.session[idle.SEEN] >= time.time() - 5
    assert int(client.cookies[settings.SESSION_COOKIE_NAME]["max-age"]) == 1_800
    with override_settings(STAFF_IDLE_S=1):
        session = client.session
        session[idle.SEEN] = 0
        session.save()
        client.get("/account")
        time.sleep(1.1)
        assert client.get("/account").status_code == 302


def test_customers_stay_signed_in():
    user, client = resident(), Client()
    sign_in(user.email, client=client)
    client.get("/account")
    assert client.session.get_expiry_age() == settings.SESSION_COOKIE_AGE


# -------------------------------------------------------------------------------------------------- rate limits


def test_the_eleventh_wrong_password_of_a_minute_is_not_looked_at():
    user = resident()
    for _ in range(10):
        assert "do not fit together" in sign_in(user.email, "wrong").content.decode()
    for password in ("wrong", PASSWORD):
        refused = sign_in(user.email, password)
        assert refused.status_code in (200, 429)
        assert "Too many wrong tries" in refused.content.decode()
    client = Client()
    assert sign_in(user.email, client=client, address="198.51.100.7").status_code == 302
    assert client.get("/account").status_code == 200


def test_many_addresses_cannot_lock_somebody_out():
    user = resident()
    for last in range(60):
        sign_in(user.email, "wrong", address=f"203.0.113.{last}")
    assert sign_in(user.email).status_code == 302


def test_a_flood_gets_429_and_a_page_of_ours():
    for _ in range(20):
        Client().post("/accounts/password/reset/", {"email": f"{factories.unique('x')}@example.org"})
    refused = Client().post("/accounts/password/reset/", {"email": "y@example.org"})
    assert refused.status_code == 429
    assert "Too many tries" in refused.content.decode()
    assert "NeuralGate</title>" in refused.content.decode()


# -------------------------------------------------------------------------------------------------- enumeration


def asked_to_sign_in(email: str):
    return sign_in(email, "a wrong but long password")


def asked_for_a_code(email: str):
    return Client().post("/accounts/login/code/", {"email": email}, follow=True)


def asked_to_reset(email: str):
    return Client().post("/accounts/password/reset/", {"email": email}, follow=True)


def asked_to_sign_up(email: str):
    return Client().post("/accounts/signup/", {"email": email, "password1": PASSWORD}, follow=True)


@pytest.mark.parametrize("ask", [asked_to_sign_in, asked_for_a_code, asked_to_reset, asked_to_sign_up])
def test_a_known_address_cannot_be_told_from_an_unknown_one(ask: Callable[[str], object]):
    dear = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    with override_settings(
        ACCOUNT_EMAIL_VERIFICATION="mandatory", PASSWORD_HASHERS=dear
    ):  # as with a mail server
        answers: dict[bool, list[object]] = {True: [], False: []}
        times: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(ROUNDS):
            for known in (True, False):
                email = resident().email if known else f"{factories.unique('dora')}@example.org"
                cache.clear()
                started = time.process_time()  # the hash is ours; what else the machine does is not
                answer = ask(email)
                times[known].append(time.process_time() - started)
                answers[known].append(_seen(answer, email))
    assert answers[True] == answers[False]
    quick, slow = sorted(min(times[known]) for known in (True, False))
    assert slow < 2 * quick + 0.02, {known: statistics.median(found) for known, found in times.items()}


def test_a_code_for_signing_in_that_is_used_up_is_said_to_be_whoever_asked_for_it():
    pages = []
    with override_settings(ACCOUNT_EMAIL_VERIFICATION="mandatory"):
        for email in (resident().email, f"{factories.unique('dora')}@example.org"):
            client = Client()
            client.post("/accounts/login/code/", {"email": email})
            for _ in range(3):
                answer = client.post("/accounts/login/code/confirm/", {"code": "000000"}, follow=True)
            pages.append(_seen(answer, email))
    assert "This code no longer works" in str(pages[0])
    assert "Send me a code" in str(pages[0])
    assert pages[0] == pages[1]


def test_a_code_for_signing_in_that_is_too_old_is_said_to_be():
    client = Client()
    client.post("/accounts/login/code/", {"email": resident().email})
    with override_settings(ACCOUNT_LOGIN_BY_CODE_TIMEOUT=-1):
        late = client.post("/accounts/login/code/confirm/", {"code": "000000"}, follow=True)
    assert "This code no longer works" in late.content.decode()


def _seen(answer, email: str) -> tuple[object, ...]:
    """All that a browser is told, less what differs each time."""
    page = TOKEN.sub("", answer.content.decode()).replace(email, "…")
    chain = [step for step, _ in getattr(answer, "redirect_chain", [])]
    return answer.status_code, chain, page, sorted(answer.cookies)


# ------------------------------------------------------------------------------------------------------- cookies


def test_under_https_both_cookies_belong_to_this_host_only():
    names = "print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.CSRF_COOKIE_SECURE)"
    found = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", f"from django.conf import settings; {names}"],
        env={**os.environ, "PUBLIC_URL": "https://example.org"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == ["__Host-session", "__Host-csrf", "True"]
