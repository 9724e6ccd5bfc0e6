"""The catalogue is searched, ordered and filtered by its address alone; each model has a page."""

import pytest
from django.test import Client

from hosting.models import HostedModel, Server
from tests import factories, site

HTMX = {"HX-Request": "true"}


def text(path: str, status: int = 200, **headers: str) -> str:
    response = Client(headers=headers).get(path)
    assert response.status_code == status
    return response.content.decode()


def sell(
    word: str, name: str, *, price: int = 100, measures: dict[str, object] | None = None, **fields
) -> str:
    model = factories.unique(f"{word}/{name}:7b")
    _row, offer = factories.server(model=model, price_in=price, price_out=price, **fields)
    HostedModel.objects.filter(pk=offer.pk).update(**(measures or {}))
    return model


def order(page: str, *models: str) -> list[str]:
    return sorted(models, key=lambda model: page.index(f">{model}<"))


@pytest.fixture
def word() -> str:
    """A name that no other test's models have."""
    return factories.unique("shelf")


def test_words_find_models_and_hosters(word: str):
    one, other = sell(word, "llama"), sell(word, "qwen")
    found = text(f"/models?q={word}+LLAMA")
    assert f">{one}<" in found
    assert f">{other}<" not in found
    _, bob = factories.hoster(word)
    of_bob = sell("elsewhere", "x", of=bob)
    assert f">{of_bob}<" in text(f"/models?q={bob.name}")


def test_models_are_ordered_by_price_speed_uptime_and_quality(word: str):
    cheap = sell(word, "cheap", price=10, measures={"tokens_per_s": 5.0})
    fast = sell(word, "fast", price=30, measures={"tokens_per_s": 90.0})
    steady = sell(word, "steady", price=20, measures={"tokens_per_s": 20.0})
    Server.objects.filter(models__model_id=steady).update(uptime=1.0)
    Server.objects.filter(models__model_id=fast).update(uptime=0.5, health=0.4)
    Server.objects.filter(models__model_id=cheap).update(uptime=0.9, health=0.9)
    for sort, wanted in {
        "": [cheap, steady, fast],
        "price": [cheap, steady, fast],
        "speed": [fast, steady, cheap],
        "uptime": [steady, cheap, fast],
        "quality": [steady, cheap, fast],
    }.items():
        assert order(text(f"/models?q={word}&sort={sort}"), cheap, fast, steady) == wanted, sort


def test_free_models_and_those_below_a_price_can_be_picked(word: str):
    free, cheap, dear = (sell(word, str(price), price=price) for price in (0, 100, 2_000))
    only_free = text(f"/models?q={word}&free=on")
    assert f">{free}<" in only_free
    assert f">{cheap}<" not in only_free
    below = text(f"/models?q={word}&below=0.5")
    assert f">{cheap}<" in below
    assert f">{dear}<" not in below
    assert f">{cheap}<" not in text(f"/models?q={word}&below=0.10")  # below, not up to


@pytest.mark.parametrize(
    "query", ["sort=nonsense", "below=NaN", "below=-1", "below=x", "page=x", "q=%00", "free=maybe"]
)
def test_an_address_that_makes_no_sense_still_shows_the_catalogue(query: str):
    assert "<h1>Models</h1>" in text(f"/models?{query}")


def test_a_long_catalogue_is_paged_and_keeps_the_wishes(word: str):
    for number in range(25):
        sell(word, f"m{number:02}", price=number)
    first, second = text(f"/models?q={word}&sort=price"), text(f"/models?q={word}&sort=price&page=2")
    assert first.count("/m") > second.count("/m")
    assert f"q={word}&amp;sort=price&amp;page=2" in first
    assert "Page 2 of 2" in second
    assert "25 of" in second


def test_nothing_found_says_what_to_do():
    assert "No model fits" in text(f"/models?q={factories.unique('nothing')}")


def test_htmx_gets_the_results_alone_and_caches_keep_both_apart(word: str):
    model = sell(word, "llama")
    response = Client(headers=HTMX).get(f"/models?q={word}")
    assert f">{model}<" in response.content.decode()
    assert "<html" not in response.content.decode()
    assert "HX-Request" in response["Vary"]


def test_a_model_has_a_page_with_its_servers_and_examples_of_this_address(settings):
    settings.PUBLIC_URL = "https://gate.example"
    _, bob = factories.hoster()
    model = sell(
        "qwen", "2.5", of=bob, measures={"ttft_ms_p50": 120, "ttft_ms_p95": 480, "tokens_per_s": 41.0}
    )
    shown = text(f"/models/{model}")
    for words in (bob.name, "120 ms / 480 ms", "$0.10", "0.50", "not tested yet", "active"):
        assert words in shown
    assert shown.count("https://gate.example/v1") >= 3
    for words in (
        "curl https://gate.example/v1/chat/completions",
        "from openai import OpenAI",
        "import OpenAI from",
    ):
        assert words in shown
    assert shown.count("data-copy=") == 3
    assert model in text("/models?q=qwen%2F2.5")


def test_a_wish_that_is_not_understood_is_told_and_left_out(word: str):
    model = sell(word, "llama")
    shown = text(f"/models?below=cheap&q={word}")
    assert "Output below, $ / 1M: Write a number, as in 12.50. It is left out." in shown
    assert f">{model}<" in shown
    assert "It is left out" not in text(f"/models?below=5&q={word}")


def test_a_model_for_embeddings_has_examples_of_that_route_and_is_not_in_the_playground(settings):
    settings.PUBLIC_URL = "https://gate.example"
    _, offer = factories.server(kind="local", chats=False)
    shown = text(f"/models/{offer.model_id}")
    for words in ("curl https://gate.example/v1/embeddings", "client.embeddings.create(", "does not chat"):
        assert words in shown
    assert "chat.completions" not in shown
    playground = site.signed_in(factories.person().customer.user).get("/account/playground").content.decode()
    assert offer.model_id not in playground


def test_nothing_of_a_server_but_its_hosters_name_is_public():
    host = factories.unique("secret-host")
    _, offer = factories.server(f"https://{host}.example", token="secret-token-of-bob")
    for path in (f"/models/{offer.model_id}", "/models", "/", "/live", "/status"):
        assert host not in text(path)
        assert "secret-token-of-bob" not in text(path)


@pytest.mark.parametrize("path", ["/models/nobody-sells-this", "/models/a/b:c", "/models/"])
def test_a_model_that_nobody_sells_is_not_there(path: str):
    assert "There is nothing here" in text(path, 404)


def test_a_model_of_a_suspended_hoster_is_not_there():
    _, bob = factories.hoster(status="suspended")
    assert text(f"/models/{sell('x', 'y', of=bob)}", 404)


def test_auto_has_a_page_that_says_what_it_is():
    assert "way to ask for one" in text("/models/auto")


def test_a_price_that_changes_soon_says_when():
    from django.utils import timezone

    coming = {
        "next_price_per_input_token": 500,
        "next_price_per_output_token": 0,
        "price_changes_at": timezone.now(),
    }
    assert "$0.50 input, free output" in text(f"/models/{sell('x', 'y', measures=coming)}")
