"""The hosters' portal: what they earn, how they stand, what to do next."""

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import Customer
from accounts.templatetags.figures import count
from billing import balances, money
from billing.visitors import customers_only
from hosting import standing
from hosting.models import Hoster
from neuralgate import charts
from routing import earnings, losses
from routing.usage import PeriodSums

DAYS = 30


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
