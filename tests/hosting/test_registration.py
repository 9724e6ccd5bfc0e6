"""How servers come in, change their tokens, and leave for a while."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from accounts import keys
from accounts.models import ApiKey, Customer, User
from billing.models import LedgerAccount
from hosting import catalogue, market, prices, registration, standing, tokens
from hosting.addresses import AddressRefused
from hosting.models import HostedModel, Hoster, Server
from hosting.offers import LiveOffer
from hosting.registration import Registration, RegistrationRefused
from hosting.terms import ModelTerms, TermsRefused
from tests import factories
from tests.ports import ports

MODELS = [ModelTerms("llama", 50, 100, 8_192), ModelTerms("qwen", 1, 2, 4_096, "qwen2.5:7b")]


def register(**fields: Any) -> Registration:
    given = {
        "user_email": f"{factories.unique('bob')}@example.org",
        "name": factories.unique("Bob's GPUs"),
        "base_url": f"http://127.0.0.1:{next(ports)}/v1",
        "models": MODELS,
    }
    return registration.register(**(given | fields))


def offers_of(server: Server) -> list[LiveOffer]:
    with connection.cursor() as cursor:
        cursor.execute(catalogue.LIVE_OFFERS, {"prior": catalogue.BYTES_PER_TOKEN_PRIOR})
        (stock := catalogue.Stock()).take(cursor.fetchall())
    return [offer for offer in stock.offers if offer.server_id == server.pk]


def counts() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (User, Customer, Hoster, Server, HostedModel, ApiKey))


def test_bob_registers_and_gets_a_key_and_a_token() -> None:
    made = register()
    customer = made.hoster.customer
    key = customer.api_keys.get()
    assert keys.is_well_formed(made.api_key)
    assert (bytes(key.digest), key.name) == (keys.digest(made.api_key), "hoster")
    assert made.server_token.startswith("ngs_")
    assert made.server_token not in made.server.token_encrypted
    assert tokens.unseal(server_id=made.server.pk, sealed=made.server.token_encrypted) == made.server_token
    assert made.server.base_url.startswith("http://127.0.0.1:")
    assert not made.server.base_url.endswith("/v1")
    assert made.server.slots == 64
    assert made.hoster.trust == 0.5
    assert not customer.user.has_usable_password()
    kinds = LedgerAccount.objects.filter(customer=customer).values_list("kind", flat=True)
    assert set(kinds) == {"customer", "hoster_pending"}


def test_a_server_has_no_traffic_until_it_is_verified() -> None:
    made = register()
    assert offers_of(made.server) == []
    registration.mark_verified(made.server)
    offers = offers_of(made.server)
    assert [(offer.model, offer.upstream_name, offer.price_in, offer.price_out) for offer in offers] == [
        ("llama", "llama", 50, 100),
        ("qwen", "qwen2.5:7b", 1, 2),
    ]
    assert offers[0].token == made.server_token
    registration.mark_failed(made.server, ["It went away."])
    assert offers_of(made.server) == []
    assert Server.objects.get(pk=made.server.pk).verification_error == "It went away."


def test_a_second_server_of_the_same_hoster_keeps_its_name_and_gets_another_key() -> None:
    first = register()
    second = register(user_email=first.hoster.customer.user.email.upper(), name="second box")
    assert second.hoster == first.hoster
    assert second.server.name == "second box"
    assert second.api_key != first.api_key
    assert first.hoster.servers.count() == 2


def test_a_customer_becomes_a_hoster_with_the_account_they_have() -> None:
    alice = factories.person("alice")
    made = register(user_email=alice.customer.user.email)
    assert made.hoster.customer == alice.customer
    assert Customer.objects.get(pk=alice.customer.pk).tier_id == "internal"


def test_carol_cannot_take_bobs_name_or_address() -> None:
    bob = register()
    before = counts()
    with pytest.raises(RegistrationRefused, match="exists already"):
        register(name=bob.hoster.name.upper())
    for spelling in (bob.server.base_url, bob.server.base_url + "/", bob.server.base_url + "/v1"):
        with pytest.raises(RegistrationRefused, match="registered already"):
            register(base_url=spelling)
    assert counts() == before


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"user_email": "bob"}, RegistrationRefused),
        ({"user_email": "bob@example.org\r\nBcc: x@y.z"}, RegistrationRefused),
        ({"name": " "}, RegistrationRefused),
        ({"name": "x" * 81}, RegistrationRefused),
        ({"name": "a\nb"}, RegistrationRefused),
        ({"name": "evil\u202egnp"}, RegistrationRefused),
        ({"slots": 0}, RegistrationRefused),
        ({"slots": 10_001}, RegistrationRefused),
        ({"server_token": ""}, RegistrationRefused),
        ({"server_token": "two words"}, RegistrationRefused),
        ({"server_token": "a\r\nx: y"}, RegistrationRefused),
        ({"server_token": "x" * 501}, RegistrationRefused),
        ({"models": []}, TermsRefused),
        ({"models": [ModelTerms("auto", 1, 2, 3)]}, TermsRefused),
        ({"models": [ModelTerms("gpt-4o", 1, 2, 3, "mistral-7b-instruct")]}, TermsRefused),
        ({"base_url": "http://169.254.169.254:8000"}, AddressRefused),
        ({"base_url": "ftp://good.com"}, AddressRefused),
    ],
)
def test_what_cannot_be_registered_leaves_nothing_behind(
    fields: dict[str, Any], error: type[Exception]
) -> None:
    before = counts()
    with pytest.raises(error) as refusal:
        register(**fields)
    assert counts() == before
    assert str(refusal.value).endswith((".", ".)"))


def test_a_blocked_account_cannot_register() -> None:
    carol = factories.person("carol")
    User.objects.filter(pk=carol.customer.user.pk).update(is_active=False)
    with pytest.raises(RegistrationRefused, match="blocked"):
        register(user_email=carol.customer.user.email)


def test_a_suspended_hoster_cannot_add_servers() -> None:
    made = register()
    Hoster.objects.filter(pk=made.hoster.pk).update(status="suspended")
    with pytest.raises(RegistrationRefused, match="suspended"):
        register(user_email=made.hoster.customer.user.email)


def test_one_address_asked_for_by_many_at_once_goes_to_one() -> None:
    base_url = f"http://127.0.0.1:{next(ports)}"

    def attempt(_: int) -> bool:
        try:
            register(base_url=base_url)
        except RegistrationRefused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_a_rotated_token_replaces_the_old_one_and_raises_both_versions() -> None:
    made = register(server_token="bobs-own-good-token")
    registration.mark_verified(made.server)
    before = Server.objects.get(pk=made.server.pk)
    token = registration.rotate_token(made.server)
    after = Server.objects.get(pk=made.server.pk)
    assert token.startswith("ngs_")
    assert [offer.token for offer in offers_of(after)] == [token, token]
    assert after.token_version == before.token_version + 1
    assert after.version > before.version
    assert registration.rotate_token(made.server, "another-good-token") == "another-good-token"
    assert offers_of(after)[0].token == "another-good-token"
    for refused in ("not a header of any kind\n", "x" * 15):
        with pytest.raises(RegistrationRefused):
            registration.rotate_token(made.server, refused)
    assert offers_of(after)[0].token == "another-good-token"


def test_a_token_that_can_be_guessed_is_no_lock_and_what_is_needed_is_told() -> None:
    with pytest.raises(RegistrationRefused, match="needs 16 to 500 ASCII characters"):
        register(server_token="x" * 15)
    assert register(server_token="x" * 16).server_token == "x" * 16


def test_a_provider_of_the_operators_has_whatever_token_it_has() -> None:
    base_url = f"http://10.0.0.1:{next(ports)}/v1"
    local = registration.add_provider(kind="local", name="Ours", base_url=base_url, models=MODELS, token="x")
    assert offers_of(local)[0].token == "x"
    assert registration.rotate_token(local, "y") == "y"


def test_draining_acts_on_the_next_request() -> None:
    made = register()
    registration.mark_verified(made.server)
    before = Server.objects.get(pk=made.server.pk).version
    registration.set_draining(made.server, True)
    assert [offer.draining for offer in offers_of(made.server)] == [True, True]
    assert Server.objects.get(pk=made.server.pk).version > before
    registration.set_draining(made.server, False)
    assert not offers_of(made.server)[0].draining


def test_a_registered_server_is_given_no_commercial_name_either() -> None:
    server = register().server
    with pytest.raises(TermsRefused, match="commercial"):
        registration.offer(server, [ModelTerms("openai/gpt-4o", 1, 2, 3, "llama")])
    with pytest.raises(TermsRefused, match="commercial"):
        prices.add_model(server=server, model=ModelTerms("claude-3", 1, 2, 3, "llama"))
    assert set(server.models.values_list("model_id", flat=True)) == {"llama", "qwen"}


def test_the_operator_sells_a_vendors_model_by_its_name() -> None:
    cloud = registration.add_provider(
        kind="cloud",
        name="Vendor",
        base_url=f"https://api-{uuid.uuid4().hex[:8]}.example.org/v1",
        models=[ModelTerms("gpt-4o", 2_500, 10_000, 128_000)],
        token="sk-vendor",
    )
    assert [offer.model for offer in offers_of(cloud)] == ["gpt-4o"]


def test_a_provider_is_the_operators_own_and_ready_at_once() -> None:
    host = f"api-{uuid.uuid4().hex[:8]}.example.org"
    cloud = registration.add_provider(
        kind="cloud", name="Vendor", base_url=f"https://{host}/openai/v1/", models=MODELS, token="sk-vendor"
    )
    offer = offers_of(cloud)[0]
    assert (offer.kind, offer.owner, offer.hoster_id, offer.payee) == ("cloud", "Vendor", 0, 0)
    assert (offer.base_url, offer.token, offer.guarded) == (f"https://{host}/openai/v1", "sk-vendor", False)
    with pytest.raises(RegistrationRefused, match="already"):
        registration.add_provider(
            kind="cloud", name="Again", base_url=f"https://{host}/openai/v1", models=MODELS
        )
    local = registration.add_provider(
        kind="local", name="Ours", base_url=f"http://10.0.0.1:{next(ports)}/v1", models=MODELS
    )
    assert offers_of(local)[0].token == ""
    with pytest.raises(RegistrationRefused, match="local or cloud"):
        registration.add_provider(kind="hoster", name="x", base_url=f"https://{host}/v1", models=MODELS)


def test_an_existing_customer_is_found_again_and_its_tier_changes_only_when_given() -> None:
    email = f"{factories.unique('alice')}@example.org"
    first = registration.open_customer(email=f" {email.upper()} ")
    assert (first.user.email, first.tier_id) == (email, "free")
    assert registration.open_customer(email=email, tier="pro").tier_id == "pro"
    assert registration.open_customer(email=email) == first
    assert Customer.objects.get(pk=first.pk).tier_id == "pro"
    with pytest.raises(RegistrationRefused, match=r"no tier 'gold'.*enterprise, free"):
        registration.open_customer(email=email, tier="gold")


def test_a_server_is_waited_for_after_a_rotation_until_it_is_verified() -> None:
    made = register()
    registration.rotate_token(made.server)
    assert Server.objects.get(pk=made.server.pk).waiting_since is None  # it was not in traffic
    registration.mark_verified(made.server)
    registration.rotate_token(made.server)
    rotated = Server.objects.get(pk=made.server.pk)
    assert rotated.waiting_since is not None
    assert standing.of_server(rotated).label == "waiting for your server"
    assert [offer.waiting for offer in offers_of(rotated)] == [True, True]
    assert rotated.pk not in sold_at("llama")
    registration.mark_verified(made.server)
    assert Server.objects.get(pk=made.server.pk).waiting_since is None
    assert rotated.pk in sold_at("llama")


def sold_at(model_id: str) -> set[int]:
    listing = market.listing(model_id)
    return {offer.server_id for offer in listing.offers} if listing else set()
