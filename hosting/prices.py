"""What a hoster changes about the models of a server: another model, another price."""

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from billing import money
from hosting import checking, terms
from hosting.drift import Fingerprint
from hosting.models import HostedModel, Server
from hosting.terms import MODELS_MAX, ModelTerms, TermsRefused
from hosting.verification import Asked

LET_WAIT = """
-- one row by its primary key; none when this is the price already
UPDATE hosting_hostedmodel
   SET next_price_per_input_token = %(price_in)s, next_price_per_output_token = %(price_out)s,
       price_changes_at = app_now() + make_interval(secs => %(delay_s)s)
 WHERE id = %(id)s AND (price_per_input_token, price_per_output_token) <> (%(price_in)s, %(price_out)s)
"""
SET_NOW = """
-- one row by its primary key
UPDATE hosting_hostedmodel
   SET price_per_input_token = %(price_in)s, price_per_output_token = %(price_out)s,
       next_price_per_input_token = NULL, next_price_per_output_token = NULL, price_changes_at = NULL
 WHERE id = %(id)s
"""
SERVERS_WITH_DUE_PRICES = """
-- small table, read whole
SELECT DISTINCT server_id FROM hosting_hostedmodel WHERE price_changes_at <= app_now() ORDER BY server_id
"""
APPLY_DUE = """
-- hosting_hostedmodel_once; the trigger raises the version of this one server: no other is locked meanwhile
UPDATE hosting_hostedmodel
   SET price_per_input_token = next_price_per_input_token, price_per_output_token = next_price_per_output_token,
       next_price_per_input_token = NULL, next_price_per_output_token = NULL, price_changes_at = NULL
 WHERE server_id = %s AND price_changes_at <= app_now()
"""
PRICE_COLUMNS = [
    *("price_per_input_token", "price_per_output_token"),
    *("next_price_per_input_token", "next_price_per_output_token", "price_changes_at"),
]


class NotServed(Exception):
    """The server does not answer for the model; the words say what was seen."""


def add_model(*, server: Server, model: ModelTerms) -> HostedModel:
    """Offer another model on a hoster's server.

    On a server that has passed its check the model is tried first, so that no customer meets one that is not
    there; on another one it is checked with the rest. Raises TermsRefused, NotServed, checking.CheckRuns.
    """
    terms.check_hosters([model])
    if server.models.count() >= MODELS_MAX:
        raise TermsRefused(f"A server has between 1 and {MODELS_MAX} models.")
    taken = TermsRefused(f"{model.model_id} is on this server already. Change its price instead.")
    if server.models.filter(model_id=model.model_id).exists():
        raise taken
    fingerprint = _tried(server, model) if server.verified_at is not None else {}
    try:
        with transaction.atomic():
            return HostedModel.objects.create(
                server=server,
                model_id=model.model_id,
                upstream_name=model.upstream_name,
                price_per_input_token=model.price_in,
                price_per_output_token=model.price_out,
                context_window=model.context_window,
                fingerprint=fingerprint,
            )
    except IntegrityError:  # somebody was faster
        raise taken from None


def _tried(server: Server, model: ModelTerms) -> Fingerprint:
    found = checking.probe(server, [Asked(model.model_id, model.asked_as)])
    if not found.ok:
        raise NotServed(" ".join(found.errors))
    return found.fingerprints[model.model_id]


def set_price(*, model: HostedModel, price_in: int, price_out: int) -> None:
    """A new price in nanodollars per token; it comes after PRICE_DELAY_S, so that who chose by the old one pays it.

    It replaces a price that waits and begins the wait anew; the current price only cancels what waits. What runs
    is billed at the price it was admitted with. The prices of `model` are then as in the database. Raises TermsRefused.
    """
    terms.check([ModelTerms(model.model_id, price_in, price_out, model.context_window, model.upstream_name)])
    asked = {"id": model.pk, "price_in": price_in, "price_out": price_out, "delay_s": settings.PRICE_DELAY_S}
    with connection.cursor() as cursor:
        if settings.PRICE_DELAY_S:
            cursor.execute(LET_WAIT, asked)
        if not settings.PRICE_DELAY_S or cursor.rowcount == 0:
            cursor.execute(SET_NOW, asked)
    model.refresh_from_db(fields=PRICE_COLUMNS)


def kept_per_million(price_nanos: int) -> int:
    """What the hoster keeps of a million tokens at this price, in nanodollars: the price without the platform's fee."""
    return kept(price_nanos * 1_000_000)


def kept(gross_nanos: int) -> int:
    """What the hoster keeps of a charge, in nanodollars, as the books split it."""
    return gross_nanos - gross_nanos * settings.PLATFORM_FEE_BPS // 10_000


def kept_percent() -> str:
    """Its part of each charge, for people: "80", or "82.5"."""
    return f"{100 - settings.PLATFORM_FEE_BPS / 100:g}"


def told(model: HostedModel) -> str:
    """The price that was just set, for a million tokens so that a slip shows, and when it comes."""
    if model.price_changes_at is None:
        asked_nanos = [model.price_per_input_token, model.price_per_output_token]
        when = "from the next request on"
    else:
        asked_nanos = [model.next_price_per_input_token or 0, model.next_price_per_output_token or 0]
        when = f"from {model.price_changes_at:%H:%M:%S} UTC on"
    words_in, words_out = (money.text(nanos * 1_000_000) for nanos in asked_nanos)
    costs = f"{words_in} for 1M input tokens and {words_out} for 1M output tokens"
    return f"{model.model_id} costs {costs} {when}. {given_away(*asked_nanos)}".rstrip()


def given_away(price_in: int, price_out: int) -> str:
    """What is free at these prices, as a sentence; empty when nothing is."""
    if price_in and price_out:
        return ""
    tokens = (
        "All of its tokens" if price_in == price_out else f"The {'answer' if price_in else 'prompt'}’s tokens"
    )
    return f"{tokens} are free: nobody pays for them, and they earn nothing."


def apply_due() -> int:
    """Make the prices current whose wait is over; how many. Safe to run twice and at the same time."""
    applied = 0
    with connection.cursor() as cursor:
        cursor.execute(SERVERS_WITH_DUE_PRICES)
        for row in cursor.fetchall():
            cursor.execute(APPLY_DUE, row)
            applied += cursor.rowcount
    return applied


def set_offered(model: HostedModel, offered: bool) -> None:
    """Take a model off the market, or put it back; its price and history stay."""
    HostedModel.objects.filter(pk=model.pk).update(enabled=offered)
    model.enabled = offered


def told_offered(model: HostedModel) -> str:
    """What it means that the model was just withdrawn, or offered again."""
    if not model.enabled:
        return (
            f"{model.model_id} is off the market; requests under way are finished. "
            "“Offer again” brings it back at its price."
        )
    if model.deactivated_at is not None:
        return f"{model.model_id} is offered again once it has passed a new test: it is deactivated."
    return f"{model.model_id} is offered again at its price, whenever its server takes traffic."
