"""Making, editing, rotating and revoking API keys."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts import issuing, once
from accounts.issuing import KeyRefused
from accounts.models import ApiKey, Customer
from accounts.once import AlreadySent
from billing import spending
from billing.visitors import customers_only
from neuralgate.forms import EditKeyForm, KeyForm, RotateForm


@customers_only
def new(request: HttpRequest, customer: Customer) -> HttpResponse:
    """The form, and once: the key."""
    form = KeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with once.sending(request):
                key, row = issuing.issue(customer=customer, **form.cleaned_data)
        except AlreadySent:
            messages.info(request, "The key was made already, and it is shown only once.")
            return redirect("account")
        except KeyRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            context = {"key": key, "row": row, "public_url": settings.PUBLIC_URL}
            return render(request, "accounts/key_made.html", context)
    return render(request, "accounts/key_new.html", {"form": form})


@customers_only
def edit(request: HttpRequest, customer: Customer, key_id: int) -> HttpResponse:
    """What a key is called and may do; it acts on the next request."""
    row = _in_use(request, customer, key_id)
    if row is None:
        return redirect("account")
    form = EditKeyForm(request.POST if request.method == "POST" else None, key=row)
    if request.method == "POST" and form.is_valid():
        try:
            issuing.amend(row, **form.cleaned_data)
        except KeyRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(
                request, f"The key “{form.cleaned_data['name']}” is changed, from its next request on."
            )
            return redirect("account")
    spent = spending.by_key(customer).get(row.pk)
    return render(request, "accounts/key_edit.html", {"key": row, "form": form, "spent": spent})


@customers_only
def rotate(request: HttpRequest, customer: Customer, key_id: int) -> HttpResponse:
    """Ask for how long the old string may live, and once: the new one."""
    row = _in_use(request, customer, key_id)
    if row is None:
        return redirect("account")
    form = RotateForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        grace = form.cleaned_data["grace"]
        try:
            with once.sending(request):
                key = issuing.rotate(row, grace=grace)
        except AlreadySent:
            messages.info(request, "The key was rotated already, and the new string is shown only once.")
            return redirect("account")
        except KeyRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            old = row.replaced.order_by("-replaced_at").first() if grace else None
            context = {
                "key": key,
                "row": row,
                "is_rotated": True,
                "old": old,
                "public_url": settings.PUBLIC_URL,
            }
            return render(request, "accounts/key_made.html", context)
    return render(request, "accounts/key_rotate.html", {"key": row, "form": form})


@customers_only
@require_POST
def end_grace(request: HttpRequest, customer: Customer, key_id: int) -> HttpResponse:
    """The old string of a rotated key is not needed any more."""
    key = get_object_or_404(customer.api_keys, pk=key_id)
    if issuing.end_grace(key):
        messages.success(request, f"The old string of “{key.name}” is refused from now on.")
    return redirect("account")


@customers_only
def revoke(request: HttpRequest, customer: Customer, key_id: int) -> HttpResponse:
    """Ask first; there is no way back."""
    key = get_object_or_404(customer.api_keys, pk=key_id)
    if key.revoked_at:
        messages.info(request, f"The key “{key.name}” is revoked already.")
        return redirect("account")
    if request.method == "POST":
        issuing.revoke(key)
        messages.success(request, f"The key “{key.name}” is revoked.")
        return redirect("account")
    return render(request, "accounts/key_revoke.html", {"key": key})


def _in_use(request: HttpRequest, customer: Customer, key_id: int) -> ApiKey | None:
    """A key of the customer's own; None when it is over (since another tab, say), and the next page says so."""
    row = get_object_or_404(customer.api_keys.filter(is_playground=False), pk=key_id)
    if issuing.in_use(customer).filter(pk=key_id).exists():
        return row
    why = "is revoked already" if row.revoked_at else "has expired"
    messages.info(request, f"The key “{row.name}” {why}.")
    return None
