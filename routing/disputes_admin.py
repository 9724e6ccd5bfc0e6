"""Disputes in the admin: what was said beside what was recorded of the request, and the two verdicts."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin import ReadOnly
from accounts.models import User
from billing import acts, disputes, money, stating
from billing.admin import usd
from billing.disputes import Undecidable
from billing.models import Dispute
from routing import conviction
from routing.models import InferenceRequest
from routing.suspicion import NAMES

NOTHING = "–"


def verdict(name: str, words: str, decide: Callable[[Dispute, str, User], Dispute]) -> Any:
    return stating.asked(
        name,
        words,
        decide,
        label="Verdict",
        help_text="Why. The customer and the hoster both read it.",
        refused=Undecidable,
        permission="decide",
    )


@admin.register(Dispute)
class DisputeAdmin(ReadOnly, acts.WithActs):
    acts_title = "Verdict"
    acts_hint = "Either asks why, and the customer and the hoster both read it. A verdict is final."
    list_display = [
        *("opened_at", "customer", "payee", "reason", usd("gross_nanos", "paid"), usd("net_nanos", "frozen")),
        "state",
    ]
    list_filter = ["state", "reason"]
    list_select_related = ["customer__user", "payee__user"]
    search_fields = ["=id", "=charge", "customer__user__email", "payee__user__email"]
    ordering = ["state", "opened_at"]
    fields = [
        *("state", "disputed", "customer", "payee", usd("gross_nanos", "paid"), usd("net_nanos", "frozen")),
        *("reason", "detail", "evidence", "opened_at", "decided_at", "decided_by", "verdict"),
    ]
    actions = [
        verdict(
            "uphold",
            "Uphold: the customer gets the charge back",
            lambda dispute, text, who: disputes.decide(dispute=dispute, upheld=True, verdict=text, actor=who),
        ),
        verdict(
            "reject",
            "Reject: the earning goes on",
            lambda dispute, text, who: conviction.reject(dispute=dispute, verdict=text, actor=who),
        ),
    ]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_dispute")

    def acts(self, request: HttpRequest, row: Dispute) -> tuple[acts.Act, ...]:
        decidable = row.state == Dispute.State.OPEN and self.has_decide_permission(request)
        return (("uphold", "Uphold"), ("reject", "Reject")) if decidable else ()

    @admin.display(description="request")
    def disputed(self, dispute: Dispute) -> SafeString:
        pages = (
            (reverse(f"admin:{table}_change", args=[dispute.charge]), words)
            for table, words in (
                ("routing_inferencerequest", "the request"),
                ("billing_charge", "its charge"),
            )
        )
        links = format_html_join(", ", '<a href="{}">{}</a>', pages)
        return format_html('<span class="links"><code>{}</code>: {}</span>', dispute.charge, links)

    @admin.display(description="what was recorded")
    def evidence(self, dispute: Dispute) -> SafeString:
        requests = InferenceRequest.objects.select_related("server__hoster", "key")
        request = requests.filter(pk=dispute.charge).first()
        if request is None:
            return format_html("Nothing: the request is gone.")
        rows = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", evidence(request))
        return format_html('<dl class="evidence">{}</dl>', rows)


def evidence(request: InferenceRequest) -> list[tuple[str, Any]]:
    """What speaks for one side or the other: (what, value). Of prompt and answer nothing is kept."""
    flags = [name for bit, name in NAMES.items() if request.flags & bit]
    rows: list[tuple[str, Any]] = [
        ("model asked, served", f"{request.model_asked}, {request.model_id}"),
        ("server", request.server or NOTHING),
        ("outcome", request.get_outcome_display()),
        ("what looked wrong", ", ".join(flags) or "nothing"),
        ("prompt tokens billed, claimed", f"{request.input_tokens}, {_or(request.claimed_input_tokens)}"),
        ("answer tokens billed, claimed", f"{request.output_tokens}, {_or(request.claimed_output_tokens)}"),
        ("prompt and answer bytes", f"{request.input_bytes}, {request.output_bytes}"),
        ("cost", money.text(request.cost_nanos)),
        ("first token, whole answer", f"{_or(request.ttft_ms)} ms, {request.latency_ms} ms"),
        ("attempts", request.attempts),
        ("streamed", "yes" if request.streamed else "no"),
        ("key", request.key),
    ]
    return rows


def _or(value: int | None) -> Any:
    return NOTHING if value is None else value
