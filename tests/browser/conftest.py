"""Debian's Chromium, driven by Playwright. Without it these tests are skipped, but never in CI."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page, sync_playwright

from tests.gateway import RunningGateway

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def executable() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("There is no Chromium: CI must test the pages. Install the package `chromium`.")
    if found is None:
        pytest.skip("There is no Chromium here. Install the package `chromium` to test the pages.")
    return found


@pytest.fixture
def browser(executable: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright's loop runs in this thread, so that Django takes the test for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        connection.close()  # beside its loop Django keeps another connection than outside of it


@pytest.fixture
def site(django_db_setup: None) -> Iterator[RunningGateway]:
    """The whole application, which may reach servers on this machine."""
    with RunningGateway(ALLOW_PRIVATE_ADDRESSES=True, ALLOW_HTTP_HOSTERS=True) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser, site: RunningGateway) -> Iterator[Callable[..., Page]]:
    """`open_page(**options of a context)`; at the end nothing may have been complained about on the console.

    A violation of the Content-Security-Policy is such a complaint.
    """
    complaints: list[str] = []
    pages: list[Page] = []

    def open_one(**options: Any) -> Page:
        page = browser.new_context(base_url=site.url, **options).new_page()
        page.set_default_timeout(15_000)
        pages.append(page)
        page.on("console", lambda message: note(message.type, f"{page.url}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        return page

    def note(kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            complaints.append(text)

    yield open_one
    for page in pages:
        page.context.close()  # or a request of it may outlive the site
    assert complaints == []
