"""How servers come in: a hoster's with its owner, key and token, or a provider of the operator's own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Case, F, JSONField, Value, When
from django.db.models.functions import Now

from accounts import issuing
from accounts.issuing import KeyRefused
from accounts.models import Customer, Tier, User
from billing import ledger
from hosting import addresses, connector, terms, tokens
from hosting.models import HostedModel, Hoster, Server
from hosting.terms import ModelTerms

KEY_NAME = "hoster"
NAME_CHARS_MAX = 80
SLOTS_MAX = 10_000
TOKEN = re.compile(r"[!-~]+", re.ASCII)  # what may stand in a header, without a space
TOKEN_CHARS_MIN, TOKEN_CHARS_MAX = 16, 500  # of a hoster's own: it is all that keeps strangers out
PROVIDER_KINDS = (Server.Kind.LOCAL, Server.Kind.CLOUD)


class RegistrationRefused(Exception):
    """Something that was given cannot be registered; the words say what and why."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What `register` made. Key and token are shown once; the database has a digest and a sealed copy."""

    hoster: Hoster
    server: Server
    api_key: str
    server_token: str


def register(
    *,
    user_email: str,
    name: str,
    base_url: str,
    models: Sequence[ModelTerms],
    slots: int | None = None,
    server_token: str | None = None,
) -> Registration:
    """Register a hoster's server, unverified: it gets no traffic until `mark_verified`.

    The user, the customer, its accounts and the hoster are made when missing; a hoster keeps its first name,
    and `name` is then the server's. Without `server_token` one is made. All or nothing.
    Raises RegistrationRefused, terms.TermsRefused and, for the base URL, AddressRefused.
    """
    token = tokens.make() if server_token is None else check_hosters_token(server_token)
    terms.check_hosters(models)
    with transaction.atomic():
        customer = open_customer(email=user_email)
        server = place(customer=customer, name=name, base_url=base_url, slots=slots)
        _furnish(server, models, token)
        assert server.hoster is not None
        return Registration(server.hoster, server, linked_key(customer), token)


def place(
    *,
    customer: Customer,
    name: str,
    base_url: str,
    slots: int | None = None,
    setup: dict[str, Any] | None = None,
) -> Server:
    """A hoster's server at its address, without token and models; its hoster is made when missing.

    setup: of one that is registered step by step. Raises RegistrationRefused and AddressRefused.
    """
    origin = str(addresses.parse_base_url(base_url, connector.policy()))
    name, slots = _checked_name(name), _checked_slots(slots)
    taken = RegistrationRefused(f"The address {origin} is registered already.")
    with transaction.atomic():
        hoster = _hoster(customer, name)
        if Server.objects.filter(kind=Server.Kind.HOSTER, base_url=origin).exists():
            raise taken
        try:
            with transaction.atomic():
                return Server.objects.create(
                    hoster=hoster, name=name, base_url=origin, slots=slots, setup=setup
                )
        except IntegrityError:  # somebody was faster
            raise taken from None


def linked_key(customer: Customer) -> str:
    """A key that shows and spends what the customer's servers earn. Raises RegistrationRefused."""
    try:
        key, _ = issuing.issue(customer=customer, name=KEY_NAME)
    except KeyRefused as refusal:
        raise RegistrationRefused(str(refusal)) from None
    return key


def offer(server: Server, models: Sequence[ModelTerms]) -> None:
    """These models, instead of whatever an unverified server offered before. Raises terms.TermsRefused."""
    terms.check_hosters(models)
    with transaction.atomic():
        server.models.all().delete()
        _furnish(server, models, "")


def discard(server: Server) -> None:
    """Forget a server that was never in traffic; its address is free again."""
    with transaction.atomic():
        server.models.all().delete()
        server.delete()


def add_provider(
    *,
    kind: str,
    name: str,
    base_url: str,
    models: Sequence[ModelTerms],
    token: str = "",
    slots: int | None = None,
) -> Server:
    """Add a server of the operator's own ("local") or of a vendor ("cloud"), ready for traffic.

    base_url: the full one, path included; requests go to `{base_url}/chat/completions`. The address guard
    does not apply. Raises RegistrationRefused, terms.TermsRefused and AddressRefused.
    """
    if kind not in PROVIDER_KINDS:
        raise RegistrationRefused("A provider is either local or cloud.")
    url = addresses.parse_provider_url(base_url)
    name, slots = _checked_name(name), _checked_slots(slots)
    token = check_token(token) if token else ""
    terms.check(models)
    with transaction.atomic():
        try:
            with transaction.atomic():
                server = Server.objects.create(
                    kind=kind, name=name, base_url=url, slots=slots, verified_at=Now()
                )
        except IntegrityError:
            raise RegistrationRefused(f"There is a {kind} provider at {url} already.") from None
        _furnish(server, models, token)
    return server


