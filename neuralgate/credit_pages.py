"""Buying credit: the amounts, the automatic top-up, what was bought."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.models import Customer
from billing import balances, recharges, stripe_client, topups
from billing.models import Recharge
from billing.topups import TopUpRefused
from billing.visitors import customers_only
from neuralgate import charts
from neuralgate.money_forms import BuyForm, RechargeForm

SHOWN_MAX = 50
AMOUNTS_USD = (10, 25, 50, 100)
BUY_IDS = "buy_%s"  # the other form of the page has an amount too


@customers_only
def credit(request: HttpRequest, customer: Customer) -> HttpResponse:
    """The amounts; with a POST, the way to Stripe's page."""
    form = BuyForm(request.POST if request.method == "POST" else None, auto_id=BUY_IDS)
    if request.method == "POST" and form.is_valid():
        try:
            _, url = topups.begin(customer=customer, **form.cleaned_data)
        except TopUpRefused as refusal:
            form.add_error("amount_nanos", str(refusal))
        else:
            return render(request, "pages/leave.html", {"url": url})
    return _page(request, customer, buy=form)


@customers_only
def automatic(request: HttpRequest, customer: Customer) -> HttpResponse:
    """Switch the automatic top-up on or off, and set its limits."""
    if request.method != "POST":
        return redirect("credit")
    form = RechargeForm(request.POST)
    if form.is_valid():
        try:
            recharges.wish(customer=customer, **form.cleaned_data)
        except TopUpRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "Your automatic top-up is set.")
            return redirect("credit")
    return _page(request, customer, automatic_form=form)


@customers_only
def topup(request: HttpRequest, customer: Customer, topup_id: uuid.UUID) -> HttpResponse:
    """Where Stripe's page leads back to: waits for the booking, which an event brings within seconds."""
    found = get_object_or_404(customer.topups, pk=topup_id)
    part = request.headers.get("HX-Request") == "true"
    template = "accounts/_topup.html" if part else "accounts/topup.html"
    return render(request, template, {"topup": found, "balance": balances.of(customer)})


def _page(
    request: HttpRequest,
    customer: Customer,
    *,
    buy: BuyForm | None = None,
    automatic_form: RechargeForm | None = None,
) -> HttpResponse:
    recharge = Recharge.objects.filter(customer=customer).first()
    wished = {name: getattr(recharge, name) for name in RechargeForm.base_fields} if recharge else None
    balance = balances.of(customer)
    context = {
        "customer": customer,
        "balance": balance,
        "parts": charts.of_balance(balance),
        "open": stripe_client.configured(),
        "operators": [address for _, address in settings.ADMINS],
        "amounts": AMOUNTS_USD,
        "low_nanos": settings.TOPUP_MIN_NANOS,
        "high_nanos": settings.TOPUP_MAX_NANOS,
        "buy": buy or BuyForm(auto_id=BUY_IDS),
        "automatic": automatic_form or RechargeForm(initial=wished),
        "recharge": recharge,
        "topups": customer.topups.order_by("-created_at")[:SHOWN_MAX],
    }
    return render(request, "accounts/credit.html", context)
