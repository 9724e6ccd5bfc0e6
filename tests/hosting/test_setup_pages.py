"""Registering a server step by step: where it goes on, what is said when something is wrong, what is kept and shown."""

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import auth
from hosting import going_rates, inbox, setups, stages, tokens
from hosting.going_rates import Range, Rates
from hosting.models import Hoster, Server
from hosting.stages import Found
from tests import factories, fakes
from tests.hosting.test_pages import page_of, shown, signed_in
from tests.ports import ports
from tests.staff import signed_in as signed_in_staff

QUERIES_MAX = 15
MODEL = "qwen2.5:7b"


@pytest.fixture
def fake() -> Iterator[fakes.FakeServer]:
    server = fakes.FakeServer(fakes.model(names=[MODEL, "nomic-embed"]))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def one_machine(settings) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True


def address(base_url: str, **fields: Any) -> dict[str, Any]:
    return {"name": factories.unique("Bob's GPU"), "base_url": base_url, "slots": 4, **fields}


def offered(**fields: Any) -> dict[str, Any]:
    """The form of the models step: the first is offered under a name of its own, the second is not."""
    return {
        "models-TOTAL_FORMS": 2,
        "models-INITIAL_FORMS": 2,
        "models-0-offer": "on",
        "models-0-model_id": factories.unique("qwen"),
        "models-0-price_in": 100,
        "models-0-price_out": 300,
        "models-0-context_window": 8_192,
        "models-1-model_id": "nomic-embed",
        "models-1-price_in": "nonsense",
        **fields,
    }


def at(draft: Server, step: str) -> str:
    return f"/hosters/register/{draft.pk}/{step}"


def begun(client: Client, base_url: str, **fields: Any) -> Server:
    answer = client.post("/hosters/register", address(base_url, **fields))
    assert answer.status_code == 302, answer.content.decode()
    return Server.objects.get(base_url=base_url)


def checked(client: Client, fake: fakes.FakeServer) -> Server:
    """Up to the models step."""
    draft = begun(client, fake.base_url)
    client.post(at(draft, "token"), {"server_token": fake.token})
    client.post(at(draft, "check"), {"again": "1"})
    return draft


# --------------------------------------------------------------------------------------------------- the whole


def test_a_server_goes_through_all_five_steps_without_scripts(fake: fakes.FakeServer):
    bob = factories.person("bob")
    client = signed_in(bob)
    assert "Step 1 of 5" in page_of(client, "/hosters/register")
    draft = begun(client, fake.base_url)
    page = client.get("/hosters/register", follow=True).content.decode()
    assert "Step 2 of 5" in page
    page = client.post(at(draft, "token"), {"server_token": ""}).content.decode()
    fake.token = shown(page, "token")
    assert f"--api-key {fake.token}" in html.unescape(page)
    assert "Ollama checks no token itself" in page
    assert "Step 3 of 5" in client.get("/hosters/register", follow=True).content.decode()
    page = client.post(at(draft, "check"), {"again": "1"}, follow=True).content.decode()
    assert "Everything is as it should be" in page
    page = client.get("/hosters/register", follow=True).content.decode()
    assert "Step 4 of 5" in page
    assert "Your server lists 2 models" in page
    assert fake.token not in page
    given = offered()
    page = client.post(at(draft, "models"), given, follow=True).content.decode()
    assert "Step 5 of 5" in page
    assert "is in traffic" in page
    page = client.post(at(draft, "done")).content.decode()
    assert auth.caller(f"Bearer {shown(page, 'key')}").customer == bob.customer
    model = Server.objects.get(pk=draft.pk).models.get()
    assert (model.model_id, model.upstream_name) == (given["models-0-model_id"], MODEL)
    assert model.fingerprint
    assert "in traffic" in page_of(client, f"/hosters/servers/{draft.pk}")
    again = client.post(at(draft, "done"))
    assert again["Location"] == f"/hosters/servers/{draft.pk}"  # the key is not made twice
    assert "Step 1 of 5" in page_of(client, "/hosters/register")  # of the next server


