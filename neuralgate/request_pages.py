"""A customer's requests: the log with its filters, the receipt of each, the log as CSV."""

import datetime as dt

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import urlencode

from accounts.models import Customer
from billing.visitors import customers_only
from neuralgate import disputing
from neuralgate.forms import DisputeForm, RequestsForm
from routing import booking, explanations, export, history, periods, receipts
from routing.receipts import Receipt

CSV_DAYS = 30  # when no days are chosen


@customers_only
def log(request: HttpRequest, customer: Customer) -> HttpResponse:
    """One page of the log; an id that belongs to the customer leads to its receipt."""
    form = RequestsForm(request.GET, keys=customer.api_keys.order_by("-pk"))
    wanted = form.wanted() if form.is_valid() else history.Filter()
    if form.is_valid() and (one := form.cleaned_data["id"]):
        if receipts.of(customer, one):
            return redirect("receipt", one)
        form.add_error("id", "None of your requests has this id.")
    asked = {name: str(value) for name, value in request.GET.items() if value and name in form.fields}
    context = {
        "form": form,
        "page": history.page(customer, wanted, before=receipts.parse(request.GET.get("before", ""))),
        "is_filtered": bool(asked),
        "is_first": "before" not in request.GET,
        "query": urlencode(asked),
    }
    return render(request, "pages/requests.html", context)


@customers_only
def receipt(request: HttpRequest, customer: Customer, request_id: str) -> HttpResponse:
    wanted = receipts.parse(request_id)
    found = receipts.of(customer, wanted) if wanted else None
    if found is None:
        raise Http404
    return show(request, customer, found, DisputeForm())


def show(request: HttpRequest, customer: Customer, found: Receipt, form: DisputeForm) -> HttpResponse:
    """The page of a receipt; form: what was written to dispute it."""
    dispute = customer.disputes.filter(charge=found.id).first()
    context = {
        "receipt": found,
        "sides": [("Input", found.input), ("Output", found.output)],
        "why": explanations.in_words(found.explanation, found.server_id) if found.explanation else None,
        "explained_one_in": booking.EXPLAINED_ONE_IN,
        "dispute": dispute,
        "dispute_until": None if dispute else disputing.until(found),
        "form": form,
    }
    return render(request, "pages/receipt.html", context)


@customers_only
def csv(request: HttpRequest, customer: Customer) -> HttpResponseBase:
    """What /v1/usage/export gives, of the days that are chosen in the log."""
    form = RequestsForm(request.GET, keys=customer.api_keys.all())
    wanted = form.wanted() if form.is_valid() else history.Filter()
    period = export.period(CSV_DAYS)
    if wanted.since or wanted.until:
        first = periods.since(period.until, periods.DAYS_MAX)
        until = min(wanted.until or period.until, period.until)
        period = export.Period(wanted.since or min(first, until - dt.timedelta(days=1)), until)
    return StreamingHttpResponse(export.lines(customer.pk, period), headers=export.HEADERS)
