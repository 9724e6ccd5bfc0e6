"""A customer's requests: the log with its filters, the receipt of each, the log as CSV."""

import datetime as dt

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import Customer
from billing.visitors import customers_only
from neuralgate import disputing
from neuralgate.forms import DisputeForm, RequestsForm
from routing import booking, explanations, export, history, log_csv, periods, receipts
from routing.receipts import Receipt

CSV_DAYS = 30  # when no days are chosen


@customers_only
def log(request: HttpRequest, customer: Customer) -> HttpResponse:
    """One page of the log; an id that belongs to the customer leads to its receipt."""
    form = RequestsForm(request.GET, keys=customer.api_keys.order_by("is_playground", "-pk"))
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
        "csv_days": None if asked.keys() & {"since", "until"} else CSV_DAYS,
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
    """What the filters of the log keep; its page says what is wrong with them."""
    form = RequestsForm(request.GET, keys=customer.api_keys.all())
    if not form.is_valid():
        return redirect(f"{reverse('requests')}?{request.GET.urlencode()}")
    wanted, one = form.wanted(), form.cleaned_data["id"]
    lines = log_csv.lines(customer.pk, _period(wanted, is_of_one=one is not None), wanted, one=one)
    return StreamingHttpResponse(lines, headers=export.HEADERS)


def _period(wanted: history.Filter, *, is_of_one: bool) -> export.Period:
    """The chosen days; without any the last CSV_DAYS, but all of them for a single request."""
    latest = export.period(CSV_DAYS)
    if not (wanted.since or wanted.until or is_of_one):
        return latest
    until = min(wanted.until or latest.until, latest.until)
    first = history.Filter.of_days(history.FIRST_DAY, None).since if is_of_one else None
    first = first or min(periods.since(latest.until, periods.DAYS_MAX), until - dt.timedelta(days=1))
    return export.Period(wanted.since or first, until)