def test_every_step_asks_few_questions(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = checked(client, fake)
    for step in ("token", "check", "models"):
        with CaptureQueriesContext(connection) as asked:
            assert client.get(at(draft, step)).status_code == 200
        assert len(asked) <= QUERIES_MAX


# ----------------------------------------------------------------------------------------------------- address


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"base_url": "ftp://gpu.example.org"}, "errorlist"),
        ({"base_url": "https://169.254.169.254"}, "not a public one"),
        ({"slots": 0}, "too little: at least 1"),
        ({"name": ""}, "Fill this in"),
    ],
)
def test_nothing_begins_from_nonsense_and_what_was_typed_stays(fields: dict[str, object], words: str):
    bob = factories.person("bob")
    given = address(f"http://127.0.0.1:{next(ports)}") | fields
    page = html.unescape(signed_in(bob).post("/hosters/register", given).content.decode())
    assert words in page
    assert f'value="{given["base_url"]}"' in page
    assert not Hoster.objects.filter(customer=bob.customer).exists()


def test_an_address_is_registered_once():
    base_url = f"http://127.0.0.1:{next(ports)}"
    begun(signed_in(factories.person("bob")), base_url)
    response = signed_in(factories.person("carol")).post("/hosters/register", address(base_url))
    assert "registered already" in response.content.decode()


def test_what_was_begun_can_be_forgotten():
    client = signed_in(factories.person("bob"))
    base_url = f"http://127.0.0.1:{next(ports)}"
    draft = begun(client, base_url)
    assert "being registered" in page_of(client, "/hosters/portal")
    page = client.post(at(draft, "leave"), follow=True).content.decode()
    assert "is forgotten" in html.unescape(page)
    assert begun(client, base_url).pk != draft.pk


# ------------------------------------------------------------------------------------------------------- token


def test_a_token_of_ones_own_is_kept_and_shown():
    client = signed_in(factories.person("bob"))
    draft = begun(client, f"http://127.0.0.1:{next(ports)}")
    refused = client.post(at(draft, "token"), {"server_token": "two words"}).content.decode()
    assert "no spaces" in refused
    assert 'value="two words"' in refused
    refused = client.post(at(draft, "token"), {"server_token": "x"}).content.decode()
    assert "needs 16 to 500 ASCII characters" in refused
    assert "At least 16 characters" in refused
    page = client.post(at(draft, "token"), {"server_token": "my-own-good-token"}).content.decode()
    assert shown(page, "token") == "my-own-good-token"
    draft.refresh_from_db()
    assert tokens.unseal(server_id=draft.pk, sealed=draft.token_encrypted) == "my-own-good-token"
    assert "my-own-good-token" not in page_of(client, at(draft, "token"))


