"""Making and revoking API keys."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts import issuing
from accounts.issuing import KeyRefused
from accounts.models import Customer
from billing.visitors import customers_only
from neuralgate.forms import KeyForm


@customers_only
def new(request: HttpRequest, customer: Customer) -> HttpResponse:
    """The form, and once: the key."""
    form = KeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            key, row = issuing.issue(customer=customer, **form.cleaned_data)
        except KeyRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            context = {"key": key, "row": row, "public_url": settings.PUBLIC_URL}
            return render(request, "accounts/key_made.html", context)
    return render(request, "accounts/key_new.html", {"form": form})


@customers_only
def revoke(request: HttpRequest, customer: Customer, key_id: int) -> HttpResponse:
    """Ask first; there is no way back."""
    key = get_object_or_404(customer.api_keys.filter(revoked_at=None), pk=key_id)
    if request.method == "POST":
        issuing.revoke(key)
        messages.success(request, f"The key “{key.name}” is revoked.")
        return redirect("account")
    return render(request, "accounts/key_revoke.html", {"key": key})
