"""The admin's action that credits an account, after it has asked for the amount, the kind and the reason."""

import uuid

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts.models import User
from billing import crediting, money
from billing.crediting import CreditRefused
from billing.models import LedgerAccount
from billing.stating import TEXT_CHARS_MAX

USD_MAX = 1_000_000


class CreditForm(forms.Form):
    amount_usd = forms.DecimalField(
        label="Amount in USD", min_value=0.01, max_value=USD_MAX, decimal_places=2
    )
    kind = forms.ChoiceField(
        choices=[("promotional", "a gift: promotional credit"), ("paid", "paid for outside: bought credit")],
        help_text="What a hoster earns from promotional credit is never paid out.",
    )
    reason = forms.CharField(
        max_length=TEXT_CHARS_MAX,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 80, "class": "vLargeTextField"}),
        help_text="It stays in the books: the invoice, the bank's reference, what went wrong.",
    )
    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)  # sent twice, booked once


@admin.action(description="Credit the account", permissions=["credit"])
def credit(
    site: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[LedgerAccount]
) -> HttpResponse | None:
    accounts = list(queryset.filter(kind=LedgerAccount.Kind.CUSTOMER).select_related("customer__user"))
    if len(accounts) != 1:
        site.message_user(request, "Choose one customer's account.", messages.ERROR)
        return None
    form = CreditForm(request.POST if "once" in request.POST else None)
    if form.is_valid():
        _book(site, request, accounts[0], form)
        return None
    context = {
        **site.admin_site.each_context(request),
        **{"title": "Credit the account", "account": accounts[0], "form": form, "opts": site.model._meta},
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, "admin/credit.html", context)


def _book(site: admin.ModelAdmin, request: HttpRequest, account: LedgerAccount, form: CreditForm) -> None:
    assert isinstance(request.user, User)
    assert account.customer is not None
    said = form.cleaned_data
    amount_nanos = money.nanos(said["amount_usd"])
    try:
        booked = crediting.credit(
            customer=account.customer,
            amount_nanos=amount_nanos,
            paid=said["kind"] == "paid",
            reason=said["reason"],
            reference=str(said["once"]),
            actor=request.user,
        )
    except CreditRefused as refusal:
        site.message_user(request, str(refusal), messages.ERROR)
        return
    site.log_change(
        request, account, f"credited {money.text(amount_nanos)}, {said['kind']}: {said['reason']}"
    )
    site.message_user(request, f"{money.text(amount_nanos)} booked." if booked else "It was booked before.")
