"""The market in the admin. Servers come in by registration, which makes their keys and tokens.

A token is never shown, and an address is never edited: it could be pointed elsewhere to harvest the token. A standing
is changed by actions that ask for a reason, and a price waits.
"""

from typing import Any

from django.contrib import admin, messages
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from accounts.admin import ReadOnly
from billing import acts
from hosting import moderation, prices, reasons
from hosting.judges_admin import ActionsOfHoster, ReadOnlyInline
from hosting.models import HealthCheck, HostedModel, Hoster, Server
from hosting.moderation import Kind

DAYS_SHOWN = 14
TAKES_TRAFFIC, DRAINING, NOT_VERIFIED = "takes traffic", "draining", "not verified yet"
PRICES = {"price_per_input_token", "price_per_output_token"}


class Kept:
    """For rows that registration makes and that history points to."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@display(
    description="traffic",
    ordering="draining",
    label={TAKES_TRAFFIC: "success", DRAINING: "warning", NOT_VERIFIED: "info"},
)
def traffic(server: Server) -> str:
    """A server that does not drain is well: in words, because a red cross beside “draining” looks like an alarm."""
    if server.verified_at is None:
        return NOT_VERIFIED
    return DRAINING if server.draining else TAKES_TRAFFIC


class ServersOfHoster(ReadOnlyInline):
    model = Server
    fields = ["name", "base_url", "slots", "verified_at", "traffic", "health"]
    readonly_fields = ["traffic"]
    show_change_link = True

    @admin.display(description="traffic")
    def traffic(self, server: Server) -> str:
        return traffic(server)


class ModelsOfServer(TabularInline):
    model = HostedModel
    fields = [
        "model_id",
        "upstream_name",
        "price_per_input_token",
        "price_per_output_token",
        "context_window",
        "enabled",
        "consistency",
        "deactivated_at",
    ]
    readonly_fields = [
        "price_per_input_token",
        "price_per_output_token",
        "consistency",
        "deactivated_at",
    ]  # changed on the model's own page
    show_change_link = True
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


ASKS = "Each asks for a reason, which the hoster reads and can answer. It acts on the next request."


def _acts(kind: Kind, words: str) -> Any:
    return reasons.asked(
        kind.value,
        words,
        lambda hoster, reason, who: moderation.act(kind, hoster, reason=reason, actor=who),
    )


@admin.register(Hoster)
class HosterAdmin(Kept, acts.WithActs):
    acts_title, acts_hint = "Moderation", ASKS
    list_display = ["name", "customer", "status", "trust", "created_at"]
    list_filter = ["status"]
    search_fields = ["name", "customer__user__email"]
    fieldsets = [
        (None, {"fields": ["name", "customer", "created_at"]}),
        ("Standing", {"fields": ["status", "status_reason"]}),
        ("Scores", {"fields": ["trust", "parts", "days", "trust_at", "newcomer"]}),
    ]
    readonly_fields = [
        *("customer", "status", "status_reason", "trust", "parts", "days", "trust_at", "newcomer"),
        "created_at",
    ]
    list_select_related = ["customer__user"]
    inlines = [ServersOfHoster, ActionsOfHoster]
    actions = [_acts(kind, words) for kind, words in reasons.STANDINGS.items()]

    def acts(self, request: HttpRequest, row: Hoster) -> list[acts.Act]:
        return reasons.for_hoster(row) if self.has_change_permission(request, row) else []

    @admin.display(description="newcomer")
    def newcomer(self, hoster: Hoster) -> str:
        return (
            "yes: it gets the newcomers' share" if hoster.is_new else "no: it has served enough to be judged"
        )

    @admin.display(description="what trust is made of")
    def parts(self, hoster: Hoster) -> str:
        """A line for each part of the score: its value, and what it was computed from."""
        rows = (
            (name, f"{part['value']:.2f}", part.get("detail", ""))
            for name, part in hoster.trust_parts.items()
        )
        return format_html_join(mark_safe("<br>"), "{}: {} <small>{}</small>", rows) or "–"

    @admin.display(description="the last days")
    def days(self, hoster: Hoster) -> str:
        """The last score of each of the last days, the newest first."""
        newest = sorted(hoster.trust_days.items(), reverse=True)[:DAYS_SHOWN]
        return format_html_join(mark_safe("<br>"), "{}: {:.2f}", newest) or "–"


@admin.register(Server)
class ServerAdmin(Kept, ModelAdmin):
    list_display = [
        "name",
        "kind",
        "hoster",
        "base_url",
        "verified_at",
        traffic,
        "health",
        "health_checked_at",
    ]
    list_filter = ["kind", "draining"]
    search_fields = ["name", "base_url", "hoster__name"]
    list_select_related = ["hoster"]
    fields = [
        *("name", "kind", "hoster", "base_url", "slots", "draining", "verified_at", "verification_error"),
        *("token_version", "waiting_since", "health", "health_checked_at", "uptime", "version", "created_at"),
    ]
    readonly_fields = [
        *("kind", "hoster", "base_url", "verified_at", "verification_error"),
        *("token_version", "waiting_since", "health", "health_checked_at", "uptime", "version", "created_at"),
    ]
    inlines = [ModelsOfServer]


@admin.register(HostedModel)
class HostedModelAdmin(Kept, acts.WithActs):
    acts_title, acts_hint = "Moderation", ASKS
    list_display = [
        *("model_id", "server", "price_per_input_token", "price_per_output_token"),
        *("context_window", "enabled", "deactivated_at"),
    ]
    list_filter = ["enabled", ("deactivated_at", admin.EmptyFieldListFilter), "server__kind"]
    search_fields = ["model_id", "server__name", "server__hoster__name"]
    list_select_related = ["server"]
    readonly_fields = [
        *("server", "next_price_per_input_token", "next_price_per_output_token", "price_changes_at"),
        *(
            "consistency",
            "consistency_at",
            "deactivated_at",
            "deactivated_reason",
            "retest_at",
            "fingerprint",
        ),
        *("bytes_per_token", "created_at"),
    ]
    actions = [
        reasons.asked(
            "deactivate",
            "Deactivate",
            lambda offer, reason, who: moderation.deactivate_offer(offer, reason=reason, actor=who),
        ),
        reasons.asked(
            "reinstate",
            "Reinstate",
            lambda offer, reason, who: moderation.reinstate_offer(offer, reason=reason, actor=who),
        ),
    ]

    def acts(self, request: HttpRequest, row: HostedModel) -> list[acts.Act]:
        return reasons.for_offer(row) if self.has_change_permission(request, row) else []

    def save_model(self, request: HttpRequest, obj: HostedModel, form: ModelForm, change: bool) -> None:
        """A new price waits like a hoster's own; the rest is saved as written."""
        if PRICES & set(form.changed_data):
            prices.set_price(
                model=HostedModel.objects.get(pk=obj.pk),
                price_in=obj.price_per_input_token,
                price_out=obj.price_per_output_token,
            )
            obj.refresh_from_db(fields=prices.PRICE_COLUMNS)
            messages.info(request, prices.told(obj))
        obj.save(update_fields=set(form.changed_data) - PRICES)


@admin.register(HealthCheck)
class HealthCheckAdmin(ReadOnly):
    list_display = ["server", "checked_at", "ok", "latency_ms", "error"]
    list_filter = ["ok"]
    search_fields = ["server__name"]
    list_select_related = ["server"]
