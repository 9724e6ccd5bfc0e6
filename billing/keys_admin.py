"""API keys in the admin: registered here and not with the accounts, because what a key may spend is money."""

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest

from accounts.models import ApiKey
from billing.admin import Books


@admin.register(ApiKey)
class ApiKeyAdmin(Books):
    """Keys are made by their owners and shown once; here they can be looked at and revoked."""

    list_display = [
        "visible_part",
        "name",
        "customer",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    list_select_related = ["customer__user"]
    search_fields = ["visible_part", "name", "customer__user__email"]
    actions = ["revoke"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_apikey")

    @admin.action(description="Revoke the selected keys, at once and for good", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        keys = list(queryset.filter(revoked_at=None))
        queryset.filter(revoked_at=None).update(revoked_at=Now())
        for key in keys:
            self.log_change(request, key, "revoked in the admin")
        self.message_user(request, f"{len(keys)} keys revoked.")