def test_another_token_makes_the_checks_begin_anew(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = checked(client, fake)
    draft.refresh_from_db()
    assert setups.step(draft) == setups.MODELS
    client.post(at(draft, "token"), {"server_token": "another-good-token"})
    draft.refresh_from_db()
    assert setups.step(draft) == setups.CHECK
    assert {result.state for result in setups.results(draft)} == {"waiting"}


# ------------------------------------------------------------------------------------------------------ checks


def test_a_script_asks_for_one_stage_after_the_other(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = begun(client, fake.base_url)
    client.post(at(draft, "token"), {"server_token": fake.token})
    fields: dict[str, str] = {"again": "1"}
    for number in range(1, len(stages.STAGES) + 1):
        part = client.post(at(draft, "check"), fields, headers={"HX-Request": "true"}).content.decode()
        assert part.count('badge good">passed') == number
        assert "<html" not in part
        assert ('hx-trigger="load"' in part) is (number < len(stages.STAGES))
        fields = {}
    assert "Go on to models and prices" in part


@pytest.mark.parametrize(
    ("stage", "fault", "words"),
    [
        ("health", fakes.plain(503, {}), "answers 503"),
        ("strangers", None, "does not refuse strangers"),
        ("models", fakes.plain(200, {"data": []}), "lists no model"),
        ("answers", fakes.plain(500, {}), "answers 500 instead of 200"),
    ],
)
def test_a_stage_that_fails_says_what_to_do(
    stage: str, fault: fakes.Script | None, words: str, fake: fakes.FakeServer
):
    client = signed_in(factories.person("bob"))
    draft = begun(client, fake.base_url)
    client.post(at(draft, "token"), {"server_token": fake.token})
    healthy, token = fake.script, fake.token
    path = {"health": "/health", "models": "/v1/models", "answers": "/v1/chat/completions"}.get(stage)
    if fault is None:
        fake.token = ""
    elif stage == "health":
        fake.broken_health = 503
    else:
        fake.script = lambda request: (fault if request.path == path else healthy)(request)
    page = html.unescape(client.post(at(draft, "check"), {"again": "1"}, follow=True).content.decode())
    assert words in page
    assert next(one for one in stages.STAGES if one.name == stage).advice in page
    assert "Step 3 of 5" in client.get("/hosters/register", follow=True).content.decode()
    fake.script, fake.token, fake.broken_health = healthy, token, 0
    page = client.post(at(draft, "check"), {"again": "1"}, follow=True).content.decode()
    assert "Everything is as it should be" in page


def test_a_server_that_does_not_run_cannot_be_reached():
    client = signed_in(factories.person("bob"))
    draft = begun(client, f"http://127.0.0.1:{next(ports)}")
    client.post(at(draft, "token"), {"server_token": ""})
    page = client.post(at(draft, "check"), {"again": "1"}, follow=True).content.decode()
    assert "There is no connection." in page
    assert page.count(">not yet<") == 4


def test_a_second_check_waits_for_the_first(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = begun(client, fake.base_url)
    client.post(at(draft, "token"), {"server_token": fake.token})
    cache.add(f"checking:{draft.pk}", 1, timeout=60)
    page = client.post(at(draft, "check"), {"again": "1"}, follow=True).content.decode()
    assert "runs already" in page
    assert fake.requests == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"data": [{"id": "a", "max_model_len": 4096}, {"id": "b"}]}', (Found("a", 4_096), Found("b"))),
        (b'{"data": [{"id": "two words"}, {"id": 7}, null, "x"]}', ()),
        (b'{"data": [{"id": "a", "max_model_len": -1}, {"id": "a"}]}', (Found("a"),)),
        (b'{"data": 7}', ()),
        (b"[]", ()),
        (b"no json", ()),
    ],
)
def test_what_a_server_lists_is_read_with_care(body: bytes, found: tuple[Found, ...]):
    assert stages.read(body) == found


# ------------------------------------------------------------------------------------------------------ models


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"models-0-offer": ""}, "Tick at least one model"),
        ({"models-0-price_in": ""}, "Fill this in"),
        ({"models-0-price_in": -1}, "from 0 to 1,000,000,000"),
        ({"models-0-price_out": 10**12}, "from 0 to 1,000,000,000 nanodollars per token ($1,000,000 per 1M"),
        (
            {"models-0-price_out": "9" * 21},
            "from 0 to 1,000,000,000 nanodollars per token ($1,000,000 per 1M",
        ),
        ({"models-0-model_id": "auto"}, "cannot be the id of a model"),
        ({"models-0-model_id": "gpt-4o"}, "'gpt-4o' is the name of a commercial model"),
        ({"models-0-context_window": 0}, "too little: at least 1"),
    ],
)
def test_nonsense_of_models_is_refused_and_what_was_typed_stays(
    fields: dict[str, object], words: str, fake: fakes.FakeServer
):
    client = signed_in(factories.person("bob"))
    draft = checked(client, fake)
    given = offered(**fields)
    page = html.unescape(client.post(at(draft, "models"), given).content.decode())
    assert words in page
    assert f'value="{given["models-0-model_id"]}"' in page
    assert not draft.models.exists()


