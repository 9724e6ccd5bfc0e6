"""/account: the balance and its parts, the keys, limits in use, and use over time."""

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Prefetch, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import ApiKey, Customer, ReplacedKey
from billing import balances, spending
from billing.spending import Spent
from billing.visitors import customers_only
from neuralgate import charts, usage_charts
from routing import usage

REVOKED_SHOWN_MAX = 10


@customers_only
def overview(request: HttpRequest, customer: Customer) -> HttpResponse:
    balance = balances.of(customer)
    keys = _keys(customer)
    asked = request.GET
    context = {
        "customer": customer,
        "balance": balance,
        "parts": charts.of_balance(balance),
        "standing": usage.standing(customer.pk),
        "use": usage_charts.of(customer, interval=asked.get("interval", ""), by=asked.get("by", "")),
        "intervals": usage_charts.INTERVALS,
        "groupings": usage_charts.GROUPINGS,
        "keys": [(key, spent) for key, spent in keys if not key.is_playground],
        "playground_keys": [key for key, _ in keys if key.is_playground],
        "revoked": customer.api_keys.exclude(revoked_at=None)
        .exclude(is_playground=True)
        .order_by("-revoked_at")[:REVOKED_SHOWN_MAX],
        "public_url": settings.PUBLIC_URL,
    }
    return render(request, "pages/account.html", context)


def _keys(customer: Customer) -> list[tuple[ApiKey, Spent]]:
    """Keys that are not revoked, the newest first, with what they spent of their limit and strings they had before.

    The playground's are shown as long as they live.
    """
    old = ReplacedKey.objects.filter(works_until__gt=Now()).order_by("works_until")
    listed = (
        customer.api_keys.filter(revoked_at=None)
        .exclude(is_playground=True, expires_at__lte=Now())
        .annotate(is_expired=ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField()))
        .prefetch_related(Prefetch("replaced", old, to_attr="still_working"))
        .order_by("-pk")
    )
    spent = spending.by_key(customer)
    return [(key, spent.get(key.pk, Spent())) for key in listed]
