"""The pages of hosters: register, check, prices, token, drain; earnings; what a stranger sees."""

import html
import re
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db.models.functions import Now
from django.test import Client

from hosting import starting, tokens
from hosting.models import HostedModel, Hoster, Server
from tests import bookings, factories, fakes
from tests.ports import ports

SHOWN = r'id="{}">([^<]+)<'


@pytest.fixture
def fake() -> Iterator[fakes.FakeServer]:
    server = fakes.FakeServer(fakes.model())
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def one_machine(settings) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = True


def signed_in(who: factories.Person) -> Client:
    client = Client()
    client.force_login(who.customer.user)
    return client


def page_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def shown(page: str, what: str) -> str:
    found = re.search(SHOWN.format(what), page)
    assert found, page
    return html.unescape(found[1])


def unchecked(base_url: str) -> tuple[Client, Server, HostedModel]:
    """Bob, and a server of his that has not passed a check yet."""
    bob, hoster = factories.hoster()
    server, offer = factories.server(base_url, of=hoster, token="the-right-token")
    Server.objects.filter(pk=server.pk).update(verified_at=None)
    return signed_in(bob), server, offer


def test_a_server_is_checked_and_sold(fake: fakes.FakeServer):
    client, server, offer = unchecked(fake.base_url)
    fake.token = "the-right-token"
    assert "not checked yet" in page_of(client, "/hosters/portal")
    answer = client.post(f"/hosters/servers/{server.pk}/check", follow=True)
    assert "passed every check" in answer.content.decode()
    assert "in traffic" in page_of(client, "/hosters/portal")
    assert offer.model_id in page_of(Client(), f"/models?q={offer.model_id}")
    assert fake.token not in page_of(client, f"/hosters/servers/{server.pk}")


def test_a_failed_check_says_why(fake: fakes.FakeServer):
    client, server, _ = unchecked(fake.base_url)
    page = client.post(f"/hosters/servers/{server.pk}/check", follow=True).content.decode()
    assert "did not pass" in page
    assert "answers 401" in page
    server.refresh_from_db()
    assert server.verified_at is None
    assert server.verification_error


def test_a_second_check_waits_for_the_first(fake: fakes.FakeServer):
    client, server, _ = unchecked(fake.base_url)
    cache.add(f"checking:{server.pk}", 1, timeout=60)
    page = client.post(f"/hosters/servers/{server.pk}/check", follow=True).content.decode()
    assert "runs already" in page
    assert fake.requests == []


def test_a_rotated_token_is_shown_once_and_replaces_the_old_one():
    bob, hoster = factories.hoster()
    server, _ = factories.server(of=hoster)
    client = signed_in(bob)
    path = f"/hosters/servers/{server.pk}/token"
    assert "never the old one" in page_of(client, path)
    token = shown(client.post(path).content.decode(), "token")
    server.refresh_from_db()
    assert (
        tokens.unseal(server_id=server.pk, sealed=server.token_encrypted) == token != "server-token-of-tests"
    )
    assert server.token_version == 2
    assert token not in page_of(client, path)
    assert "waiting for your server" in page_of(client, "/hosters/portal")
    assert "start it with the new token" in page_of(client, f"/hosters/servers/{server.pk}")


def test_a_new_token_of_ones_own_is_long_enough():
    client, server, _ = unchecked(f"http://127.0.0.1:{next(ports)}")
    path = f"/hosters/servers/{server.pk}/token"
    assert "At least 16 characters" in page_of(client, path)
    assert "needs 16 to 500 ASCII characters" in client.post(path, {"server_token": "x"}).content.decode()
    server.refresh_from_db()
    assert server.token_version == 1
    page = client.post(path, {"server_token": "bobs-own-good-token"}).content.decode()
    assert shown(page, "token") == "bobs-own-good-token"


def test_a_server_drains_and_comes_back():
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    client = signed_in(bob)
    for wish, draining, label in (("1", True, "draining"), ("0", False, "in traffic")):
        page = client.post(f"/hosters/servers/{server.pk}/drain", {"draining": wish}, follow=True)
        assert label in page.content.decode()
        server.refresh_from_db()
        assert server.draining is draining
        assert (f">{offer.model_id}<" in page_of(Client(), f"/models?q={offer.model_id}")) is not draining


def test_a_price_changes_and_a_model_leaves_and_returns(settings):
    settings.PRICE_DELAY_S = 0
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    client = signed_in(bob)
    path = f"/hosters/servers/{server.pk}/models/{offer.pk}"
    client.post(path, {"price_in": 7, "price_out": 8})
    offer.refresh_from_db()
    assert (offer.price_per_input_token, offer.price_per_output_token) == (7, 8)
    refused = client.post(path, {"price_in": -7, "price_out": 8}, follow=True)
    assert "stays" in refused.content.decode()
    page = client.post(path, {"offered": "0"}, follow=True).content.decode()
    assert f"{offer.model_id} is off the market; requests under way are finished." in page
    assert f">{offer.model_id}<" not in page_of(Client(), f"/models?q={offer.model_id}")
    page = client.post(path, {"offered": "1"}, follow=True).content.decode()
    assert f"{offer.model_id} is offered again at its price" in page
    assert f">{offer.model_id}<" in page_of(Client(), f"/models?q={offer.model_id}")
    offer.refresh_from_db()
    assert offer.price_per_input_token == 7


