"""Actions of the admin that first ask for a reason, on a page of their own: the hoster reads it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.models import User
from hosting.models import ModerationAction
from hosting.moderation import REASON_CHARS_MAX, ModerationRefused

Do = Callable[[Any, str, User], ModerationAction | None]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=REASON_CHARS_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="The hoster reads it, and can answer.",
    )


def asked(name: str, words: str, do: Do) -> Any:
    """An admin action. do: (row, reason, who) → what was done, None when nothing was to be done."""

    @admin.action(description=words, permissions=["change"])
    def action(site: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        form = ReasonForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            _do_all(site, request, queryset, do, form.cleaned_data["reason"])
            return None
        context = {
            **site.admin_site.each_context(request),
            **{"title": words, "rows": queryset, "form": form, "action": name, "opts": site.model._meta},
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/reason.html", context)

    action.__name__ = name
    return action


def _do_all(
    site: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any], do: Do, reason: str
) -> None:
    assert isinstance(request.user, User)
    for row in queryset:
        try:
            done = do(row, reason, request.user)
        except ModerationRefused as refusal:
            site.message_user(request, f"{row}: {refusal}", messages.ERROR)
            continue
        site.message_user(request, f"{row}: {done.get_kind_display() if done else 'it is so already'}.")
