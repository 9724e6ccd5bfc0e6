"""Staff of tests, signed in as the admin asks for it: with a second factor."""

import time

from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.test import Client, RequestFactory

from accounts.models import User
from neuralgate import idle
from tests import factories

PERIOD_S = 30
LEFT_S_MIN = 4
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def member(password: str = "correct horse", *, factor: bool = True) -> User:
    """A superuser, with an authenticator whose secret is SECRET unless said otherwise."""
    user = User.objects.create_superuser(f"{factories.unique('admin')}@example.org", password)
    if factor:
        TOTP.activate(user, SECRET)
    return user


def signed_in(user: User | None = None) -> Client:
    """A client in a session that passed the second factor."""
    user = user or member()
    client = Client()
    client.force_login(user)
    request = RequestFactory().get("/")
    request.session = session = client.session
    record_authentication(request, user, method="mfa", type="totp")
    session[idle.SEEN] = int(time.time())  # as if the session had been written by an earlier request
    session.save()
    return client


def code(secret: str = SECRET) -> str:
    """What an authenticator app shows now, for some seconds yet."""
    left_s = PERIOD_S - time.time() % PERIOD_S
    if left_s < LEFT_S_MIN:
        time.sleep(left_s)
    return format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD_S))