def test_a_deactivated_model_that_is_offered_again_still_waits_for_its_test():
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    HostedModel.objects.filter(pk=offer.pk).update(enabled=False, deactivated_at=Now())
    path = f"/hosters/servers/{server.pk}/models/{offer.pk}"
    page = signed_in(bob).post(path, {"offered": "1"}, follow=True).content.decode()
    assert f"{offer.model_id} is offered again once it has passed a new test" in page


def test_the_page_for_hosters_says_what_this_installation_keeps(settings):
    page = page_of(Client(), "/hosters")
    assert "80 % of every request" in page
    assert "250 input tokens at a price of 100 ($0.10 per 1M tokens)" in page
    assert "250 output tokens at a price of 300 ($0.30 per 1M tokens)" in page
    settings.PLATFORM_FEE_BPS = 1_750
    page = page_of(Client(), "/hosters")
    assert "82.5 % of every request" in page
    for amount in ("$0.0001", "$0.0000175", "$0.0000825"):
        assert amount in page
    assert "82.5 % of each request" in page_of(Client(), "/")


def test_who_changes_a_server_in_the_portal_stays_there():
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    client = signed_in(bob)
    path = f"/hosters/servers/{server.pk}"
    asked = {f"{path}/models/{offer.pk}": {"price_in": 7, "price_out": 8}, f"{path}/drain": {"draining": "1"}}
    for action, sent in asked.items():
        assert client.post(action, sent)["Location"] == path
        assert client.post(action, {**sent, "from": "portal"})["Location"] == "/hosters/portal#servers"
        assert client.post(action, {**sent, "from": "https://elsewhere.example"})["Location"] == path


def test_a_price_that_waits_is_shown_with_its_time():
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    path = f"/hosters/servers/{server.pk}/models/{offer.pk}"
    page = signed_in(bob).post(path, {"price_in": 700, "price_out": 800}, follow=True).content.decode()
    offer.refresh_from_db()
    assert (
        f"costs $0.70 for 1M input tokens and $0.80 for 1M output tokens from {offer.price_changes_at:%H:%M:%S} UTC on"
        in page
    )
    comes = f"from {offer.price_changes_at:%H:%M:%S} UTC on"
    for name, now, then in (("in", "100", "700 ($0.70)"), ("out", "300", "800 ($0.80)")):
        beside = page.partition(f'name="price_{name}"')[2].partition("</div>")[0]
        assert f'value="{now}"' in beside
        assert f"then {then} {comes}" in beside


def test_beside_each_price_stands_what_a_million_tokens_cost():
    bob, hoster = factories.hoster()
    server, _ = factories.server(of=hoster, price_in=50, price_out=0)
    for path in (f"/hosters/servers/{server.pk}", "/hosters/portal"):
        page = page_of(signed_in(bob), path)
        for name, words in (("in", "$0.05 per 1M tokens"), ("out", "free")):
            beside = page.partition(f'name="price_{name}"')[2].partition("</div>")[0]
            assert f">{words}<" in beside
            assert 'max="1000000000"' in beside


@pytest.mark.parametrize("price", ["9" * 21, "1000000001", "-1", "x"])
def test_a_price_that_is_refused_is_told_the_limits(price: str):
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    path = f"/hosters/servers/{server.pk}/models/{offer.pk}"
    page = signed_in(bob).post(path, {"price_in": price, "price_out": 1}, follow=True).content.decode()
    assert "a whole number from 0 to 1,000,000,000 nanodollars per token ($1,000,000 per 1M tokens)" in page


def test_what_is_given_away_is_told():
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    client = signed_in(bob)
    path = f"/hosters/servers/{server.pk}/models/{offer.pk}"
    for price_in, price_out, words in (
        (7, 0, "The answer’s tokens are free: nobody pays for them, and they earn nothing."),
        (0, 7, "The prompt’s tokens are free: nobody pays for them, and they earn nothing."),
        (0, 0, "All of its tokens are free: nobody pays for them, and they earn nothing."),
    ):
        page = client.post(path, {"price_in": price_in, "price_out": price_out}, follow=True)
        assert words in page.content.decode()
    paid = client.post(path, {"price_in": 7, "price_out": 7}, follow=True).content.decode()
    assert "tokens are free:" not in paid


def new_model(model_id: str) -> dict[str, object]:
    return {"model_id": model_id, "price_in": 1, "price_out": 2, "context_window": 4_096}


