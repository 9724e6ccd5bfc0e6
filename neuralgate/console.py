"""The admin's site: unfold's, in our colours, behind a second factor."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from neuralgate import moderation_queue, second_factor


class Console(UnfoldAdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, and only with a second factor in this session."""
        return super().has_permission(request) and second_factor.is_passed(request)

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Where somebody is sent who may not see a page of the admin: to what is missing, and then back."""
        if request.user.is_authenticated and not super().has_permission(request):
            raise PermissionDenied("The admin is for staff.")
        return second_factor.way_in(request)

    def extra_urls(self) -> list[URLPattern]:
        return [path("moderation/", self.admin_view(moderation_queue.show), name="moderation_queue")]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Without `colors`: unfold would write them as an inline style, ours are in static/css/admin.css."""
        return {**super().each_context(request), "colors": None}
