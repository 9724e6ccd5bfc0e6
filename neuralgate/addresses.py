"""Whose an e-mail address is, and which one of an account is the main one.

With a mail server an address is of who confirmed it. Without one nothing is proven: who has it first, has it.
"""

from allauth.account.internal.userkit import filter_users_by_email
from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User


class AddressRefused(Exception):
    """Names the message of allauth's that says why."""


def has_another(email: str, user: User) -> bool:
    """Whether another account has this address, confirmed or not, as its main one or beside it."""
    return any(other.pk != user.pk for other in filter_users_by_email(email))


def make_main(address: EmailAddress, user: User) -> EmailAddress | None:
    """Make the user's address the main one; the former. Raises AddressRefused, and nothing is changed then."""
    if settings.EMAIL_HOST and not address.verified:
        raise AddressRefused("unverified_primary_email")
    if not settings.EMAIL_HOST and has_another(address.email, user):
        raise AddressRefused("primary_email_refused")
    former = EmailAddress.objects.filter(user=user, primary=True).first()
    try:
        with transaction.atomic():  # three rows: the former, the new one, the user's
            address.set_as_primary()
    except IntegrityError:  # another account's main one, not confirmed there or taken at the same moment
        raise AddressRefused("primary_email_refused") from None
    return former
