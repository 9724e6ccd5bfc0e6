"""What a hoster says to what was done: an answer to each action, and the wish for a new test. Anybody else gets 404."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.models import Customer
from billing.visitors import customers_only
from hosting import moderation
from hosting.models import HostedModel, ModerationAction
from hosting.moderation import ModerationRefused


@customers_only
@require_POST
def answer(request: HttpRequest, customer: Customer, action_id: int) -> HttpResponse:
    action = get_object_or_404(ModerationAction.objects.filter(hoster__customer=customer), pk=action_id)
    try:
        moderation.answer(action, request.POST.get("answer", ""))
        messages.success(request, "Your answer is sent. It is kept beside what it answers.")
    except ModerationRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("portal")


@customers_only
@require_POST
def retest(request: HttpRequest, customer: Customer, server_id: int, model_id: int) -> HttpResponse:
    own = HostedModel.objects.filter(server=server_id, server__hoster__customer=customer)
    offer = get_object_or_404(own, pk=model_id)
    try:
        moderation.ask_for_retest(offer)
        messages.success(request, f"{offer.model_id} is tested anew. Keep the server running.")
    except ModerationRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("server", server_id=server_id)
