"""The few pages that show several apps at once: /account, /hosters/portal."""

import datetime as dt

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import Customer
from accounts.templatetags.figures import count
from billing import balances, money
from billing.visitors import customers_only
from hosting import standing
from hosting.models import Hoster
from neuralgate import charts
from routing import earnings, history, losses, usage
from routing.usage import PeriodSums

DAYS = 30
REVOKED_SHOWN_MAX = 10


@customers_only
def account(request: HttpRequest, customer: Customer) -> HttpResponse:
    """Balance, limits, 30 days of use, and the keys."""
    by_model, daily = usage.breakdown(customer.pk, days=DAYS)
    context = {
        "customer": customer,
        "balance": balances.of(customer),
        "standing": usage.standing(customer.pk),
        "totals": usage.add(daily),
        "charts": [_requests(daily), _money("Spend", [(day.date, day.gross_nanos) for day in daily])],
        "daily": daily,
        "by_model": by_model,
        "keys": customer.api_keys.filter(revoked_at=None).order_by("-pk"),
        "revoked": customer.api_keys.exclude(revoked_at=None).order_by("-revoked_at")[:REVOKED_SHOWN_MAX],
        "public_url": settings.PUBLIC_URL,
    }
    return render(request, "pages/account.html", context)


@customers_only
def requests(request: HttpRequest, customer: Customer) -> HttpResponse:
    return render(request, "pages/requests.html", {"requests": history.latest(customer)})


@customers_only
def portal(request: HttpRequest, customer: Customer) -> HttpResponse:
    """Earnings and servers; for who hosts nothing yet, the way there."""
    hoster = Hoster.objects.filter(customer=customer).first()
    if hoster is None:
        return render(request, "pages/portal_empty.html")
    statement = earnings.statement(customer.pk, days=DAYS)
    context = {
        "hoster": hoster,
        "standing": standing.of_hoster(hoster),
        "trust_parts": standing.trust_parts(hoster),
        "statement": statement,
        "balance": balances.of(customer),
        "charts": [
            _money("Earned", [(day.date, day.net_nanos) for day in statement.daily]),
            _requests(statement.daily),
        ],
        "servers": standing.of_servers(hoster),
        "actions": standing.actions(hoster),
        "losses": losses.of_hoster(hoster),
    }
    return render(request, "pages/portal.html", context)


def _requests(daily: list[PeriodSums]) -> charts.Chart:
    return charts.daily("Requests", [(day.date, day.requests) for day in daily], count)


def _money(title: str, days: list[tuple[dt.date, int]]) -> charts.Chart:
    return charts.daily(title, days, money.text)
