"""Who and what is in the demo's database: an admin, a customer, three hosters, two providers."""

import asyncio

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.utils import decrypt
from django.core.management.base import CommandError

from accounts import issuing, keys
from accounts.models import ApiKey, Customer, User
from hosting import fingerprints, registration, tokens, verification
from hosting.models import Server
from hosting.terms import ModelTerms
from hosting.verification import Asked
from neuralgate.demo.network import NETWORK, Simulated, address
from neuralgate.demo.notes import Login, Notes

ADMIN, CUSTOMER, HOSTER = "admin", "alice", "aurora"


def settle_in(notes: Notes) -> None:
    """Make everybody and every server that is not there yet; its servers must be listening."""
    admin = notes.login(ADMIN)
    if not User.objects.filter(email=admin.email).exists():
        User.objects.create_superuser(admin.email, admin.password)
    _second_factor(User.objects.get(email=admin.email), admin, notes)
    alice = notes.login(CUSTOMER)
    _let_in(registration.open_customer(email=alice.email, tier="pro"), alice, notes)
    for simulated in NETWORK:
        _connect(simulated, notes)
    for simulated in NETWORK:
        if simulated.kind is Server.Kind.HOSTER:
            bob = notes.login(simulated.name)
            _let_in(registration.open_customer(email=bob.email), bob, notes)


def _let_in(customer: Customer, login: Login, notes: Notes) -> None:
    """The password and the key that the notes name open the door."""
    user = customer.user
    if not user.check_password(login.password):
        user.set_password(login.password)
        user.save(update_fields=["password"])
    if not ApiKey.objects.filter(customer=customer, digest=keys.digest(login.key), revoked_at=None).exists():
        login.key, _ = issuing.issue(customer=customer, name="demo")
        notes.save()


def _second_factor(user: User, login: Login, notes: Notes) -> None:
    """Staff need one: the notes have a secret for an app, and codes that are unused again at each start."""
    login.secret = login.secret or generate_totp_secret()
    found = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if found is None or decrypt(found.data["secret"]) != login.secret:
        Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).delete()
        TOTP.activate(user, login.secret)
    spare = RecoveryCodes.activate(user)
    spare.instance.data["used_mask"] = 0
    spare.instance.save(update_fields=["data"])
    login.codes = spare.generate_codes()
    notes.save()


def _connect(simulated: Simulated, notes: Notes) -> None:
    """The server is registered at its address of today, with the token of the notes, and verified."""
    is_hoster = simulated.kind is Server.Kind.HOSTER
    base_url = address(notes.ports, simulated.name) + ("" if is_hoster else "/v1")
    token = notes.token(simulated.name)
    server = Server.objects.filter(kind=simulated.kind, name=simulated.name).first()
    if server is None:
        server = _register(simulated, base_url, token, notes)
    elif server.base_url != base_url:
        Server.objects.filter(pk=server.pk).update(base_url=base_url)
    if tokens.unseal(server_id=server.pk, sealed=server.token_encrypted) != token:
        registration.rotate_token(server, token)
    if is_hoster and server.verified_at is None:
        _verify(server, simulated, base_url, token)


def _register(simulated: Simulated, base_url: str, token: str, notes: Notes) -> Server:
    models = [
        ModelTerms(
            model.model_id, model.price_in, model.price_out, model.context_window, chats=not model.embeds
        )
        for model in simulated.models
    ]
    if simulated.kind is not Server.Kind.HOSTER:
        return registration.add_provider(
            kind=simulated.kind,
            name=simulated.name,
            base_url=base_url,
            models=models,
            token=token,
            slots=simulated.slots,
        )
    login = notes.login(simulated.name)
    made = registration.register(
        user_email=login.email,
        name=simulated.name,
        base_url=base_url,
        models=models,
        slots=simulated.slots,
        server_token=token,
    )
    login.key = made.api_key
    notes.save()
    return made.server


def _verify(server: Server, simulated: Simulated, base_url: str, token: str) -> None:
    models = [Asked(model.model_id, model.model_id) for model in simulated.models]
    found = asyncio.run(verification.verify(base_url=base_url, token=token, models=models))
    if not found.ok:
        registration.mark_failed(server, found.errors)
        raise CommandError(f"{simulated.name} did not pass its check: {' '.join(found.errors)}")
    fingerprints.keep(server, found.fingerprints)
    registration.mark_verified(server)
