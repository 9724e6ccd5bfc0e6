"""Monthly statements, to read, to print and as CSV: of customers under /account, of hosters under /hosters."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render

from accounts.models import Customer
from billing.months import Month
from billing.visitors import customers_only
from hosting.models import Hoster
from routing import hoster_statements, statement_csv, statements

PAGE_DIGITS_MAX = 6


@customers_only
def listed(request: HttpRequest, customer: Customer) -> HttpResponse:
    context = {"months": statements.months(customer), "months_max": statements.MONTHS_MAX}
    return render(request, "pages/statements.html", context)


@customers_only
def month(request: HttpRequest, customer: Customer, month: str) -> HttpResponse:
    found = statements.statement(customer, _month(customer, month), page=_page(request))
    return render(request, "pages/statement.html", {"statement": found, **_letterhead(customer)})


@customers_only
def csv(request: HttpRequest, customer: Customer, month: str) -> HttpResponseBase:
    asked = statement_csv.of_customer(customer, _month(customer, month))
    return StreamingHttpResponse(
        statement_csv.lines(asked), headers=statement_csv.headers(f"statement-{month}")
    )


@customers_only
def hoster_listed(request: HttpRequest, customer: Customer) -> HttpResponse:
    hoster = Hoster.objects.select_related("customer").filter(customer=customer).first()
    if hoster is None:
        return redirect("portal")
    context = {"months": hoster_statements.months(hoster), "months_max": statements.MONTHS_MAX}
    return render(request, "hosting/statements.html", context)


@customers_only
def hoster_month(request: HttpRequest, customer: Customer, month: str) -> HttpResponse:
    hoster = get_object_or_404(Hoster.objects.select_related("customer"), customer=customer)
    found = hoster_statements.statement(hoster, _hosters_month(hoster, month), page=_page(request))
    context = {"statement": found, "hoster": hoster, **_letterhead(customer)}
    return render(request, "hosting/statement.html", context)


@customers_only
def hoster_csv(request: HttpRequest, customer: Customer, month: str) -> HttpResponseBase:
    hoster = get_object_or_404(Hoster.objects.select_related("customer"), customer=customer)
    asked = statement_csv.of_hoster(hoster, _hosters_month(hoster, month))
    return StreamingHttpResponse(
        statement_csv.lines(asked), headers=statement_csv.headers(f"earnings-{month}")
    )


def _month(customer: Customer, name: str) -> Month:
    if found := statements.month_named(customer, name):
        return found
    raise Http404


def _hosters_month(hoster: Hoster, name: str) -> Month:
    if found := hoster_statements.month_named(hoster, name):
        return found
    raise Http404


def _letterhead(customer: Customer) -> dict[str, str]:
    """Who says it, of whom."""
    return {"public_url": settings.PUBLIC_URL, "email": customer.user.email}


def _page(request: HttpRequest) -> int:
    """?page=, 1-based; 1 for nonsense."""
    asked = request.GET.get("page", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= PAGE_DIGITS_MAX else 1
