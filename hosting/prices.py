"""What a hoster changes about the models of a server: another model, another price."""

from django.db import IntegrityError, transaction

from hosting import checking, terms
from hosting.models import HostedModel, Server
from hosting.terms import MODELS_MAX, ModelTerms, TermsRefused


class NotServed(Exception):
    """The server does not answer for the model; the words say what was seen."""


def add_model(*, server: Server, model: ModelTerms) -> HostedModel:
    """Offer another model on the server.

    On a server that has passed its check the model is tried first, so that no customer meets one that is not
    there; on another one it is checked with the rest. Raises TermsRefused, NotServed, checking.CheckRuns.
    """
    terms.check([model])
    if server.models.count() >= MODELS_MAX:
        raise TermsRefused(f"A server has between 1 and {MODELS_MAX} models.")
    taken = TermsRefused(f"{model.model_id} is on this server already. Change its price instead.")
    if server.models.filter(model_id=model.model_id).exists():
        raise taken
    if server.verified_at is not None and not (found := checking.probe(server, [model.asked_as])).ok:
        raise NotServed(" ".join(found.errors))
    try:
        with transaction.atomic():
            return HostedModel.objects.create(
                server=server,
                model_id=model.model_id,
                upstream_name=model.upstream_name,
                price_per_input_token=model.price_in,
                price_per_output_token=model.price_out,
                context_window=model.context_window,
            )
    except IntegrityError:  # somebody was faster
        raise taken from None


def set_price(*, model: HostedModel, price_in: int, price_out: int) -> None:
    """Nanodollars per token, from the next request on; what runs is billed at the price it was admitted with.

    Raises TermsRefused.
    """
    terms.check([ModelTerms(model.model_id, price_in, price_out, model.context_window, model.upstream_name)])
    HostedModel.objects.filter(pk=model.pk).update(
        price_per_input_token=price_in, price_per_output_token=price_out
    )


def set_offered(model: HostedModel, offered: bool) -> None:
    """Take a model off the market, or put it back; its price and history stay."""
    HostedModel.objects.filter(pk=model.pk).update(enabled=offered)
