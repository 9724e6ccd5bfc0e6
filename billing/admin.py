"""The books in the admin: everything can be read, nothing can be edited."""

import calendar
import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action

from accounts.admin import ReadOnly
from accounts.days import LAST_DAY
from billing import account_statement, money
from billing.credit_admin import credit
from billing.models import (
    Charge,
    Maturity,
    OpeningBalance,
    RateWindow,
    ReleaseDay,
    SpendWindow,
    Transfer,
)

Maturity._meta.verbose_name_plural = "maturities"  # shown here only, so it needs no migration


class PeriodForm(forms.Form):
    """A statement's days, both included, in UTC; the current month when nothing is said."""

    first = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        days = self.cleaned_data
        if "first" in days and "last" in days and days["first"] > days["last"]:
            raise ValidationError("The first day is after the last.")
        return days

    @property
    def bounds(self) -> dict[str, dt.datetime]:
        """start (included) and end (excluded)."""
        midnight = dt.time(tzinfo=dt.UTC)
        first, last = self.cleaned_data["first"], self.cleaned_data["last"]
        end = dt.datetime.combine(min(last, LAST_DAY) + dt.timedelta(days=1), midnight)
        return {"start": dt.datetime.combine(first, midnight), "end": end}


def this_month() -> dict[str, str]:
    today = timezone.now().date()
    last = calendar.monthrange(today.year, today.month)[1]
    return {"first": today.replace(day=1).isoformat(), "last": today.replace(day=last).isoformat()}


def usd(field: str, words: str) -> Any:
    """A column that shows a nanodollar field in dollars; sorted by the field."""

    @admin.display(description=words, ordering=field)
    def column(row: Any) -> str:
        amount_nanos = getattr(row, field)
        return "–" if amount_nanos is None else money.text(amount_nanos)

    column.__name__ = field.removesuffix("_nanos")
    return column


def in_dollars(model: type[Model]) -> list[Any]:
    """The fields of a row's page, its amounts of nanodollars as dollars."""
    return [
        usd(field.name, str(field.verbose_name).removesuffix(" nanos"))
        if field.name.endswith("_nanos") and not field.is_relation
        else field.name
        for field in model._meta.fields
    ]


class Books(ReadOnly):
    """Rows with money: their pages show dollars, as their lists do."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field for field in in_dollars(self.model) if field not in (self.exclude or ())]


class LedgerAccountAdmin(Books):
    """Registered by `routing.accounts_admin`, which knows what the last audit found."""

    list_display = [
        "id",
        "kind",
        "customer",
        usd("posted_nanos", "posted"),
        usd("held_nanos", "held"),
        usd("earned_nanos", "of it earned"),
        usd("bought_nanos", "of it bought"),
    ]
    list_filter = ["kind"]
    list_select_related = ["customer__user"]
    search_fields = ["customer__user__email"]
    actions_detail = ["statement"]
    actions_row = ["statement"]
    list_per_page = 25  # each row's menu of actions costs more than the row

    @action(description="Statement", url_path="statement", permissions=["view"])
    def statement(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Opening balance, entries, closing balance of a period."""
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        asked = PeriodForm(request.GET if "first" in request.GET else this_month())
        page = request.GET.get("page", "1")
        shown = None
        if asked.is_valid():
            shown = account_statement.statement(
                account, **asked.bounds, page=int(page) if page.isdecimal() else 1
            )
        context = {
            **self.admin_site.each_context(request),
            **{"title": f"Statement of account {account.pk}", "account": account, "opts": self.opts},
            **{"form": asked, "statement": shown},
        }
        return TemplateResponse(request, "admin/statement.html", context)

    actions = [credit]

    def has_credit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_ledgeraccount")


@admin.register(Transfer)
class TransferAdmin(Books):
    """Found by id, charge or the e-mail address on either side."""

    list_display = [
        "id",
        "created_at",
        "kind",
        "debit",
        "credit",
        usd("amount_nanos", "amount"),
        "charge",
        "reason",
    ]
    list_select_related = ["debit", "credit"]
    list_filter = ["kind"]
    search_fields = ["=id", "=charge", "=debit__customer__user__email", "=credit__customer__user__email"]
    ordering = ["-id"]


@admin.register(Charge)
class ChargeAdmin(Books):
    """Ordered by id, which is ordered by time."""

    list_display = [
        "id",
        "created_at",
        "state",
        "account",
        usd("hold_nanos", "hold"),
        usd("gross_nanos", "gross"),
        usd("fee_nanos", "fee"),
        usd("net_nanos", "net"),
        "void_reason",
    ]
    list_select_related = ["account"]
    list_filter = ["state"]
    search_fields = ["=id", "=account__customer__user__email"]
    ordering = ["-id"]


@admin.register(Maturity)
class MaturityAdmin(Books):
    list_display = [
        "account",
        "matures_at",
        usd("amount_nanos", "amount"),
        usd("payable_nanos", "of it payable"),
    ]
    list_select_related = ["account"]
    ordering = ["matures_at"]


@admin.register(OpeningBalance)
class OpeningBalanceAdmin(Books):
    list_display = [
        "account",
        "starts_at",
        usd("posted_nanos", "posted"),
        usd("earned_nanos", "of it earned"),
        usd("bought_nanos", "of it bought"),
    ]
    list_select_related = ["account"]
    search_fields = ["=account__customer__user__email"]
    ordering = ["-id"]


@admin.register(ReleaseDay)
class ReleaseDayAdmin(Books):
    list_display = [
        "account",
        "starts_at",
        "releases",
        usd("released_nanos", "released"),
        usd("payable_nanos", "of it payable"),
        usd("kept_back_nanos", "kept back"),
    ]
    list_select_related = ["account"]
    search_fields = ["=account__customer__user__email"]
    ordering = ["-id"]


@admin.register(SpendWindow)
class SpendWindowAdmin(Books):
    list_display = ["key", "starts_at", usd("spent_nanos", "spent"), usd("held_nanos", "held")]
    list_select_related = ["key"]
    search_fields = ["key__visible_part", "key__customer__user__email"]


@admin.register(RateWindow)
class RateWindowAdmin(ReadOnly):
    list_display = ["customer", "span", "starts_at", "requests", "tokens"]
    list_select_related = ["customer__user"]
    list_filter = ["span"]
    search_fields = ["customer__user__email"]
    ordering = ["-starts_at"]


from billing import cases_admin, keys_admin  # noqa: E402, F401  # they register the rest, with the columns of this module
