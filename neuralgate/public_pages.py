"""What everybody may see of the network: landing, catalogue, a model, status."""

from django.conf import settings
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from hosting import market, prices
from hosting.selection import Wishes
from neuralgate import charts, examples, network


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """What it is, for both sides, and that it is alive."""
    context = {
        "network": network.figures(),
        "public_url": settings.PUBLIC_URL,
        "welcome_nanos": settings.WELCOME_CREDIT_NANOS,
        "hoster_percent": prices.kept_percent(),
        "examples": examples.of_chat(market.AUTO, base_url=f"{settings.PUBLIC_URL}/v1")[:2],
    }
    return render(request, "pages/landing.html", context)


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The moving part of the landing page, which asks for it again and again."""
    return render(request, "pages/_live.html", {"network": network.figures()})


@require_safe
@vary_on_headers("HX-Request")
def models(request: HttpRequest) -> HttpResponse:
    """Everything for sale; `auto`, the first listing, is not a model and has a line of its own."""
    wishes = Wishes(request.GET)
    listings = market.listings()[1:]
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "wishes": wishes,
        "page": wishes.page(listings),
        "total": len(listings),
        "query": query.urlencode(),
    }
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-History-Restore-Request")
    return render(request, "pages/_models.html" if partial else "pages/models.html", context)


@require_safe
def model(request: HttpRequest, model_id: str) -> HttpResponse:
    """One model: who serves it at what price and how well, and how to call it."""
    listing = market.listing(model_id)
    if listing is None:
        raise Http404("nobody sells this model now")
    context = {
        "model": listing,
        "offers": () if listing.id == market.AUTO else listing.offers,
        "examples": (examples.of_chat if listing.chats else examples.of_embeddings)(
            listing.id, base_url=f"{settings.PUBLIC_URL}/v1"
        ),
    }
    return render(request, "pages/model.html", context)


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Is the network up? Also when the database is not: then without asking anybody anything."""
    try:
        found = network.status()
    except Error:
        return HttpResponse(render_to_string("pages/status_down.html"), status=503)
    context = {"status": found, "uptime": charts.uptime(found.pulse.days)}
    return render(request, "pages/status.html", context)
