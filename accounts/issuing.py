"""API keys come and go: issue one, which is shown once; amend, rotate or revoke it from the next request on."""

import datetime as dt
from collections.abc import Sequence

from django.db import transaction
from django.db.models import ExpressionWrapper, F, Q, QuerySet
from django.db.models.fields import DateTimeField
from django.db.models.functions import Least, Now

from accounts import keys
from accounts.models import ApiKey, Customer, ReplacedKey

KEYS_MAX = 100  # of one customer that are in use
PLAYGROUND_S = 900
GRACES = (dt.timedelta(0), dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=7))


class KeyRefused(Exception):
    """No further key is made; the words say why and what to do."""


def issue(
    *,
    customer: Customer,
    name: str,
    expires_at: dt.datetime | None = None,
    spend_limit_nanos: int | None = None,
    spend_period: str = ApiKey.SpendPeriod.MONTH,
    allowed_models: Sequence[str] = (),
    is_playground: bool = False,
) -> tuple[str, ApiKey]:
    """A new key: the string, to be shown this once, and its row, which has only the digest.

    spend_limit_nanos: nanodollars per spend_period. allowed_models: all of them when empty.
    Raises KeyRefused beyond KEYS_MAX keys in use. (Two calls at once may pass together: it guards against
    scripts that run wild, not against one key too many.)
    """
    if in_use(customer).count() >= KEYS_MAX:
        raise KeyRefused(f"There are {KEYS_MAX} keys in use already. Revoke one that you do not need.")
    key = keys.make()
    row = ApiKey.objects.create(
        customer=customer,
        name=name,
        digest=keys.digest(key),
        visible_part=keys.visible_part(key),
        expires_at=expires_at,
        spend_limit_nanos=spend_limit_nanos,
        spend_period=spend_period,
        allowed_models=list(allowed_models),
        is_playground=is_playground,
    )
    return key, row


def issue_for_playground(customer: Customer) -> tuple[str, ApiKey]:
    """A key of PLAYGROUND_S seconds for the customer's own browser; the balance is its limit. Raises KeyRefused."""
    expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=PLAYGROUND_S)
    return issue(customer=customer, name="Playground", expires_at=expires_at, is_playground=True)


def in_use(customer: Customer) -> QuerySet[ApiKey]:
    """The customer's keys that are neither revoked nor expired."""
    return customer.api_keys.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)


def amend(
    key: ApiKey,
    *,
    name: str,
    expires_at: dt.datetime | None,
    spend_limit_nanos: int | None,
    spend_period: str,
    allowed_models: Sequence[str],
) -> None:
    """What the key is called and may do from the next request on, in every process: none of them remembers keys.

    Units are those of `issue`. Of the running period the limit counts what was booked under a limit of the same
    period; under another one, or without a limit, nothing was counted. Raises KeyRefused when it was revoked meanwhile.
    """
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(
        name=name,
        expires_at=expires_at,
        spend_limit_nanos=spend_limit_nanos,
        spend_period=spend_period,
        allowed_models=list(allowed_models),
    )
    if not changed:
        raise KeyRefused("This key was revoked meanwhile. Look at your list of keys.")


def rotate(key: ApiKey, *, grace: dt.timedelta) -> str:
    """A new string for the key, to be shown this once; the old one goes on working for the grace period.

    It stays the same key: both strings share its limits, so that nothing can be spent twice, and it is revoked with
    both. Its expiry ends both. Raises KeyRefused when the key was revoked, or rotated by somebody else, meanwhile.
    """
    string = keys.make()
    old = bytes(key.digest), key.visible_part
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=key.pk, digest=old[0], revoked_at=None).update(
            digest=keys.digest(string), visible_part=keys.visible_part(string)
        )
        if not changed:
            raise KeyRefused("This key was revoked or rotated meanwhile. Look at your list of keys.")
        if grace:
            until = ExpressionWrapper(Now() + grace, output_field=DateTimeField())
            row = ReplacedKey.objects.create(digest=old[0], key=key, visible_part=old[1], works_until=until)
            if key.expires_at:
                ReplacedKey.objects.filter(pk=row.pk).update(
                    works_until=Least(F("works_until"), key.expires_at)
                )
    return string


def end_grace(key: ApiKey) -> int:
    """Strings that the key had before are refused from the next request on; how many still worked."""
    return key.replaced.filter(works_until__gt=Now()).update(works_until=Now())


def revoke(key: ApiKey) -> bool:
    """From the next request on the key is refused, for good; False when it was revoked before."""
    return ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now()) == 1
