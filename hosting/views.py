"""Hosters' pages about their servers: look at one, check it, change its token and its models."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts import once
from accounts.models import Customer
from accounts.once import AlreadySent
from billing.visitors import customers_only
from hosting import checking, offered, prices, registration, showcase, standing, starting
from hosting.checking import CheckRuns
from hosting.forms import PRICE_RANGE, ModelForm, PriceForm, TokenForm
from hosting.models import PRICE_MAX, Hoster, Server
from hosting.prices import NotServed
from hosting.terms import TermsRefused

EXAMPLE_PRICES = (
    (50, "Small models (0.5B–2B), high volume"),
    (100, "7B–9B models, competitive rate"),
    (300, "Standard output pricing for small models"),
    (500, "13B–27B models"),
    (2_000, "70B+ models, premium quality"),
)
EXAMPLE_GROSS_NANOS = 250 * 100 + 250 * 300  # the page's example: tokens times prices, in and out
CHECKS_SHOWN = 10


def hosters(request: HttpRequest) -> HttpResponse:
    """Why and how to host."""
    net_nanos = prices.kept(EXAMPLE_GROSS_NANOS)
    context = {
        "prices": EXAMPLE_PRICES,
        "market": showcase.now(),
        "gross_nanos": EXAMPLE_GROSS_NANOS,
        "fee_nanos": EXAMPLE_GROSS_NANOS - net_nanos,
        "net_nanos": net_nanos,
        "hoster_percent": prices.kept_percent(),
    }
    return render(request, "hosting/hosters.html", context)


@customers_only
def server(request: HttpRequest, customer: Customer, server_id: int) -> HttpResponse:
    """One server: how it stands, what was found, its models and prices; while it is registered, the next step."""
    owned = own(customer, server_id)
    if owned.setup is not None:
        return redirect("register_server")
    return _page(request, owned, ModelForm())


@customers_only
@require_POST
def check(request: HttpRequest, customer: Customer, server_id: int) -> HttpResponse:
    owned = own(customer, server_id)
    try:
        if checking.check(owned).ok:
            messages.success(request, f"{owned.name} passed every check. It is in traffic now.")
        else:
            messages.error(request, f"{owned.name} did not pass. What was found is listed below.")
    except CheckRuns as refusal:
        messages.warning(request, str(refusal))
    return redirect("server", server_id=owned.pk)


@customers_only
@require_POST
def drain(request: HttpRequest, customer: Customer, server_id: int) -> HttpResponse:
    owned = own(customer, server_id)
    draining = request.POST.get("draining") == "1"
    registration.set_draining(owned, draining)
    messages.success(
        request, f"{owned.name} gets no new requests." if draining else f"{owned.name} takes requests again."
    )
    return _back(request, owned)


@customers_only
def rotate_token(request: HttpRequest, customer: Customer, server_id: int) -> HttpResponse:
    """Ask first; then the new token, once."""
    owned = own(customer, server_id)
    form = TokenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with once.sending(request):
                token = registration.rotate_token(owned, form.cleaned_data["server_token"])
        except AlreadySent:
            messages.info(request, "The token was rotated already, and the new one is shown only once.")
            return redirect("server", server_id=owned.pk)
        return render(request, "hosting/rotated.html", start_lines(owned, token))
    return render(request, "hosting/rotate.html", {"server": owned, "form": form})


@customers_only
@require_POST
def add_model(request: HttpRequest, customer: Customer, server_id: int) -> HttpResponse:
    owned = own(customer, server_id)
    form = ModelForm(request.POST)
    if form.is_valid():
        try:
            added = prices.add_model(server=owned, model=form.terms)
        except (TermsRefused, NotServed, CheckRuns) as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{added.model_id} is on {owned.name} now. {prices.told(added)}")
            return redirect("server", server_id=owned.pk)
    return _page(request, owned, form)


@customers_only
@require_POST
def edit_model(request: HttpRequest, customer: Customer, server_id: int, model_id: int) -> HttpResponse:
    """Another price, or off the market and back."""
    owned = own(customer, server_id)
    model = get_object_or_404(owned.models, pk=model_id)
    form = PriceForm(request.POST)
    if "offered" in request.POST:
        prices.set_offered(model, request.POST["offered"] == "1")
        messages.success(request, prices.told_offered(model))
    elif form.is_valid():
        prices.set_price(model=model, **form.cleaned_data)
        messages.success(request, prices.told(model))
    else:
        messages.error(request, f"The price of {model.model_id} stays: a price is {PRICE_RANGE}.")
    return _back(request, owned)


def own(customer: Customer, server_id: int) -> Server:
    """One of the caller's servers; anybody else's does not exist for them."""
    hoster = get_object_or_404(Hoster.objects.filter(customer=customer))
    return get_object_or_404(hoster.servers.select_related("hoster"), pk=server_id)


def _back(request: HttpRequest, owned: Server) -> HttpResponse:
    """To the page whose button was pressed: the portal, which names itself, or the server's own."""
    if request.POST.get("from") == "portal":
        return redirect("/hosters/portal#servers")
    return redirect("server", server_id=owned.pk)


def _page(request: HttpRequest, owned: Server, form: ModelForm) -> HttpResponse:
    assert owned.hoster is not None
    rows = offered.of_servers(owned.hoster, [owned])[owned.pk]
    context = {
        "server": owned,
        "standing": standing.of_server(owned, paused_until=standing.paused_until(owned)),
        "rows": rows,
        "deactivated": [row.model for row in rows if row.model.deactivated_at],
        "actions": standing.actions(owned.hoster, owned),
        "errors": owned.verification_error.splitlines(),
        "checks": owned.health_checks.order_by("-checked_at")[:CHECKS_SHOWN],
        "form": form,
        "price_delay_s": settings.PRICE_DELAY_S,
        "price_max": PRICE_MAX,
    }
    return render(request, "hosting/server.html", context)


def start_lines(owned: Server, token: str) -> dict[str, Any]:
    """What a page needs that shows a token, once."""
    names = [model.upstream_name or model.model_id for model in owned.models.order_by("pk")]
    recipes = starting.recipes(
        base_url=owned.base_url, token=token, models=names or [starting.ANY_MODEL], slots=owned.slots
    )
    return {"server": owned, "token": token, "recipes": recipes}
