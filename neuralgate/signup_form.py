"""allauth's sign-up form, which takes as long for an address that is taken as for a new one."""

from typing import Any

from allauth.account import forms
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from neuralgate.sign_in_forms import InOurWords


class SignupForm(InOurWords, forms.SignupForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].label = "Password"  # there is no older one

    def try_save(self, request: HttpRequest) -> Any:
        """Hashing takes most of the time; without it the answer's haste would tell that the address is known."""
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)
