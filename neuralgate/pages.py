"""The hosters' portal: what they earn, how they stand, what to do next."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import Customer
from billing.visitors import customers_only
from hosting.models import PRICE_MAX
from neuralgate import earning_charts
from neuralgate import portal as portals


@customers_only
def portal(request: HttpRequest, customer: Customer) -> HttpResponse:
    """Earnings and servers; for who hosts nothing yet, the way there."""
    found = portals.of(customer, days=request.GET.get("days", ""))
    if found is None:
        return render(request, "pages/portal_empty.html")
    context = {
        "portal": found,
        "hoster": found.hoster,
        "periods": earning_charts.PERIODS,
        "price_delay_s": settings.PRICE_DELAY_S,
        "price_max": PRICE_MAX,
        "fee_bps": settings.PLATFORM_FEE_BPS,
    }
    return render(request, "pages/portal.html", context)
