"""The admin's page of what waits for a person: each with its evidence, and the actions that ask for a reason."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from hosting import inbox, reasons, setups
from hosting.models import ModerationAction

SHOWN_MAX = 50  # of each kind; the lists of the admin have all


def show(request: HttpRequest) -> HttpResponse:
    """Answers, restricted hosters, retests and unverified servers, the oldest first."""
    if not request.user.has_perm("hosting.change_hoster"):
        raise PermissionDenied("Moderation is for staff who may change hosters.")
    hosters = list(inbox.restricted().order_by("name")[:SHOWN_MAX])
    actions = ModerationAction.objects.filter(hoster__in=hosters, offer=None).order_by(
        "hoster", "-created_at"
    )
    last = {action.hoster_id: action for action in actions.select_related("actor").distinct("hoster")}
    answers = inbox.answers().select_related("hoster", "offer", "actor").order_by("answered_at")[:SHOWN_MAX]
    unverified = inbox.unverified().select_related("hoster").order_by("created_at")
    context = {
        **admin.site.each_context(request),
        "title": "Moderation queue",
        "answers": [(action, reasons.for_hoster(action.hoster)) for action in answers],
        "hosters": [(hoster, last.get(hoster.pk), reasons.for_hoster(hoster)) for hoster in hosters],
        "models": inbox.retests().select_related("server__hoster").order_by("retest_at")[:SHOWN_MAX],
        "servers": [(server, setups.last_check(server)) for server in unverified[:SHOWN_MAX]],
    }
    return render(request, "admin/moderation_queue.html", context)
