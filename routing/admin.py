"""Requests and their hourly sums in the admin: read, never edited. There is no prompt or answer to show."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnly
from billing import money, refunds, stating
from billing.admin import Books, usd
from billing.refunds import RefundRefused
from hosting.models import Server
from routing import accounts_admin, disputes_admin  # noqa: F401  # they register ledger accounts and disputes
from routing.models import (
    AuditRun,
    GatewayProcess,
    InferenceRequest,
    OfferHour,
    OutcomeHour,
    PayerDay,
    UsageHour,
)


class ProviderFilter(admin.SimpleListFilter):
    """By fixed words: Django's own filter of a text would look through the whole table for them."""

    title = "provider"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind) for kind in Server.Kind.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


@admin.register(InferenceRequest)
class InferenceRequestAdmin(Books):
    """Ordered by id, which is ordered by time."""

    list_per_page = 20  # rows of many columns are dear to draw
    list_display = [
        "id",
        "created_at",
        "customer",
        "model_id",
        "provider",
        "server",
        "outcome",
        "attempts",
        "input_tokens",
        "output_tokens",
        usd("cost_nanos", "cost"),
        "ttft_ms",
        "latency_ms",
    ]
    list_select_related = ["customer__user", "server"]
    list_filter = ["outcome", ProviderFilter, "streamed"]
    search_fields = ["=id", "=customer__user__email"]
    ordering = ["-id"]
    actions = [
        stating.asked(
            "refund", "Refund: the customer gets the whole charge back",
            lambda request, reason, who: refunds.refund(charge=request.pk, reason=reason, actor=who),
            label="Reason", help_text="The customer and the hoster both read it.",
            refused=RefundRefused, permission="refund",
            said=lambda done: f"{money.text(done.gross_back_nanos)} given back",
        )
    ]  # fmt: skip

    def has_refund_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_charge")


@admin.register(UsageHour)
class UsageHourAdmin(Books):
    list_per_page = 30
    list_display = [
        "hour",
        "customer",
        "key",
        "model_id",
        "provider",
        "requests",
        "input_tokens",
        "output_tokens",
        usd("gross_nanos", "cost"),
    ]
    list_select_related = ["customer__user", "key"]
    list_filter = [ProviderFilter]
    search_fields = ["=customer__user__email", "=model_id"]
    ordering = ["-hour", "-id"]


@admin.register(OfferHour)
class OfferHourAdmin(Books):
    list_display = [
        "hour",
        "server",
        "model_id",
        "requests",
        "input_tokens",
        "output_tokens",
        usd("gross_nanos", "gross"),
        usd("net_nanos", "net"),
        "claims",
    ]
    list_select_related = ["server"]
    search_fields = ["=server__name", "=model_id"]
    ordering = ["-id"]  # the order of hours, too, and it has an index


@admin.register(PayerDay)
class PayerDayAdmin(Books):
    list_display = ["day", "server", "customer", "requests", usd("gross_nanos", "gross")]
    list_select_related = ["server", "customer__user"]
    search_fields = ["=server__name", "=customer__user__email"]
    ordering = ["-day", "-id"]


@admin.register(OutcomeHour)
class OutcomeHourAdmin(ReadOnly):
    list_display = ["hour", "served", "failed", "counted_at"]
    ordering = ["-hour"]


@admin.register(GatewayProcess)
class GatewayProcessAdmin(ReadOnly):
    list_display = ["boot", "started_at", "heartbeat_at"]
    ordering = ["-heartbeat_at"]


@admin.register(AuditRun)
class AuditRunAdmin(ReadOnly):
    list_display = ["started_at", "finished_at", "differences"]
    ordering = ["-id"]
