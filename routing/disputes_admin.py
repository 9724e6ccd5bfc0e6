"""Disputes in the admin: what was said beside what was recorded of the request, and the two verdicts."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin import ReadOnly
from billing import disputes, money, stating
from billing.admin import usd
from billing.disputes import Undecidable
from billing.models import Dispute
from routing.models import InferenceRequest
from routing.suspicion import NAMES

NOTHING = "–"


def verdict(name: str, words: str, *, upheld: bool) -> Any:
    return stating.asked(
        name,
        words,
        lambda dispute, text, who: disputes.decide(dispute=dispute, upheld=upheld, verdict=text, actor=who),
        label="Verdict",
        help_text="Why. The customer and the hoster both read it.",
        refused=Undecidable,
        permission="decide",
    )


@admin.register(Dispute)
class DisputeAdmin(ReadOnly):
    list_display = [
        *("opened_at", "customer", "payee", "reason", usd("gross_nanos", "paid"), usd("net_nanos", "frozen")),
        *("state", "decided_by"),
    ]
    list_filter = ["state", "reason"]
    list_select_related = ["customer__user", "payee__user", "decided_by"]
    search_fields = ["=id", "=charge", "customer__user__email", "payee__user__email"]
    ordering = ["state", "opened_at"]
    fields = [
        *("charge", "customer", "payee", "reason", "detail", "evidence", "state", "gross_nanos", "net_nanos"),
        *("opened_at", "decided_at", "decided_by", "verdict"),
    ]
    actions = [
        verdict("uphold", "Uphold: the customer gets the charge back", upheld=True),
        verdict("reject", "Reject: the earning goes on", upheld=False),
    ]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_dispute")

    @admin.display(description="what was recorded")
    def evidence(self, dispute: Dispute) -> SafeString:
        request = InferenceRequest.objects.select_related("server__hoster").filter(pk=dispute.charge).first()
        if request is None:
            return format_html("Nothing: the request is gone.")
        rows = format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", evidence(request))
        return format_html("<table>{}</table>", rows)


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
        ("key", request.key_id),
    ]
    return rows


def _or(value: int | None) -> Any:
    return NOTHING if value is None else value
