"""What happens when somebody signs up, and how wrong passwords are counted."""

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

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Wrong passwords for a login are counted for each address of the network apart."""
        return (
            f"{self.get_client_ip(request)}:{super()._get_login_attempts_cache_key(request, **credentials)}"
        )