def test_a_model_is_added_to_a_server_in_traffic_only_when_it_answers(fake: fakes.FakeServer):
    bob, hoster = factories.hoster()
    server, _ = factories.server(fake.base_url, of=hoster)
    client = signed_in(bob)
    path = f"/hosters/servers/{server.pk}/models"
    answering, fake.script = fake.script, fakes.plain(404, {})
    refused = client.post(path, new_model("another")).content.decode()
    assert "answers 404 instead of 200" in refused
    assert server.models.count() == 1
    fake.script = answering
    page = client.post(path, new_model("another") | {"price_out": 0}, follow=True).content.decode()
    assert "another is on" in page
    assert "The answer’s tokens are free" in page
    assert server.models.get(model_id="another").price_per_output_token == 0
    assert "on this server already" in client.post(path, new_model("another")).content.decode()
    server.refresh_from_db()
    assert server.verified_at is not None


def test_a_model_is_not_added_under_a_commercial_name():
    client, server, _ = unchecked(f"http://127.0.0.1:{next(ports)}")
    refused = client.post(f"/hosters/servers/{server.pk}/models", new_model("gpt-4o")).content.decode()
    assert "&#x27;gpt-4o&#x27; is the name of a commercial model" in refused
    assert not server.models.filter(model_id="gpt-4o").exists()


def test_a_model_of_a_server_that_is_not_checked_yet_waits_for_its_check():
    bob, hoster = factories.hoster()
    server, _ = factories.server(of=hoster)
    Server.objects.filter(pk=server.pk).update(verified_at=None)
    signed_in(bob).post(f"/hosters/servers/{server.pk}/models", new_model("another"))
    assert HostedModel.objects.filter(server=server, model_id="another").exists()


def test_the_portal_shows_what_was_earned_and_how_everything_stands():
    bob, hoster = factories.hoster(status="probation", status_reason="Wrong answers on Monday.")
    server, offer = factories.server(of=hoster)
    bookings.book(factories.person(), offer)
    page = page_of(signed_in(bob), "/hosters/portal")
    assert "$0.00008" in page
    assert "next release" in page
    assert offer.model_id in page
    assert "Half of your traffic" in page
    assert "Wrong answers on Monday." in page
    Server.objects.filter(pk=server.pk).update(health=0.2)
    assert "unhealthy" in page_of(signed_in(bob), "/hosters/portal")


def test_who_hosts_nothing_is_shown_the_way():
    assert "You host nothing yet" in page_of(signed_in(factories.person()), "/hosters/portal")


def test_carol_does_not_find_bobs_server():
    _, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    carol_hosts, _ = factories.hoster("carol")
    before = Server.objects.values().get(pk=server.pk)
    for carol in (signed_in(factories.person("carol")), signed_in(carol_hosts)):
        for path in ("", "/token"):
            assert carol.get(f"/hosters/servers/{server.pk}{path}").status_code == 404
        for path in ("/check", "/drain", "/token", "/models", f"/models/{offer.pk}"):
            answer = carol.post(f"/hosters/servers/{server.pk}{path}", {"draining": "1", "offered": "0"})
            assert answer.status_code == 404, path
    assert Server.objects.values().get(pk=server.pk) == before


def test_a_model_of_another_server_is_not_there():
    bob, hoster = factories.hoster()
    server, _ = factories.server(of=hoster)
    _, foreign = factories.server()
    answer = signed_in(bob).post(f"/hosters/servers/{server.pk}/models/{foreign.pk}", {"offered": "0"})
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["check", "drain", "models", "models/1"])
def test_what_changes_something_is_not_done_by_a_link(path: str):
    bob, hoster = factories.hoster()
    server, _ = factories.server(of=hoster)
    assert signed_in(bob).get(f"/hosters/servers/{server.pk}/{path}").status_code == 405


def test_what_hosters_write_is_escaped_everywhere():
    attack = f"<script>alert({next(ports)})</script>"
    client, server, _ = unchecked(f"http://127.0.0.1:{next(ports)}")
    Server.objects.filter(pk=server.pk).update(name=attack, verification_error=attack)
    Hoster.objects.filter(pk=server.hoster_id).update(status_reason=attack, status="warned")
    for path in ("/hosters/portal", f"/hosters/servers/{server.pk}"):
        page = page_of(client, path)
        assert attack not in page
        assert html.escape(attack) in page


def test_the_lines_to_start_a_server_survive_any_token():
    recipes = starting.recipes(
        base_url="https://gpu.example.org", token='it\'s "$HOME"', models=["a/b:7b"], slots=2
    )
    by_name = {recipe.name: recipe.text for recipe in recipes}
    assert "--port 443 -np 2 --api-key 'it'\"'\"'s \"$HOME\"'" in by_name["llama.cpp"]
    assert by_name["Ollama"].startswith("gpu.example.org {")
    assert 'Authorization "Bearer it\'s \\"$HOME\\""' in by_name["Ollama"]
