"""The admin in a real browser: the way in, the dashboard and lists, dark and light, without barriers."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from billing import disputes
from hosting import moderation
from hosting.models import HostedModel
from hosting.moderation import Kind
from neuralgate import schedule
from routing import audit
from tests import bookings, factories, staff
from tests.gateway import RunningGateway
from tests.ports import ports

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OpenPage = Callable[..., Page]
PASSWORD = "a long enough sentence"
PICTURES = os.environ.get("PICTURES")  # a directory for screenshots, to look at by hand
SERIOUS = {"serious", "critical"}  # unfold's frame has no landmarks (moderate); no rule is left out


def sign_in(page: Page) -> None:
    user = staff.member(PASSWORD, factor=False)
    TOTP.activate(user, staff.SECRET)
    page.goto("/admin/")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Code").fill(staff.code())
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/admin/$"))


@pytest.fixture
def hoster() -> factories.Hoster:
    """Bob, who served, was put on probation and answered."""
    schedule.install()
    audit.keep(factories.timezone.now(), [])
    _, hoster = factories.hoster(
        trust_parts={"success": {"value": 0.5, "detail": "900 of 1,000 answers"}},
    )
    _, offer = factories.server(f"http://127.0.0.1:{next(ports)}", of=hoster)
    alice = factories.person()
    bookings.book(alice, offer)
    bookings.end(bookings.Ending(bookings.admit(alice, offer), failed_servers=(offer.server_id,)))
    action = moderation.act(Kind.PROBATION, hoster, reason="Slow.", rule="slow", evidence={"ms": 9_876})
    assert action is not None
    moderation.answer(action, "We moved house.")
    moderation.deactivate_offer(offer, reason="Wrong answers.", rule="consistency")
    moderation.ask_for_retest(offer)
    return hoster


def barriers(page: Page) -> list[str]:
    """What axe-core finds serious or worse."""
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url} {one['id']}: {json.dumps([node['html'][:160] for node in one['nodes'][:4]])}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"admin-{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_admin_works_under_its_policy_from_this_host_only_and_without_barriers(
    open_page: OpenPage, site: RunningGateway, hoster: factories.Hoster, scheme: str
):
    page = open_page(color_scheme=scheme, viewport={"width": 1440, "height": 900})
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    sign_in(page)
    expect(page.locator("#requests-chart")).to_be_visible()
    page.wait_for_function("Chart.getChart('money-chart')?.data.datasets.length == 2")
    dark = page.evaluate("document.documentElement.classList.contains('dark')")
    assert dark == (scheme == "dark")
    account = factories.LedgerAccount.objects.get(kind="customer", customer=hoster.customer).pk
    found = []
    for name, path in {
        "dashboard": "/admin/",
        "queue": "/admin/moderation/",
        "hosters": "/admin/hosting/hoster/",
        "hoster": f"/admin/hosting/hoster/{hoster.pk}/change/",
        "statement": f"/admin/billing/ledgeraccount/{account}/statement/",
        "jobs": "/admin/django_celery_beat/periodictask/",
    }.items():
        page.goto(path, wait_until="networkidle")
        picture(page, f"{name}-{scheme}")
        found += barriers(page)
    assert found == []
    assert hosts - {""} == {urlsplit(site.url).netloc}


def test_a_hoster_is_put_back_from_the_queue_with_a_reason(open_page: OpenPage, hoster: factories.Hoster):
    page = open_page(viewport={"width": 1280, "height": 900})
    sign_in(page)
    page.get_by_role("link", name="Answers of hosters").click()
    case = page.locator("#answers article").filter(has_text=hoster.name)
    expect(case).to_contain_text("9876")
    expect(case).to_contain_text("We moved house.")
    case.get_by_role("button", name="Reinstate").click()
    page.get_by_label("Reason").fill("Fast again.")
    picture(page, "reason")
    page.get_by_role("button", name="Reinstate").click()
    expect(page.get_by_text(f"{hoster.name}: reinstated")).to_be_visible()
    hoster.refresh_from_db()
    assert hoster.status == "active"


@pytest.mark.parametrize("width", [360, 1280])
def test_a_dispute_is_upheld_from_its_own_page_by_clicks(
    open_page: OpenPage, hoster: factories.Hoster, width: int
):
    alice = factories.person()
    offer = HostedModel.objects.filter(server__hoster=hoster).get()
    call = bookings.book(alice, offer)
    dispute = disputes.open_(customer=alice.customer, charge=call.id, reason="incomplete", detail="It stops.")
    page = open_page(viewport={"width": width, "height": 900})
    sign_in(page)
    page.goto("/admin/billing/dispute/")
    page.locator(f'a[href*="{dispute.pk}"]').first.click()
    expect(page.locator("#content-main")).to_contain_text("It stops.")
    expect(page.locator(".evidence")).to_contain_text("what looked wrong")
    assert barriers(page) == []
    picture(page, f"dispute-{width}")
    page.get_by_role("button", name="Uphold").click()
    page.get_by_label("Verdict").fill("The last sentence is missing.")
    page.get_by_role("button", name="Uphold").click()
    expect(page).to_have_url(re.compile(f"/admin/billing/dispute/{dispute.pk}/change/$"))
    expect(page.get_by_text("upheld: the charge was given back")).to_be_visible()
    expect(page.get_by_role("button", name="Uphold")).to_have_count(0)
    dispute.refresh_from_db()
    assert (dispute.state, dispute.verdict) == ("upheld", "The last sentence is missing.")


@pytest.mark.parametrize("width", [360, 768])
def test_the_pages_of_our_own_fit_a_phone(open_page: OpenPage, hoster: factories.Hoster, width: int):
    page = open_page(viewport={"width": width, "height": 800}, color_scheme="dark")
    sign_in(page)
    account = factories.LedgerAccount.objects.get(kind="hoster_pending", customer=hoster.customer).pk
    statement = f"/admin/billing/ledgeraccount/{account}/statement/"
    for name, path in {"dashboard": "/admin/", "queue": "/admin/moderation/", "statement": statement}.items():
        page.goto(path, wait_until="networkidle")
        picture(page, f"{name}-{width}")
        wide, visible = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= visible, f"{path} is {wide} wide on a screen of {visible}"
    narrowest = min(cell.bounding_box()["width"] for cell in page.locator(".cards td").all())
    assert narrowest > 30, "a column is a letter wide"
