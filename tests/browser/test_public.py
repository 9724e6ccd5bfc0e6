"""Visitors in a real browser: they look for a model, watch the market, and join with a code."""

import re
from collections.abc import Callable

import pytest
from django.core import mail
from playwright.sync_api import Page, expect

from tests import factories
from tests.public.test_join import CODE

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OpenPage = Callable[..., Page]


def sell(word: str, name: str) -> str:
    model = f"{word}/{name}"
    factories.server(f"https://{factories.unique('gpu')}.example", model=model)
    return model


def test_the_catalogue_answers_while_one_types_and_back_leads_back(open_page: OpenPage):
    word = factories.unique("typed")
    llama, qwen = sell(word, "llama"), sell(word, "qwen")
    page = open_page()
    page.goto(f"/models?q={word}")
    expect(page.get_by_role("link", name=llama)).to_be_visible()
    page.get_by_label("Search").fill(f"{word} qwen")
    expect(page.get_by_role("link", name=llama)).to_have_count(0)
    expect(page.get_by_role("link", name=qwen)).to_be_visible()
    expect(page).to_have_url(re.compile("qwen"))
    page.get_by_label("Free only").check()
    expect(page.get_by_role("heading", name="No model fits")).to_be_visible()
    page.get_by_role("link", name=re.compile("Show all")).click()
    expect(page).to_have_url(re.compile("/models$"))


def test_the_catalogue_works_without_scripts(open_page: OpenPage):
    word = factories.unique("plain")
    llama, qwen = sell(word, "llama"), sell(word, "qwen")
    page = open_page(java_script_enabled=False)
    page.goto("/models")
    page.get_by_label("Search").fill(f"{word} qwen")
    page.get_by_label("Order").select_option("Fastest")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("link", name=qwen)).to_be_visible()
    expect(page.get_by_role("link", name=llama)).to_have_count(0)
    expect(page.get_by_label("Order")).to_have_value("speed")
    page.get_by_role("link", name=qwen).click()
    expect(page.get_by_role("heading", name=qwen)).to_be_visible()


def test_the_landing_page_keeps_itself_up_to_date(open_page: OpenPage):
    sell(factories.unique("seen"), "llama")
    page = open_page()
    page.goto("/")
    with page.expect_response(re.compile("/live$"), timeout=15_000) as answer:
        pass
    assert answer.value.ok
    expect(page.locator("#live")).to_have_count(1)


def test_somebody_joins_with_a_code(open_page: OpenPage):
    page = open_page()
    page.goto("/")
    page.get_by_role("link", name="Join", exact=True).first.click()
    page.get_by_label("E-mail").fill(f"{factories.unique('alice')}@example.org")
    page.get_by_role("button", name="Send me a code").click()
    expect(page.get_by_label("Code")).to_be_visible()
    found = CODE.search(str(mail.outbox[-1].body))
    assert found
    page.get_by_label("Code").fill(found[1])
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(re.compile("/account$"))
    expect(page.get_by_text("$5.00").first).to_be_visible()


def test_an_example_of_the_manual_is_copied(open_page: OpenPage):
    page = open_page()
    page.goto("/docs/credits")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name=re.compile("Copied|Press Ctrl-C")).first).to_be_visible()
