"""Payouts, top-ups and what belongs to them in the admin: read, and moved on by actions; never edited."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.admin import ReadOnly
from accounts.models import User
from accounts.sealing import Unreadable
from billing import acts, payouts, stating, stripe_client, stripe_payouts
from billing.admin import Books, usd
from billing.models import (
    Debt,
    IdempotentRequest,
    Notice,
    Payout,
    PayoutDestination,
    Recharge,
    StripeEvent,
    TopUp,
    Webhook,
)
from billing.payouts import PayoutRefused


def asked(name: str, words: str, do: stating.Do, label: str, help_text: str) -> Any:
    return stating.asked(
        name, words, do, label=label, help_text=help_text, refused=PayoutRefused, permission="decide"
    )


STEPS: dict[str, tuple[acts.Act, ...]] = {  # what `billing.payouts` allows in each state
    Payout.State.REQUESTED: (("approve", "Approve"), ("reject", "Reject")),
    Payout.State.APPROVED: (("paid", "It was paid by hand"), ("fail", "It cannot be paid")),
    Payout.State.PAID: (("came_back", "It came back"),),
}


@admin.register(Payout)
class PayoutAdmin(Books, acts.WithActs):
    """Approve, reject, and say what became of it. Who may not decide does not see where it goes."""

    acts_title = "Next step"
    exclude = ["sealed"]
    acts_hint = (
        "Approving is done at once; anything else asks for a reason or a reference, which the hoster reads."
    )

    list_display = [
        *(
            "requested_at",
            "customer",
            usd("amount_nanos", "amount"),
            "method",
            "state",
            "waits_for",
            "due_on",
        ),
        "approved_by",
    ]
    list_filter = ["state", "method"]
    list_select_related = ["customer__user", "approved_by"]
    search_fields = ["=id", "=reference", "customer__user__email"]
    ordering = [F("closed_at").desc(nulls_first=True), "due_on", "requested_at"]  # open ones first
    actions = [
        "approve",
        asked(
            "reject", "Reject: the money goes back",
            lambda payout, reason, who: payouts.reject(payout=payout, reason=reason, actor=who),
            "Reason", "The hoster reads it.",
        ),
        asked(
            "paid", "It was paid by hand",
            lambda payout, reference, who: stripe_payouts.paid_by_hand(payout=payout, reference=reference, actor=who),
            "Reference", "Its id at the bank, at PayPal or on the chain; the hoster reads it. One payout at a time.",
        ),
        asked(
            "fail", "It cannot be paid: the money goes back",
            lambda payout, reason, who: stripe_payouts.give_up(payout=payout, reason=reason, actor=who),
            "Reason", "The hoster reads it.",
        ),
        asked(
            "came_back", "It was paid and came back: the hoster has the money again",
            lambda payout, reason, who: stripe_payouts.came_back(payout=payout, reason=reason, actor=who),
            "Reason", "The hoster reads it. Only when the money is in our account again.",
        ),
    ]  # fmt: skip

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_payout")

    @admin.action(description="Approve", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Payout]) -> HttpResponse | None:
        def agree(payout: Payout, _: str, who: User) -> Payout:
            return payouts.approve(payout=payout, actor=who)

        stating.do_all(self, request, queryset, agree, "", words="Approve", refused=PayoutRefused)
        return acts.led_back(request, queryset)

    def acts(self, request: HttpRequest, row: Payout) -> tuple[acts.Act, ...]:
        steps = STEPS.get(row.state, ()) if self.has_decide_permission(request) else ()
        by_stripe = row.method == PayoutDestination.Method.STRIPE and stripe_client.configured()
        return tuple(step for step in steps if not (by_stripe and step[0] == "paid"))

    def get_fields(self, request: HttpRequest, obj: Payout | None = None) -> list[Any]:
        shown = super().get_fields(request, obj)
        return [*shown, "destination"] if self.has_decide_permission(request) else shown

    @admin.display(description="where it goes")
    def destination(self, payout: Payout) -> str:
        try:
            return payouts.destination_of(payout)
        except Unreadable as unreadable:
            return f"It {unreadable}"


@admin.register(PayoutDestination)
class PayoutDestinationAdmin(ReadOnly):
    list_display = ["customer", "method", "ready", "changed_at"]
    list_filter = ["method", "ready"]
    list_select_related = ["customer__user"]
    search_fields = ["customer__user__email"]
    exclude = ["sealed"]


@admin.register(TopUp)
class TopUpAdmin(Books):
    """Refunds are made at Stripe; its event takes the credit back."""

    list_display = [
        *("created_at", "customer", usd("amount_nanos", "amount"), "state", "automatic"),
        *(usd("taken_back_nanos", "taken back"), "paid_at", "payment", "error"),
    ]
    list_filter = ["state", "automatic"]
    list_select_related = ["customer__user"]
    search_fields = ["=id", "=checkout", "=payment", "customer__user__email"]
    ordering = ["-created_at"]


@admin.register(Recharge)
class RechargeAdmin(Books):
    list_display = [
        *(
            "customer",
            "enabled",
            "paused_because",
            usd("below_nanos", "below"),
            usd("amount_nanos", "charges"),
        ),
        usd("month_max_nanos", "in a month at most"),
    ]
    list_filter = ["enabled"]
    list_select_related = ["customer__user"]
    search_fields = ["customer__user__email", "=stripe_customer"]


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly):
    list_display = ["id", "type", "received_at"]
    list_filter = ["type"]
    search_fields = ["=id"]
    ordering = ["-received_at"]


@admin.register(Debt)
class DebtAdmin(Books):
    list_display = ["account", usd("owed_nanos", "owed")]
    list_select_related = ["account__customer__user"]


@admin.register(IdempotentRequest)
class IdempotentRequestAdmin(ReadOnly):
    list_display = ["created_at", "customer", "route", "name", "status", "running"]
    list_select_related = ["customer__user"]
    exclude = ["answer", "body_digest"]
    search_fields = ["=name"]
    ordering = ["-created_at"]


@admin.register(Webhook)
class WebhookAdmin(ReadOnly):
    list_display = ["customer", "url", "last_result"]
    list_select_related = ["customer__user"]
    exclude = ["secret_sealed"]


@admin.register(Notice)
class NoticeAdmin(ReadOnly):
    list_display = ["created_at", "customer", "kind", "subject", "mailed_at", "hooked_at"]
    list_filter = ["kind"]
    list_select_related = ["customer__user"]
    search_fields = ["=subject", "customer__user__email"]
    ordering = ["-created_at"]
