"""Who is calling, in the admin; and what the read-only pages of the other apps share.

Users come in by signing up or by `manage.py create_customer`, which open their ledger accounts too.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm

from accounts.models import Customer, ReplacedKey, Tier, User

COUNTED_MAX = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than COUNTED_MAX rows: a table of millions opens as fast as a small one."""

    @cached_property
    def count(self) -> int:
        return self.object_list[:COUNTED_MAX].count()  # type: ignore[attr-defined]  # always a query here


class ReadOnly(ModelAdmin):
    """For rows that only the program writes: nothing can be added, changed or deleted here."""

    show_full_result_count = False
    paginator = BoundedPaginator
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class PersonAdmin(UserAdmin, ModelAdmin):
    """Only what an operator decides: blocked or not, staff or not, and the permissions of staff."""

    form = UserChangeForm
    change_password_form = AdminPasswordChangeForm

    ordering = ["email"]
    list_display = ["email", "is_active", "is_staff", "date_joined", "last_login"]
    list_filter = ["is_active", "is_staff", "is_superuser"]
    search_fields = ["email"]
    readonly_fields = ["email", "date_joined", "last_login"]
    fieldsets = [
        (None, {"fields": ["email", "password", "is_active"]}),
        ("Staff", {"fields": ["is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["date_joined", "last_login"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Tier)
class TierAdmin(ModelAdmin):
    """Limits act on the next request; an empty limit means none."""

    list_display = ["name", "requests_per_minute", "tokens_per_minute", "requests_per_day"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Customer)
class CustomerAdmin(ModelAdmin):
    """The tier is all that can be changed."""

    list_display = ["user", "tier", "created_at"]
    list_filter = ["tier"]
    list_select_related = ["user", "tier"]
    search_fields = ["user__email"]
    readonly_fields = ["user", "created_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ReplacedKey)
class ReplacedKeyAdmin(ReadOnly):
    """Strings that keys had before they were rotated, and until when they work."""

    list_display = ["visible_part", "key", "replaced_at", "works_until"]
    list_select_related = ["key"]
