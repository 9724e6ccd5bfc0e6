"""Ledger accounts in the admin: balances that are kept, and of the platform's accounts what the last audit found.

Only customers' credit is kept as a balance. The rest are sums over all transfers, which no page computes.
"""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from billing import money
from billing.admin import LedgerAccountAdmin, in_dollars, usd
from billing.models import LedgerAccount
from routing.models import AuditRun

NOT_AUDITED = "not audited yet"


@admin.register(LedgerAccount)
class AccountAdmin(LedgerAccountAdmin):
    list_display = [
        *("id", "kind", "customer", "balance", usd("held_nanos", "held")),
        *(usd("earned_nanos", "of it earned"), usd("bought_nanos", "of it bought")),
    ]
    list_before_template = "admin/accounts_hint.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerAccount]:
        """With the last audit beside each row: one row of another table, which the database reads once."""
        last = AuditRun.objects.order_by("-pk")
        return (
            super()
            .get_queryset(request)
            .annotate(
                audited_at=Subquery(last.values("finished_at")[:1]),
                audited_sums=Subquery(last.values("sums")[:1]),
            )
        )

    def get_fields(self, request: HttpRequest, obj: LedgerAccount | None = None) -> list[Any]:
        return [
            "balance" if getattr(field, "__name__", "") == "posted" else field
            for field in in_dollars(LedgerAccount)
        ]

    @admin.display(description="balance", ordering="posted_nanos")
    def balance(self, account: Any) -> str:
        """account: with `audited_at` and `audited_sums`. There is one account of each kind of the platform's."""
        if account.posted_nanos is not None:
            return money.text(account.posted_nanos)
        if account.customer_id is not None:
            page = reverse("admin:billing_ledgeraccount_statement", args=[account.pk])
            return format_html('<span class="links"><a href="{}">on its statement</a></span>', page)
        if account.kind not in (account.audited_sums or {}):
            return NOT_AUDITED
        return format_html(
            '<span>{} <small class="soft">at the last audit, {}</small></span>',
            money.text(account.audited_sums[account.kind]), f"{account.audited_at:%Y-%m-%d %H:%M}",
        )  # fmt: skip
