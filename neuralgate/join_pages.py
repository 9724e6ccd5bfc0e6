"""/join: an e-mail address, then its code or its link. No password; who is new has an account afterwards.

Beside it allauth's page for the code of somebody who has an account, with our words when it is over.
"""

from typing import Any

from allauth.account.utils import perform_login
from allauth.account.views import ConfirmLoginCodeView
from allauth.core import ratelimit
from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache

from accounts import emails, wording
from neuralgate import joining, signup

TICKET, NEXT, EMAIL = "join_ticket", "join_next", "join_email"
CODE_OVER = (
    "This code no longer works: a code ends after a few wrong tries, after some minutes, or once it was used."
    " Ask for a new one."
)


class EmailForm(wording.Form):
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "email"}))


class CodeForm(wording.Form):
    code = forms.CharField(
        label="Code",
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}),
    )


@never_cache
def join(request: HttpRequest) -> HttpResponse:
    """Ask for the address."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    given = request.POST if request.method == "POST" else None
    form = EmailForm(given, initial={"email": request.session.get(EMAIL, "")})
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"].lower()
        if limited := ratelimit.consume_or_429(request, action="request_login_code", key=email):
            return limited
        try:
            request.session[TICKET] = joining.begin(email)
            request.session[EMAIL] = email
            request.session[NEXT] = _inside(request, request.POST.get("next", ""))
            return redirect("join_code")
        except emails.NotSent:
            form.add_error(
                None, "The mail could not be sent. Try again in a minute, or join with a password."
            )
    next_path = _inside(request, request.GET.get("next", request.POST.get("next", "")))
    context = {"form": form, "next": next_path}
    return render(request, "accounts/join.html", context | {"welcome_nanos": settings.WELCOME_CREDIT_NANOS})


@never_cache
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code that was sent."""
    asked = joining.asked_with(request.session.get(TICKET, ""))
    if asked is None:
        return _begin_again(request)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if email := joining.redeem_code(request.session[TICKET], form.cleaned_data["code"]):
            return _enter(request, email)
        if joining.asked_with(request.session[TICKET]) is None:
            return _begin_again(request)
        form.add_error("code", "That is not the code. Look at the newest mail.")
    context = {"form": form, "email": asked.email}
    return render(request, "accounts/join_code.html", context)


@never_cache
def link(request: HttpRequest, ticket: str) -> HttpResponse:
    """The mail's link: asks for a press of a button, because mail scanners open links, too."""
    asked = joining.asked_by(ticket)
    if request.method == "POST" and (email := joining.redeem_link(ticket)):
        return _enter(request, email)
    status = 200 if asked else 404
    return render(request, "accounts/join_link.html", {"email": asked and asked.email}, status=status)


def _begin_again(request: HttpRequest) -> HttpResponse:
    """To the page that sends codes; it knows the address, and tells whoever had a code, once, why it is over."""
    if request.session.pop(TICKET, None):
        messages.error(request, CODE_OVER)
    goal = request.session.get(NEXT, "")
    return redirect(f"{reverse('join')}?{urlencode({'next': goal})}" if goal else "join")


def _enter(request: HttpRequest, email: str) -> HttpResponse:
    """Sign in; allauth asks for a second factor, if there is one."""
    goal = request.session.pop(NEXT, "") or settings.LOGIN_REDIRECT_URL
    for name in (TICKET, EMAIL):
        request.session.pop(name, None)
    response: HttpResponse = perform_login(request, signup.whose(email), email=email, redirect_url=goal)
    return response


def _inside(request: HttpRequest, path: str) -> str:
    """The path, if it is one of ours."""
    return path if url_has_allowed_host_and_scheme(path, allowed_hosts=None) else ""


class ConfirmCode(ConfirmLoginCodeView):
    """allauth's page; says that a code is over, whether or not the address has an account."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().dispatch(request, *args, **kwargs)
        if getattr(self, "_process", True) is None:  # too old
            messages.error(request, CODE_OVER)
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        if self._process.record_invalid_attempt():
            answer: HttpResponse = self.render_to_response(self.get_context_data(form=form))
            return answer
        messages.error(self.request, CODE_OVER)
        return redirect("account_request_login_code")