def mark_verified(server: Server) -> None:
    """From the next request on the server may get traffic."""
    Server.objects.filter(pk=server.pk).update(
        verified_at=Now(),
        verification_error="",
        waiting_since=None,
        setup=Case(When(setup__isnull=False, then=Value({"done": True}, output_field=JSONField()))),
    )


def mark_failed(server: Server, errors: Sequence[str]) -> None:
    """Keep why a server did not pass; it has no traffic until it does."""
    Server.objects.filter(pk=server.pk).update(verified_at=None, verification_error="\n".join(errors))


def rotate_token(server: Server, new_token: str | None = None) -> str:
    """Replace the server's token, made here unless given; from the next request on none carries the old one.

    A server in traffic is waited for until it takes the new one, without requests and without a penalty; its health
    checks see when that is. Returns the new token, to be shown once. Raises RegistrationRefused.
    """
    check = check_hosters_token if server.kind == Server.Kind.HOSTER else check_token
    token = tokens.make() if new_token is None else check(new_token)
    Server.objects.filter(pk=server.pk).update(
        token_encrypted=tokens.seal(server_id=server.pk, token=token),
        token_version=F("token_version") + 1,
        waiting_since=Case(When(verified_at__isnull=False, then=Now())),
    )
    return token


def set_draining(server: Server, draining: bool) -> None:
    """Stop traffic for maintenance, or take it up again; running answers end, scores do not suffer."""
    Server.objects.filter(pk=server.pk).update(draining=draining)


def open_customer(*, email: str, tier: str | None = None) -> Customer:
    """The customer of this e-mail address; user, customer and ledger account are made when missing.

    The user has no password: they sign in by e-mailed code or reset it. tier: set when given.
    Raises RegistrationRefused.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        raise RegistrationRefused(f"{email!r} is not an e-mail address.") from None
    with transaction.atomic():
        if tier is not None and not Tier.objects.filter(pk=tier).exists():
            known = ", ".join(Tier.objects.order_by("pk").values_list("pk", flat=True))
            raise RegistrationRefused(f"There is no tier {tier!r}. There are: {known}.")
        user, _ = User.objects.get_or_create(email=email, defaults={"password": make_password(None)})
        if not user.is_active:
            raise RegistrationRefused(f"The account of {email} is blocked.")
        customer = ledger.open_customer(user=user, tier=tier or "free")
        if tier is not None and customer.tier_id != tier:
            Customer.objects.filter(pk=customer.pk).update(tier=tier)
            customer.refresh_from_db(fields=["tier"])
    return customer


def _hoster(customer: Customer, name: str) -> Hoster:
    ledger.pending_account(customer)
    hoster = Hoster.objects.filter(customer=customer).first()
    if hoster is not None:
        if hoster.status in {Hoster.Status.SUSPENDED, Hoster.Status.DEACTIVATED}:
            raise RegistrationRefused(f"The hoster {hoster.name} is {hoster.status} and cannot add servers.")
        return hoster
    taken = RegistrationRefused(f"A hoster named {name!r} exists already. Choose another name.")
    if Hoster.objects.filter(name__iexact=name).exists():
        raise taken
    try:
        with transaction.atomic():
            return Hoster.objects.create(customer=customer, name=name)
    except IntegrityError:
        raise taken from None


def _furnish(server: Server, models: Sequence[ModelTerms], token: str) -> None:
    """The server's token, sealed to its id, and its models."""
    if token:
        server.token_encrypted = tokens.seal(server_id=server.pk, token=token)
        server.save(update_fields=["token_encrypted"])
    HostedModel.objects.bulk_create(
        HostedModel(
            server=server,
            model_id=model.model_id,
            upstream_name=model.upstream_name,
            price_per_input_token=model.price_in,
            price_per_output_token=model.price_out,
            context_window=model.context_window,
            chats=model.chats,
        )
        for model in models
    )
    server.refresh_from_db()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not (1 <= len(name) <= NAME_CHARS_MAX and name.isprintable()):
        raise RegistrationRefused(f"The name must have 1 to {NAME_CHARS_MAX} printable characters.")
    return name


def _checked_slots(slots: int | None) -> int:
    slots = settings.SERVER_SLOTS_DEFAULT if slots is None else slots
    if not 1 <= slots <= SLOTS_MAX:
        raise RegistrationRefused(f"Slots (parallel requests) must be between 1 and {SLOTS_MAX:,}.")
    return slots


def check_hosters_token(token: str) -> str:
    """As `check_token`, and long enough that nobody guesses it. Raises RegistrationRefused."""
    return check_token(token, chars_min=TOKEN_CHARS_MIN)


def check_token(token: str, *, chars_min: int = 1) -> str:
    """The token, when it can stand in a header. Raises RegistrationRefused."""
    if TOKEN.fullmatch(token) is None or not chars_min <= len(token) <= TOKEN_CHARS_MAX:
        raise RegistrationRefused(
            f"The server's token needs {chars_min} to {TOKEN_CHARS_MAX} ASCII characters and no spaces."
        )
    return token
