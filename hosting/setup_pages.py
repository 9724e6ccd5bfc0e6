"""Registering a server, one step a page: address, token, check, models and prices, done. Works without scripts.

Where somebody stopped is kept with the server, so that `/hosters/register` goes on there; a step that is not due yet
leads to the one that is.
"""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.forms import BaseFormSet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts import once
from accounts.models import Customer
from accounts.once import AlreadySent
from billing.visitors import customers_only
from hosting import checking, going_rates, prices, registration, setups
from hosting.addresses import AddressRefused
from hosting.checking import CheckRuns
from hosting.forms import FoundFormSet, ServerForm, TokenForm, terms_of
from hosting.models import Hoster, Server
from hosting.registration import RegistrationRefused
from hosting.setups import ADDRESS, CHECK, DONE, MODELS, TOKEN
from hosting.views import start_lines

PAGES = {TOKEN: "register_token", CHECK: "register_check", MODELS: "register_models", DONE: "register_done"}
EXAMPLE_PRICE = 100
TICKED_MAX = 3  # models that are ticked from the start


@customers_only
def address(request: HttpRequest, customer: Customer) -> HttpResponse:
    """Where the server is; or the step where its owner stopped."""
    draft = setups.of_customer(customer)
    if draft is not None:
        return _go_on(draft)
    hoster = Hoster.objects.filter(customer=customer).first()
    form = ServerForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            return _go_on(setups.begin(customer=customer, **form.cleaned_data))
        except (RegistrationRefused, AddressRefused) as refusal:
            form.add_error(None, str(refusal))
    return _page(request, "address", ADDRESS, {"form": form, "hoster": hoster})


@customers_only
def token(request: HttpRequest, customer: Customer, draft_id: int) -> HttpResponse:
    """Made here or the hoster's own, and shown once, in the lines that start a server with it."""
    draft = _own(customer, draft_id)
    if draft.setup is None or setups.step(draft) == DONE:
        return _go_on(draft)
    form = TokenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with once.sending(request):
                made = setups.give_token(draft, form.cleaned_data["server_token"])
        except AlreadySent:
            messages.info(request, "The token was made already, and it is shown only once.")
            return _go_on(draft)
        return _page(request, "token_made", TOKEN, start_lines(draft, made))
    return _page(request, "token", TOKEN, {"form": form, "server": draft})


@customers_only
def check(request: HttpRequest, customer: Customer, draft_id: int) -> HttpResponse:
    """The stages as they are; a POST looks at the next one (a script asks for one after the other), or at all."""
    draft = _own(customer, draft_id)
    if draft.setup is None or setups.step(draft) not in {CHECK, MODELS}:
        return _go_on(draft)
    by_script = "HX-Request" in request.headers
    if request.method == "POST":
        try:
            look = setups.look if by_script else setups.look_at_all
            look(draft, again="again" in request.POST)
        except CheckRuns as refusal:
            messages.warning(request, str(refusal))
        if not by_script:
            return redirect("register_check", draft.pk)
    context = {"server": draft, "results": setups.results(draft), "passed": setups.passed(draft)}
    if by_script:
        context |= {"by_script": True, "looking_at": setups.next_stage(draft)}
        return render(request, "hosting/register/_stages.html", context)
    return _page(request, "check", CHECK, context)


@customers_only
def models(request: HttpRequest, customer: Customer, draft_id: int) -> HttpResponse:
    """What the server lists, with prices; with the last check of what was chosen it is in traffic."""
    draft = _own(customer, draft_id)
    if draft.setup is None or setups.step(draft) != MODELS:
        return _go_on(draft)
    initial = _found(draft)
    forms = FoundFormSet(request.POST if request.method == "POST" else None, initial=initial, prefix="models")
    errors: tuple[str, ...] = ()
    if request.method == "POST" and forms.is_valid():
        try:
            registration.offer(draft, terms_of(forms))
            errors = checking.check(draft).errors
        except CheckRuns as refusal:
            errors = (str(refusal),)
        if not errors:
            for chosen in terms_of(forms):
                if free := prices.given_away(chosen.price_in, chosen.price_out):
                    messages.warning(
                        request,
                        f"{chosen.model_id}: {free} Change its price in the portal if you did not mean it.",
                    )
            return redirect("register_done", draft.pk)
    context = {"server": draft, "forms": forms, "rows": _rows(draft, forms, initial), "errors": errors}
    return _page(request, "models", MODELS, context)


@customers_only
def done(request: HttpRequest, customer: Customer, draft_id: int) -> HttpResponse:
    """It is in traffic; the linked key, shown once."""
    draft = _own(customer, draft_id)
    if draft.setup is None or setups.step(draft) != DONE:
        return _go_on(draft)
    context: dict[str, Any] = {"server": draft, "hold_hours": settings.EARNINGS_HOLD_S // 3_600}
    if request.method == "POST":
        try:
            context["key"] = setups.finish(draft)
        except RegistrationRefused as refusal:
            messages.error(request, str(refusal))
    return _page(request, "done", DONE, context)


@customers_only
@require_POST
def leave(request: HttpRequest, customer: Customer, draft_id: int) -> HttpResponse:
    """Forget what was begun."""
    draft = _own(customer, draft_id)
    if draft.setup is not None and setups.step(draft) != DONE:
        registration.discard(draft)
        messages.success(request, f"{draft.name} is forgotten, and its address is free again.")
    return redirect("portal")


def _own(customer: Customer, server_id: int) -> Server:
    """One of the caller's servers, and anybody else's does not exist."""
    servers = Server.objects.filter(hoster__customer=customer).select_related("hoster__customer")
    return get_object_or_404(servers, pk=server_id)


def _go_on(server: Server) -> HttpResponse:
    """The step that is due; the server's page when there is none."""
    if server.setup is None:
        return redirect("server", server.pk)
    return redirect(PAGES[setups.step(server)], server.pk)


def _page(request: HttpRequest, name: str, step: int, context: dict[str, Any]) -> HttpResponse:
    context |= {
        "steps": setups.STEPS,
        "step": step,
        "title": setups.STEPS[step],
        "fee_bps": settings.PLATFORM_FEE_BPS,
        "kept_nanos": prices.kept_per_million(EXAMPLE_PRICE),
    }
    return render(request, f"hosting/register/{name}.html", context)


def _rows(draft: Server, forms: BaseFormSet, initial: list[dict[str, Any]]) -> list[tuple[Any, str, Any]]:
    """(form, the server's name for the model, what others ask for it) of each model."""
    listed = [row["listed"] for row in initial]
    rates = going_rates.beside(str(draft.hoster), listed)
    return [(form, name, rates.get(name)) for form, name in zip(forms, listed, strict=False)]


def _found(draft: Server) -> list[dict[str, Any]]:
    """The rows of the form: what the server lists, with what was chosen before."""
    chosen = {model.upstream_name or model.model_id: model for model in draft.models.all()}
    found = setups.found(draft)
    rows = []
    for number, listed in enumerate(found):
        row: dict[str, Any] = {
            "listed": listed.name,
            "model_id": listed.name,
            "context_window": listed.context_tokens or settings.CONTEXT_WINDOW_DEFAULT,
            "offer": not chosen and number < TICKED_MAX and len(found) <= TICKED_MAX,
        }
        if model := chosen.get(listed.name):
            row |= {
                "offer": True, "model_id": model.model_id, "context_window": model.context_window,
                "price_in": model.price_per_input_token, "price_out": model.price_per_output_token,
            }  # fmt: skip
        rows.append(row)
    return rows
