"""Payouts: what can be paid out, asking for it, what became of it, and the hoster's account at Stripe."""

import uuid

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.models import Customer
from billing import balances, money, payouts, stripe_client, stripe_payouts
from billing.models import PayoutDestination
from billing.payouts import PayoutRefused
from billing.stripe_client import PaymentError
from billing.visitors import customers_only
from neuralgate.money_forms import PayoutForm

SHOWN_MAX = 50


@customers_only
def listed(request: HttpRequest, customer: Customer) -> HttpResponse:
    """All payouts, and the form for another one."""
    account = customer.payout_destinations.filter(method=PayoutDestination.Method.STRIPE).first()
    ready = bool(stripe_client.configured() and account and account.ready)
    form = PayoutForm(request.POST if request.method == "POST" else None, by_stripe=ready)
    if request.method == "POST" and form.is_valid():
        try:
            asked = payouts.ask(customer=customer, **form.cleaned_data)
        except PayoutRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(
                request, f"Your payout of {money.text(asked.amount_nanos)}: {asked.get_state_display()}."
            )
            return redirect("payouts")
    context = {
        "form": form,
        "balance": balances.of(customer),
        "minimum_nanos": settings.PAYOUT_MIN_NANOS,
        "payouts": customer.payouts.order_by("-requested_at", "-pk")[:SHOWN_MAX],
        "by_stripe": stripe_client.configured(),
        "account": account,
    }
    return render(request, "hosting/payouts.html", context)


@require_POST
@customers_only
def cancel(request: HttpRequest, customer: Customer, payout_id: uuid.UUID) -> HttpResponse:
    payout = get_object_or_404(customer.payouts, pk=payout_id)
    try:
        payouts.cancel(payout=payout, actor=customer.user)
    except PayoutRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The payout is cancelled; the money is yours again.")
    return redirect("payouts")


@customers_only
def stripe_account(request: HttpRequest, customer: Customer) -> HttpResponse:
    """With a POST the way to Stripe's forms; they lead back here, and Stripe is asked what it thinks now."""
    try:
        if request.method == "POST":
            return render(request, "pages/leave.html", {"url": stripe_payouts.onboarding_url(customer)})
        stripe_payouts.look_again(customer)
    except PaymentError as error:
        messages.error(request, str(error))
    return redirect("payouts")
