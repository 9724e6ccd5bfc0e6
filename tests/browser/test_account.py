"""The customer's journey in a real browser: sign up, key, playground, receipt, use; rotation; without scripts."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from accounts import issuing
from tests import factories, fakes
from tests.browser.test_pages import fits, sign_up, with_history
from tests.gateway import RunningGateway
from tests.test_account_pages import EXPLANATION

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OpenPage = Callable[..., Page]
ANSWER = "Paris <b>is</b> the capital.<img src=x onerror=alert(1)>"
IS_DRAWN = """canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.some((value, index) => index % 4 === 3 && value > 0);
}"""


@pytest.fixture
def fake() -> Iterator[fakes.FakeServer]:
    server = fakes.FakeServer(fakes.model(ANSWER, usage=(10, 8), pause_s=0.02))
    yield server
    server.stop()


def make_key(page: Page) -> str:
    page.goto("/account/keys/new")
    page.get_by_label("Name").fill("notebook")
    page.get_by_role("button", name="Make the key").click()
    return page.locator("#key").inner_text()


def is_drawn(canvas: Locator) -> bool:
    """Whether something is on it, or soon will be."""
    for _ in range(50):
        if canvas.evaluate(IS_DRAWN):
            return True
        canvas.page.wait_for_timeout(50)
    return False


def ask(page: Page, model: str, words: str = "What is the capital of France?") -> None:
    page.get_by_label("Model", exact=True).select_option(model)
    page.get_by_label("Message").fill(words)
    page.get_by_role("button", name="Send").click()


def test_from_sign_up_to_the_receipt_the_cost_is_one(
    open_page: OpenPage, site: RunningGateway, fake: fakes.FakeServer
):
    server, offer = factories.server(fake.base_url, price_in=100, price_out=300)
    site.wait_for(server)
    page = open_page()
    sign_up(page)
    key = make_key(page)
    page.goto("/account/playground")
    ask(page, offer.model_id)
    figures = page.locator(".conversation .figures").last
    expect(figures).to_contain_text("tokens in")
    expect(figures).to_contain_text(server.name)
    expect(page.locator(".conversation .assistant .words")).to_have_text(ANSWER)
    assert page.locator(".conversation img, .conversation b").count() == 0
    assert "session" not in (fake.asked[-1].headers.get("cookie") or "")
    usage = httpx.get(f"{site.url}/v1/usage", headers={"Authorization": f"Bearer {key}"}).json()
    cost_nanos = round((5.0 - usage["credit_balance_usd"]) * 10**9)
    assert cost_nanos > 0
    shown = re.match(r"\$([0-9.]+) ·", figures.inner_text())
    assert shown
    assert round(float(shown[1]) * 10**9) == cost_nanos
    assert figures.bounding_box()["width"] > 400
    assert figures.inner_text().endswith("Receipt")
    assert "· Receipt" not in figures.inner_text()
    fits(page, "conversation")
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    paid = page.locator(".stats .main dd").inner_text()
    assert round(float(paid.strip("$")) * 10**9) == cost_nanos
    fits(page, "receipt")
    page.goto("/account")
    for canvas in page.locator("canvas").all():
        assert is_drawn(canvas)
    expect(page.locator("#keys").get_by_role("rowheader")).to_contain_text(["notebook"])
    page.get_by_text("From the playground (1)").click()
    expect(page.get_by_role("link", name="Revoke the playground's key")).to_be_visible()
    page.get_by_label("Group").select_option("key")
    expect(page.get_by_role("rowheader", name=re.compile("Playground ngk_"))).to_be_visible()
    assert is_drawn(page.locator("canvas").first)
    expect(page).to_have_url(re.compile("by=key"))


def test_a_conversation_goes_on_can_be_stopped_and_begins_anew(
    open_page: OpenPage, site: RunningGateway, fake: fakes.FakeServer
):
    server, offer = factories.server(fake.base_url)
    site.wait_for(server)
    page = open_page()
    sign_up(page)
    page.goto("/account/playground")
    page.get_by_label("System prompt").fill("Be brief.")
    ask(page, offer.model_id, "first")
    expect(page.locator(".figures a")).to_have_count(1)
    page.get_by_label("Message").fill("second")
    page.get_by_label("Message").press("Enter")
    expect(page.locator(".figures a")).to_have_count(2)
    said = [(one["role"], one["content"]) for one in fake.asked[-1].body["messages"]]
    assert said == [("system", "Be brief."), ("user", "first"), ("assistant", ANSWER), ("user", "second")]
    fake.script = fakes.model("word " * 400, pause_s=0.05)
    page.get_by_label("Message").fill("third")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".assistant .words").last).to_contain_text("word word")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".assistant").last).to_contain_text("You stopped it.")
    expect(page.locator(".conversation .failed")).to_have_count(0)
    expect(page.locator(".figures a")).to_have_count(3)
    fits(page, "stopped")
    page.locator(".figures a").last.click()
    expect(page.locator("h1 .badge")).to_have_text("you stopped it")
    expect(page.locator("h1 .badge")).to_have_class(re.compile(r"^badge\s*$"))
    page.goto("/account/playground")
    ask(page, offer.model_id, "fourth")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".conversation li")).to_have_count(0)


def test_a_key_is_rotated_and_both_strings_work(open_page: OpenPage, site: RunningGateway):
    page = open_page()
    sign_up(page)
    old = make_key(page)
    page.goto("/account")
    page.get_by_role("link", name="Rotate notebook").click()
    page.get_by_label("1 hour").check()
    page.get_by_role("button", name="Rotate it").click()
    new = page.locator("#key").inner_text()
    status = {
        key: httpx.get(f"{site.url}/v1/usage", headers={"Authorization": f"Bearer {key}"}).status_code
        for key in (old, new)
    }
    assert status == {old: 200, new: 200}
    page.goto("/account")
    page.get_by_role("button", name="End the old string of notebook").click()
    expect(page.get_by_text("is refused from now on")).to_be_visible()
    assert httpx.get(f"{site.url}/v1/usage", headers={"Authorization": f"Bearer {old}"}).status_code == 401


def test_the_log_is_filtered_without_loading_the_page_anew(open_page: OpenPage, fake: fakes.FakeServer):
    page = open_page()
    with_history(sign_up(page), fake)
    page.goto("/account/requests")
    expect(page.locator("#log tbody tr")).to_have_count(2)
    page.evaluate("window.stayed = true")
    page.get_by_label("Outcome").select_option("upstream_failed")
    expect(page.locator("#log tbody tr")).to_have_count(1)
    assert page.evaluate("window.stayed")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert download.value.suggested_filename == "usage.csv"


def test_without_scripts_everything_but_the_drawing_works(open_page: OpenPage, fake: fakes.FakeServer):
    page = open_page(java_script_enabled=False)
    with_history(sign_up(page), fake)
    page.goto("/account")
    page.get_by_label("Group").select_option("model")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("The charts need JavaScript")).to_be_visible()
    expect(page.get_by_role("region", name="Use by model")).to_be_visible()
    page.goto("/account/requests")
    page.get_by_label("Outcome").select_option("upstream_failed")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#log tbody tr")).to_have_count(1)
    page.goto("/account/playground")
    expect(page.get_by_text("The playground needs JavaScript")).to_be_visible()
    expect(page.locator("#curl")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_customers_pages_fit_their_screens(
    open_page: OpenPage, fake: fakes.FakeServer, width: int, scheme: str
):
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    email = sign_up(page, "an-address-that-is-rather-long-for-a-phone")
    for path in ("account", "account/playground", "account/requests"):
        page.goto(f"/{path}")
        fits(page, f"empty-{path.replace('/', '-')}")
    with_history(email, fake)
    customer = factories.Customer.objects.get(user__email=email)
    newest = customer.inferencerequest_set.order_by("-id")
    failed, served = newest[0], newest[1]
    served.explanation = {
        **EXPLANATION,
        "factors": [{**EXPLANATION["factors"][0], "server": served.server_id}],
    }
    served.save(update_fields=["explanation"])
    keys = customer.api_keys.order_by("pk")
    paths = {
        "account": "/account?by=model",
        "account-hours": "/account?interval=hour&by=key",
        "requests": "/account/requests",
        "receipt-served": f"/account/requests/{served.pk}",
        "receipt-failed": f"/account/requests/{failed.pk}",
        "playground": "/account/playground",
        "rotate": f"/account/keys/{keys[0].pk}/rotate",
    }
    for name, path in paths.items():
        page.goto(path)
        fits(page, name)
        if width == 1440:
            found = Axe().run(page).response["violations"]
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], path


@pytest.mark.parametrize("width", [360, 1440])
def test_the_keys_are_short_rows_on_a_desk_and_readable_cards_on_a_phone(open_page: OpenPage, width: int):
    page = open_page(viewport={"width": width, "height": 900})
    customer = factories.Customer.objects.get(user__email=sign_up(page, "many-keys"))
    soon = timezone.now() + dt.timedelta(days=9)
    models = ["m" * 190, *(f"vendor/model-{number}" for number in range(20))]
    limited: dict[str, Any] = {"spend_limit_nanos": 1_000_000 * 10**9, "allowed_models": models}
    used = timezone.now() - dt.timedelta(days=3, hours=4)
    for name in ("x" * 80, "The website of the department of marketing, its search and its checkout page"):
        issuing.issue(customer=customer, name=name, expires_at=soon, **limited)
    customer.api_keys.update(last_used_at=used)
    page.goto("/account")
    rows = page.locator("#keys tbody tr")
    expect(rows).to_have_count(2)
    heights = [rows.nth(row).bounding_box()["height"] for row in range(2)]  # type: ignore[index]  # it is seen
    lines = 19 * 1.5  # pixels, generously: a line with the row's padding spread over three
    assert max(heights) <= (3.5 if width == 1440 else 18) * lines, heights
    assert page.eval_on_selector("#keys .scroll", "one => one.scrollWidth <= one.clientWidth")
    cells = page.locator("#keys tbody tr > *").all()
    assert not [cell for cell in cells if cell.evaluate("one => one.scrollWidth > one.clientWidth")]
    for row in range(2):
        actions = rows.nth(row).locator(".buttons .button")
        expect(actions).to_have_count(3)
        tops = {round(actions.nth(action).bounding_box()["y"]) for action in range(3)}
        assert len(tops) == 1, "Edit, Rotate and Revoke stand side by side"
