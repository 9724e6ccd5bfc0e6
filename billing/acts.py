"""Buttons on the page of a row in the admin: those of its list's actions that would change something there."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin

FROM_ITS_PAGE = "from_its_page"  # posted by the buttons: whoever came from the row's page is led back to it
Act = tuple[str, str]  # the name of an action, the words on its button


class WithActs(ModelAdmin):
    """Its subclasses say which acts a row allows now; what is not allowed is refused by the subject's rules anyway."""

    acts_title = ""
    acts_hint = ""
    change_form_outer_before_template = "admin/acts.html"

    def acts(self, request: HttpRequest, row: Any) -> Sequence[Act]:
        """The buttons of this row's page, for who asks; none: there is no box."""
        raise NotImplementedError

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **named: Any
    ) -> HttpResponse:
        if obj is not None:
            context |= {"acts": self.acts(request, obj), "acts_title": self.acts_title}
            context |= {"acts_hint": self.acts_hint, "checkbox": ACTION_CHECKBOX_NAME}
        return super().render_change_form(request, context, *args, obj=obj, **named)


def page_of(row: Model) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def led_back(request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
    """To the page of the row whose button was pressed; None, for the list, after an action of the list."""
    row = rows.first() if request.POST.get(FROM_ITS_PAGE) else None
    return HttpResponseRedirect(page_of(row)) if row else None
