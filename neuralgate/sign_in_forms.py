"""allauth's forms in our words: the labels of every other page of ours, and no placeholder that repeats them."""

from typing import Any

from allauth.account import forms
from allauth.account.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as CodeAgainForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.conf import settings

from accounts import wording
from neuralgate import addresses

LABELS = {
    "login": "E-mail",
    "email": "E-mail",
    "password": "Password",
    "remember": "Stay signed in",
    "oldpassword": "Current password",
    "password1": "New password",
    "password2": "New password, once more",
    "code": "Code",
}
NEW_PASSWORD = (
    f"At least {settings.PASSWORD_CHARS_MIN} characters, not one that many use, and unlike your e-mail."
    " A sentence is easy to remember."
)


class InOurWords(wording.InOurWords):
    """Mixed in before a form of allauth's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.label = LABELS.get(name, field.label)
            field.widget.attrs.pop("placeholder", None)
        if "password1" in self.fields:
            self.fields["password1"].help_text = NEW_PASSWORD


class OfDigits(InOurWords):
    """Codes of an app and recovery codes: a phone shows its digits for them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].widget.attrs["inputmode"] = "numeric"


class Login(InOurWords, forms.LoginForm):
    pass


class AddEmail(InOurWords, forms.AddEmailForm):
    def clean_email(self) -> str:
        """With a mail server anybody's is taken, and only who reads its mail can confirm it: nothing is told.

        Without one an address counts at once, so that another account's has to be refused.
        """
        email: str = super().clean_email()
        if not settings.EMAIL_HOST and addresses.has_another(email, self.user):
            raise get_adapter().validation_error("address_refused")
        return email


class ChangePassword(InOurWords, forms.ChangePasswordForm):
    pass


class SetPassword(InOurWords, forms.SetPasswordForm):
    pass


class ResetPassword(InOurWords, forms.ResetPasswordForm):
    pass


class ResetPasswordKey(InOurWords, forms.ResetPasswordKeyForm):
    pass


class Reauthenticate(InOurWords, forms.ReauthenticateForm):
    pass


class RequestLoginCode(InOurWords, forms.RequestLoginCodeForm):
    pass


class ConfirmLoginCode(InOurWords, forms.ConfirmLoginCodeForm):
    pass


class Authenticate(OfDigits, AuthenticateForm):
    pass


class CodeAgain(OfDigits, CodeAgainForm):
    pass


class ActivateTOTP(OfDigits, ActivateTOTPForm):
    pass
