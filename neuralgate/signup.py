"""What happens when somebody signs up."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from billing import ledger


class AccountAdapter(DefaultAccountAdapter):
    """allauth's sign-up, plus the customer, its ledger account and the welcome credit."""

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        user = super().save_user(request, user, form, commit=commit)
        if commit:
            ledger.open_customer(user=user)
        return user
