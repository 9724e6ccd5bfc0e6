"""Actions of the admin that first ask for a text, on a page of their own: a reason, a verdict, a reference."""

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
from billing import acts

TEXT_CHARS_MAX = 2_000
Do = Callable[[Any, str, User], Any]


def done(_: Any) -> str:
    return "done"


def asked(
    name: str,
    words: str,
    do: Do,
    *,
    label: str,
    help_text: str,
    refused: type[Exception],
    permission: str,
    said: Callable[[Any], str] = done,
) -> Any:
    """An admin action. do: (row, text, who); what it refuses with `refused` is shown, and the other rows go on.

    permission: `has_<permission>_permission` of the admin class. said: in words, what `do` answered.
    """

    class TextForm(forms.Form):
        reason = forms.CharField(
            label=label,
            max_length=TEXT_CHARS_MAX,
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
            help_text=help_text,
        )

    @admin.action(description=words, permissions=[permission])
    def action(site: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        form = TextForm(request.POST if "reason" in request.POST else None)
        if form.is_valid():
            text = form.cleaned_data["reason"]
            do_all(site, request, queryset, do, text, words=words, refused=refused, said=said)
            return acts.led_back(request, queryset)
        back = acts.led_back(request, queryset)
        context = {
            **site.admin_site.each_context(request),
            **{"title": words, "rows": queryset, "form": form, "action": name, "opts": site.model._meta},
            **{"checkbox": ACTION_CHECKBOX_NAME, "back": back.headers["Location"] if back else None},
        }
        return TemplateResponse(request, "admin/reason.html", context)

    action.__name__ = name
    return action


def do_all(
    site: admin.ModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    do: Do,
    text: str,
    *,
    words: str,
    refused: type[Exception],
    said: Callable[[Any], str] = done,
) -> None:
    """Do it to each row; the admin's history keeps who did it and what was said."""
    assert isinstance(request.user, User)
    for row in rows:
        try:
            answer = do(row, text, request.user)
        except refused as refusal:
            site.message_user(request, f"{row}: {refusal}", messages.ERROR)
            continue
        site.log_change(request, row, f"{words}: {text}" if text else words)
        site.message_user(request, f"{row}: {said(answer)}.")