def test_a_chosen_model_that_does_not_answer_says_so_and_can_be_left_out(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = checked(client, fake)
    healthy = fake.script

    def without_embeddings(request: fakes.Request) -> Any:
        cannot_chat = request.body.get("model") == "nomic-embed"
        return (fakes.plain(400, {}) if cannot_chat else healthy)(request)

    fake.script = without_embeddings
    both = offered(
        **{
            "models-1-offer": "on",
            "models-1-price_in": 1,
            "models-1-price_out": 0,
            "models-1-context_window": 512,
        }
    )
    page = client.post(at(draft, "models"), both).content.decode()
    assert "nomic-embed answers 400" in page
    assert "checked" in page
    draft.refresh_from_db()
    assert draft.verified_at is None
    assert "Step 4 of 5" in client.get("/hosters/register", follow=True).content.decode()
    answer = client.post(at(draft, "models"), {**both, "models-1-offer": ""})
    assert answer["Location"] == at(draft, "done")
    assert draft.models.count() == 1


def test_what_is_given_away_is_told_at_the_end(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = checked(client, fake)
    given = offered(**{"models-0-price_out": 0})
    page = client.post(at(draft, "models"), given, follow=True).content.decode()
    assert f"{given['models-0-model_id']}: The answer’s tokens are free" in page
    assert "Change its price in the portal" in page


def test_the_market_is_shown_beside_the_price(fake: fakes.FakeServer):
    model = factories.unique("qwen")
    fake.script = fakes.model(names=[model, factories.unique("rare")])
    bob, hoster = factories.hoster()
    for price in (20, 45, 80):
        other = f"https://{factories.unique('gpu')}.example"
        factories.server(other, model=model, price_in=price, price_out=2 * price)
    factories.server(of=hoster, model=model, price_in=1)
    rates = going_rates.beside(hoster.name, [model, "nobody-has-it"])
    assert rates == {model: Rates(3, Range(20, 45, 80), Range(40, 90, 160))}
    client = signed_in(bob)
    page = page_of(client, at(checked(client, fake), "models"))
    assert "3 others now: $0.02 to $0.08, median $0.045 per 1M" in page
    assert "3 others now: $0.04 to $0.16, median $0.09 per 1M" in page
    assert "Nobody else sells it now." in page
    assert "of which you keep $0.08" in page


def test_a_server_in_traffic_is_not_forgotten_nor_given_other_models(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = checked(client, fake)
    client.post(at(draft, "models"), offered())
    for step in ("token", "check", "models"):
        assert client.post(at(draft, step), offered())["Location"] == at(draft, "done")
    client.post(at(draft, "leave"))
    assert draft.models.count() == 1


# ----------------------------------------------------------------------------------------------------- operator


def test_the_operator_reads_how_far_a_registration_is(fake: fakes.FakeServer):
    client = signed_in(factories.person("bob"))
    draft = begun(client, fake.base_url)

    def told() -> str:
        draft.refresh_from_db()
        return setups.last_check(draft)

    assert "its hoster has made no token for it yet" in told()
    client.post(at(draft, "token"), {"server_token": "another-good-token"})
    assert "its hoster has not pressed “Check my server” yet" in told()
    client.post(at(draft, "check"), {"again": "1"})
    assert "“It is well” did not pass: The server is not well" in told()
    client.post(at(draft, "token"), {"server_token": fake.token})
    client.post(at(draft, "check"), {"again": "1"})
    assert "passed; its hoster has not chosen models and prices yet" in told()
    client.post(at(draft, "check"), {"again": "1"}, headers={"HX-Request": "true"})
    assert "1 of 5 stages passed, the others were not looked at yet" in told()
    client.post(at(draft, "check"), {"again": "1"})
    cannot = fakes.plain(500, {})
    healthy, fake.script = fake.script, lambda request: (cannot if request.body else healthy)(request)
    client.post(at(draft, "models"), offered())
    assert "answers 500" in told()


def test_the_operator_reads_that_a_server_was_never_checked(monkeypatch: pytest.MonkeyPatch):
    _, hoster = factories.hoster()
    server, _ = factories.server(of=hoster)
    Server.objects.filter(pk=server.pk).update(verified_at=None)
    monkeypatch.setattr(inbox, "unverified", lambda: Server.objects.filter(pk=server.pk))
    page = signed_in_staff().get(reverse("admin:moderation_queue")).content.decode()
    assert server.base_url in page
    assert "its hoster has not let it be checked yet" in page


# ---------------------------------------------------------------------------------------------------- strangers


def test_carol_does_not_find_what_bob_registers(fake: fakes.FakeServer):
    draft = checked(signed_in(factories.person("bob")), fake)
    for carol in (signed_in(factories.person("carol")), signed_in(factories.hoster("carol")[0])):
        for step in ("token", "check", "models", "done", "leave"):
            assert carol.post(at(draft, step), offered()).status_code == 404
        for step in ("token", "check", "models", "done"):
            assert carol.get(at(draft, step)).status_code == 404
    assert re.search("Step 1", page_of(signed_in(factories.person("carol")), "/hosters/register"))
