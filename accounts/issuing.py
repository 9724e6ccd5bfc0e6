"""API keys come and go: issue one, which is shown once, and revoke it from the next request on."""

import datetime as dt
from collections.abc import Sequence

from django.db.models.functions import Now

from accounts import keys
from accounts.models import ApiKey, Customer

KEYS_MAX = 100  # of one customer that are not revoked


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
) -> tuple[str, ApiKey]:
    """A new key: the string, to be shown this once, and its row, which has only the digest.

    spend_limit_nanos: nanodollars per spend_period. allowed_models: all of them when empty.
    Raises KeyRefused beyond KEYS_MAX keys in use. (Two calls at once may pass together: it guards against
    scripts that run wild, not against one key too many.)
    """
    if customer.api_keys.filter(revoked_at=None).count() >= KEYS_MAX:
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
    )
    return key, row


def revoke(key: ApiKey) -> bool:
    """From the next request on the key is refused, for good; False when it was revoked before."""
    return ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now()) == 1
