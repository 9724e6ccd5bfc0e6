"""Staff need a second factor: whether this session passed one, and the way to it for those who did not."""

from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.totp.views import ActivateTOTPView
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import User
from accounts.sealing import fernet

SEALED = "gAAAA"  # how everything that Fernet encrypts begins
FACTOR = "mfa"  # allauth's name for it in a session's records


def is_passed(request: HttpRequest) -> bool:
    """Whether a second factor was given in this session, and the user still has one; looked up once a request."""
    passed: bool | None = getattr(request, "has_second_factor", None)
    if passed is None:
        passed = _look_up(request)
        request.has_second_factor = passed  # type: ignore[attr-defined]  # ours
    return passed


def _look_up(request: HttpRequest) -> bool:
    user = request.user
    if not isinstance(user, User):
        return False
    given = any(record["method"] == FACTOR for record in get_authentication_records(request, user))
    return given and is_mfa_enabled(user)


def way_in(request: HttpRequest) -> HttpResponse:
    """To the page that asks for what is missing: sign in, set a second factor up, give its code; or back."""
    user = request.user
    if not isinstance(user, User):
        return _to("account_login", request)
    if is_passed(request):
        return redirect(_back(request))
    if is_mfa_enabled(user):
        return _to("mfa_reauthenticate", request)
    messages.info(request, "The admin opens with a second factor only. Set one up here; it takes a minute.")
    return redirect("mfa_activate_totp")


class Adapter(DefaultMFAAdapter):
    """Secrets are sealed in the database; those of before that are read as they are. Refusals are in our words."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "add_email_blocked": "With a second factor on, no address can be added. Turn it off first.",
        "cannot_delete_authenticator": "This second factor cannot be turned off.",
        "cannot_generate_recovery_codes": "Recovery codes need a second factor. Set one up first.",
        "incorrect_code": "That is not the code. An app shows another one every 30 seconds.",
        "unverified_email": "Confirm your e-mail first; then you can set a second factor up.",
    }

    def encrypt(self, text: str) -> str:
        return fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        if not encrypted_text.startswith(SEALED):
            return encrypted_text
        return fernet().decrypt(encrypted_text).decode()


class Activate(ActivateTOTPView):
    """allauth's page; the code that proves the new factor counts for this session, so it is asked for once."""

    def form_valid(self, form: object) -> HttpResponse:
        answer: HttpResponse = super().form_valid(form)
        record_authentication(self.request, self.request.user, method=FACTOR, type="totp")
        return answer


def _to(name: str, request: HttpRequest) -> HttpResponse:
    return redirect(f"{reverse(name)}?{urlencode({'next': _back(request)})}")


def _back(request: HttpRequest) -> str:
    """The page that was asked for, when it is one of ours."""
    wanted = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours and not wanted.startswith(reverse("admin:login")) else reverse("admin:index")
