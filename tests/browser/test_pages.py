"""The pages as people see them: sign up, make a key, host a server; on a phone and a desk, dark and light."""

import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from hosting import moderation
from hosting.moderation import Kind
from tests import bookings, factories, fakes
from tests.gateway import RunningGateway
from tests.ports import ports

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OpenPage = Callable[..., Page]
PASSWORD = "a long enough sentence"
SCREENS = [
    {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    for width, scheme in itertools.product((360, 1280), ("dark", "light"))
]
PICTURES = os.environ.get("PICTURES")  # a directory for screenshots, to look at by hand


@pytest.fixture
def fake() -> Iterator[fakes.FakeServer]:
    server = fakes.FakeServer(fakes.model())
    yield server
    server.stop()


def sign_up(page: Page, name: str = "alice") -> str:
    email = f"{factories.unique(name)}@example.org"
    page.goto("/accounts/signup/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page).to_have_url(re.compile("/account$"))
    return email


def fits(page: Page, name: str) -> None:
    """Nothing sticks out to the side."""
    wide, visible = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    if PICTURES:
        screen = f"{page.viewport_size['width']}-{page.evaluate('matchMedia(`(prefers-color-scheme: dark)`).matches')}"
        page.screenshot(path=Path(PICTURES) / f"{name}-{screen}.png", full_page=True)
    assert wide <= visible, f"{page.url} is {wide} wide on a screen of {visible}"


def test_alice_signs_up_and_makes_a_key_that_works(open_page: OpenPage, site: RunningGateway):
    page = open_page()
    sign_up(page)
    expect(page.get_by_text("$5.00").first).to_be_visible()
    page.get_by_role("link", name="Make your first key").click()
    page.get_by_label("Name").fill("notebook")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#key").inner_text()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name=re.compile("Copied|Press Ctrl-C")).first).to_be_visible()
    balance = httpx.get(f"{site.url}/v1/usage", headers={"Authorization": f"Bearer {key}"})
    assert balance.json()["credit_balance_usd"] == 5.0
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text("notebook")).to_be_visible()
    assert key not in page.content()
    page.get_by_role("link", name="Revoke notebook").click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("is revoked")).to_be_visible()
    assert httpx.get(f"{site.url}/v1/usage", headers={"Authorization": f"Bearer {key}"}).status_code == 401


@pytest.mark.parametrize("screen", SCREENS, ids=["phone-dark", "phone-light", "desk-dark", "desk-light"])
def test_every_page_fits_its_screen(open_page: OpenPage, screen: dict[str, object], fake: fakes.FakeServer):
    page = open_page(**screen)
    sign_up_page = (
        "/accounts/login/",
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/accounts/login/code/",
    )
    for path in ("/", "/models", "/hosters", *sign_up_page):
        page.goto(path)
        fits(page, path.strip("/").replace("/", "-") or "landing")
    email = sign_up(page, "an-address-that-is-rather-long-for-a-phone")
    fits(page, "account-empty")
    with_history(email, fake)
    own = factories.Server.objects.get(base_url=fake.base_url).pk
    paths = ["/account", "/account/requests", "/account/disputes", "/account/keys/new", "/hosters/portal"]
    paths += ["/hosters/register"]
    off = factories.Server.objects.get(
        hoster__customer__user__email=email, models__deactivated_at__isnull=False
    )
    paths += [
        f"/hosters/servers/{own}",
        f"/hosters/servers/{off.pk}",
        f"/hosters/servers/{own}/token",
        "/models",
        "/accounts/email/",
    ]
    for path in [
        *paths,
        "/accounts/password/change/",
        "/accounts/2fa/",
        "/accounts/logout/",
        "/accounts/2fa/totp/activate/",
    ]:
        page.goto(path)
        fits(page, "in-" + path.strip("/").replace("/", "-"))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Scan this picture")).to_be_visible()
    fits(page, "in-totp")
    page.goto(f"/hosters/servers/{own}/token")
    page.get_by_role("button", name="Rotate the token").click()
    fits(page, "rotated")


def with_history(email: str, fake: fakes.FakeServer) -> None:
    """Bob serves, asks himself, and has a server with errors; names are as long as they may get."""
    customer = factories.Customer.objects.get(user__email=email)
    factories.new_key(customer, allowed_models=["auto", "m" * 60], spend_limit_nanos=1)
    key, api_key = factories.new_key(customer)
    bob = factories.Person(customer, key, api_key)
    factories.ledger.pending_account(customer)
    hoster = factories.Hoster.objects.create(customer=customer, name=factories.unique("B" * 60))
    _, offer = factories.server(fake.base_url, of=hoster, model=factories.unique("m" * 120))
    moderated(hoster, offer)
    bookings.book(bob, offer)
    bookings.void(bookings.admit(bob, offer))
    broken, _ = factories.server("https://" + "gpu." * 25 + factories.unique("x") + ".org", of=hoster)
    factories.Server.objects.filter(pk=broken.pk).update(verified_at=None, verification_error="e" * 300)


def moderated(hoster: factories.Hoster, offer: factories.HostedModel) -> None:
    """Everything a hoster may find about itself: scores with their parts, actions, a model that is off."""
    parts = {name: {"value": 0.5, "detail": "d" * 80} for name in ("success", "consistency", "volume", "age")}
    factories.Hoster.objects.filter(pk=hoster.pk).update(trust_parts=parts, trust_at=timezone.now())
    answered = moderation.act(Kind.WARN, hoster, reason="r" * 300, rule="token-claims")
    moderation.act(Kind.NOTICE, hoster, reason="n" * 300, rule="error-rate", server=offer.server)
    assert answered is not None
    moderation.answer(answered, "a" * 300)
    _, off = factories.server(
        f"http://127.0.0.1:{next(ports)}", of=hoster, model=factories.unique("off" * 40)
    )
    moderation.deactivate_offer(off, reason="o" * 300, rule="consistency")


def test_everything_can_be_reached_by_keyboard(open_page: OpenPage):
    page = open_page()
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Start with $5.00 free")).to_be_focused()


def test_the_api_reference_works_under_the_policy(open_page: OpenPage):
    page = open_page()
    page.goto("/v1/docs")
    expect(page.get_by_text("/v1/usage/export")).to_be_visible()
