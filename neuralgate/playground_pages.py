"""The playground: a page that calls the API like any other program, with a key of its own that lives for minutes."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from accounts import issuing
from accounts.issuing import KeyRefused
from accounts.models import Customer
from billing import balances
from billing.visitors import customers_only
from hosting import market


@customers_only
def playground(request: HttpRequest, customer: Customer) -> HttpResponse:
    models = [model for model in market.listings()[1:] if model.chats]
    asked = request.GET.get("model", "")
    context = {
        "models": models,
        "asked": asked,
        "shown": asked if asked in {model.id for model in models} else market.AUTO,
        "balance": balances.of(customer),
        "minutes": issuing.PLAYGROUND_S // 60,
        "public_url": settings.PUBLIC_URL,
    }
    return render(request, "pages/playground.html", context)


@customers_only
@require_POST
def key(request: HttpRequest, customer: Customer) -> HttpResponse:
    """A key for the page's script, which keeps it in memory only: a session never opens /v1."""
    try:
        string, _ = issuing.issue_for_playground(customer)
    except KeyRefused as refusal:
        return JsonResponse({"message": str(refusal)}, status=409)
    return JsonResponse({"key": string}, status=201)
