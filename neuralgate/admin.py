"""Other packages' models in the admin, in its look. Their own admins are imported first, so that ours replace them."""

from typing import Any

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from allauth.usersessions.admin import UserSession
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django_celery_beat import admin as beat
from django_celery_beat import models as jobs
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin import ReadOnly

for model in (Group, EmailAddress, Authenticator, UserSession, *jobs.__dict__.values()):
    if isinstance(model, type) and admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Group)
class StaffGroupAdmin(GroupAdmin, ModelAdmin):
    pass


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnly):
    """An address is verified by its owner, by mail."""

    list_display = ["email", "user", "primary", "verified"]
    list_filter = ["primary", "verified"]
    list_select_related = ["user"]
    search_fields = ["email", "user__email"]


class Removable(ReadOnly):
    """What its owner made; here it can be looked at and taken away, but not changed."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        opts = self.opts
        return bool(request.user.has_perm(f"{opts.app_label}.delete_{opts.model_name}"))


@admin.register(Authenticator)
class AuthenticatorAdmin(Removable):
    """Removed for who lost the second factor. Its secret is not shown: whoever sees it has the factor."""

    list_display = ["user", "type", "created_at", "last_used_at"]
    list_filter = ["type"]
    list_select_related = ["user"]
    search_fields = ["user__email"]
    fields = ["user", "type", "created_at", "last_used_at"]


@admin.register(UserSession)
class UserSessionAdmin(ReadOnly):
    """Who is signed in from where. Its owner ends it under /accounts/sessions/; the key of a session is not shown."""

    list_display = ["user", "created_at", "ip", "user_agent"]
    list_select_related = ["user"]
    search_fields = ["user__email", "=ip"]
    fields = ["user", "created_at", "ip", "user_agent"]
    ordering = ["-created_at"]
    actions = ["end"]

    @admin.action(description="End the selected sessions, at once", permissions=["end"])
    def end(self, request: HttpRequest, queryset: Any) -> None:
        sessions = list(queryset.select_related("user"))
        for session in sessions:
            self.log_change(request, session, f"ended a session of {session.user}")
            session.end()
        self.message_user(request, f"{len(sessions)} sessions ended.")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("usersessions.delete_usersession"))


# ----------------------------------------------------------------------------------------------- beat's schedule


class JobForm(beat.PeriodicTaskForm):
    """beat's form with unfold's widgets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = self.fields["regtask"].widget.choices
        self.fields["regtask"].widget = UnfoldAdminSelectWidget(choices=choices)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()


@admin.register(jobs.PeriodicTask)
class JobAdmin(beat.PeriodicTaskAdmin, ModelAdmin):
    form = JobForm
    change_form_template = None  # beat's own has an inline script
    list_display = ["name", "enabled", "scheduler", "last_run_at", "total_run_count"]
    list_filter = ["enabled"]
    date_hierarchy = None
    ordering = ["name"]


class JobsOfSchedule(TabularInline):
    model = jobs.PeriodicTask
    fields = readonly_fields = ["name", "task", "args", "kwargs"]
    verbose_name_plural = "jobs of this schedule"
    can_delete = False
    extra = 0
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(jobs.IntervalSchedule, jobs.SolarSchedule)
class ScheduleAdmin(ModelAdmin):
    inlines = [JobsOfSchedule]


@admin.register(jobs.ClockedSchedule)
class ClockedScheduleAdmin(beat.ClockedScheduleAdmin, ModelAdmin):
    inlines = [JobsOfSchedule]


@admin.register(jobs.CrontabSchedule)
class CrontabScheduleAdmin(beat.CrontabScheduleAdmin, ModelAdmin):
    inlines = [JobsOfSchedule]
