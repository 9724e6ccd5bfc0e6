"""What happens when somebody signs up, and how wrong passwords are counted."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts.models import User
from billing import ledger


class AccountAdapter(DefaultAccountAdapter):
    """allauth's sign-up, plus the customer, its ledger account and the welcome credit; refusals in our words."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "account_inactive": "This account is switched off.",
        "address_refused": "This address cannot be added here. Choose another one, or ask the operator.",
        "cannot_remove_primary_email": "This is your main address. Make another one the main one first.",
        "duplicate_email": "This address is yours already.",
        "email_password_mismatch": "E-mail and password do not fit together.",
        "email_taken": "There is an account with this address already.",
        "enter_current_password": "That is not your current password.",
        "incorrect_code": "That is not the code. Look at the newest mail.",
        "incorrect_password": "That is not your password.",
        "max_email_addresses": "An account has %d addresses at most. Remove one first.",
        "rate_limited": "Too many tries. Wait a few minutes.",
        "too_many_login_attempts": "Too many wrong tries. Wait a few minutes.",
        "unverified_primary_email": "Confirm this address first; then it can be the main one.",
    }

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        user = super().save_user(request, user, form, commit=commit)
        if commit:
            ledger.open_customer(user=user)
        return user

    def can_delete_email(self, email_address: EmailAddress) -> bool:
        """Not the one in the user's own row either: another would have to take its place there."""
        is_users = email_address.user.email == email_address.email
        return not is_users and bool(super().can_delete_email(email_address))

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """A first address becomes the main one, which fails when it is another account's."""
        try:
            with transaction.atomic():
                return bool(super().confirm_email(request, email_address))
        except IntegrityError:
            told = {"email": email_address.email}
            self.add_message(request, messages.ERROR, "account/messages/email_confirmation_failed.txt", told)
            return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Wrong passwords for a login are counted for each address of the network apart."""
        return (
            f"{self.get_client_ip(request)}:{super()._get_login_attempts_cache_key(request, **credentials)}"
        )


@transaction.atomic
def whose(email: str) -> User:
    """The user of an address whose mail was just read; a new one, with the welcome credit, if there is none.

    An address that somebody entered without proving it is not theirs: a password from before the proof is dropped,
    and a second address of another account, unproven, counts for nothing. Without a mail server nothing is proven.
    """
    email, proven = email.lower(), bool(settings.EMAIL_HOST)
    owned = EmailAddress.objects.filter(email=email, verified=True).select_related("user").first()
    if owned is not None:
        return owned.user
    user, is_new = User.objects.get_or_create(email=email)
    if is_new or proven:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    EmailAddress.objects.update_or_create(
        user=user, email=email, defaults={"verified": proven, "primary": True}
    )
    if is_new:
        ledger.open_customer(user=user)
    return user
