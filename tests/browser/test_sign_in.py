"""The way in as people see it: each page between signing up and a second factor, without barriers, on every screen."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests import factories, staff
from tests.browser.visits import too_wide

pytestmark = [pytest.mark.slow, pytest.mark.browser]

OpenPage = Callable[..., Page]
PASSWORD = "a long enough sentence"
WIDTHS = (360, 1440)
SCHEMES = ("light", "dark")
PICTURES = os.environ.get("PICTURES")  # a directory for screenshots, to look at by hand


def seen(page: Page, name: str) -> None:
    """It fits, light and dark, and axe finds nothing; no field says its label twice."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if PICTURES:
                page.screenshot(path=Path(PICTURES) / f"{name}-{width}-{scheme}.png", full_page=True)
            assert not too_wide(page), f"{name} at {width} px"
        found = [violation["id"] for violation in Axe().run(page).response["violations"]]
        assert found == [], f"{name}, {scheme}"
    assert page.locator("[placeholder]").count() == 0
    assert page.locator("h1").count() == 1


def test_a_second_factor_is_set_up_used_renewed_and_turned_off(open_page: OpenPage):
    page = open_page()
    email = f"{factories.unique('alice')}@example.org"
    page.goto("/accounts/signup/")
    seen(page, "sign-up")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page).to_have_url(re.compile("/account$"))

    page.goto("/accounts/2fa/")
    seen(page, "factor-none")
    page.get_by_role("link", name="Set it up").click()
    seen(page, "again-by-password")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    seen(page, "factor-set-up")
    page.get_by_text("It cannot scan?").click()
    seen(page, "factor-set-up-by-hand")
    secret = page.locator("#secret").inner_text().strip()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("That is not the code")).to_be_visible()
    seen(page, "factor-wrong-code")
    page.get_by_label("Code").fill(staff.code(secret))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("Your second factor is on.")).to_be_visible()
    seen(page, "recovery-codes")
    spare = page.locator("#codes").inner_text().split()[0]
    page.goto("/accounts/2fa/")
    seen(page, "factor-on")

    page.goto("/accounts/logout/")
    seen(page, "sign-out")
    page.get_by_role("button", name="Sign out here").click()
    page.goto("/accounts/login/?next=/account/notices")
    seen(page, "sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("a wrong but long sentence")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("do not fit together")).to_be_visible()
    seen(page, "sign-in-wrong")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    seen(page, "one-more-step")
    page.get_by_role("button", name="Begin again").click()
    page.goto("/accounts/login/?next=/account/notices")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Code").fill(spare)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/account/notices$"))

    page.goto("/accounts/2fa/recovery-codes/generate/")
    page.get_by_role("link", name="Use a code of your second factor instead").click()
    seen(page, "again-by-code")
    page.get_by_label("Code").fill(staff.code(secret))
    page.get_by_role("button", name="Go on").click()
    seen(page, "recovery-codes-new")
    page.get_by_role("button", name="Make new ones").click()
    expect(page.get_by_text("Only these work from now on")).to_be_visible()
    assert spare not in page.content()
    page.goto("/accounts/2fa/totp/deactivate/")
    seen(page, "factor-off")
    page.get_by_role("button", name="Turn it off").click()
    expect(page.get_by_text("Only one lock so far")).to_be_visible()


def test_a_password_an_address_and_another_browser_are_looked_after(open_page: OpenPage):
    page, other = open_page(), open_page()
    email = f"{factories.unique('alice')}@example.org"
    page.goto("/accounts/signup/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Join", exact=True).click()
    seen(page, "sign-up-short")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()
    expect(page).to_have_url(re.compile("/account$"))
    page.goto("/accounts/sessions/")
    expect(page.get_by_text("You are signed in nowhere else")).to_be_visible()
    other.goto("/accounts/login/")
    other.get_by_label("E-mail").fill(email)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in", exact=True).click()
    expect(other).to_have_url(re.compile("/account$"))
    page.goto("/accounts/sessions/")
    expect(page.get_by_text("this browser")).to_have_count(1)
    seen(page, "sessions")
    page.get_by_role("button", name="Sign the others out").click()
    expect(page.get_by_text("All other browsers are signed out")).to_be_visible()
    seen(page, "sessions-one")

    page.goto("/accounts/email/")
    seen(page, "addresses")
    page.get_by_label("E-mail").fill("second-" + email)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("second-" + email).first).to_be_visible()
    page.goto("/accounts/email/")
    seen(page, "addresses-two")
    page.get_by_role("button", name=f"Make second-{email} the main one").click()
    expect(page.get_by_text("You have a new main address")).to_be_visible()
    page.get_by_role("button", name=f"Make {email} the main one").click()
    page.get_by_role("button", name=f"Remove second-{email}").click()
    expect(page.get_by_text(f"second-{email} is removed.")).to_be_visible()

    page.goto("/accounts/password/change/")
    seen(page, "password-change")
    page.get_by_label("Current password").fill("not it")
    page.get_by_label("New password", exact=True).fill("another long sentence")
    page.get_by_label("New password, once more").fill("another long sentence")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("That is not your current password")).to_be_visible()
    seen(page, "password-change-wrong")


def test_a_forgotten_password_and_a_code_by_mail(open_page: OpenPage):
    page = open_page()
    email = f"{factories.unique('nobody')}@example.org"
    page.goto("/accounts/password/reset/")
    seen(page, "reset")
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_role("heading", name="Look at your mail")).to_be_visible()
    seen(page, "reset-sent")
    page.goto("/accounts/password/reset/key/1-set-password/")
    seen(page, "reset-used-up")
    page.goto("/accounts/password/reset/key/done/")
    seen(page, "reset-done")
    page.goto("/accounts/confirm-email/")
    seen(page, "confirm-sent")
    page.goto("/accounts/confirm-email/guess/")
    seen(page, "confirm-used-up")
    page.goto("/accounts/inactive/")
    seen(page, "switched-off")
    page.goto("/accounts/login/code/")
    seen(page, "code-asked")
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Send me a code").click()
    expect(page.get_by_text(email).last).to_be_visible()
    seen(page, "code")
