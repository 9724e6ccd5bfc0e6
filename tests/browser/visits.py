"""Visits in a real browser: as somebody, on a screen, with everything noted that a page should not do."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

from tests import site
from tests.browser import pages
from tests.browser.pages import Page as Shown
from tests.gateway import RunningGateway
from tests.site import Market

WIDTHS = (360, 768, 1440)
SCHEMES = ("light", "dark")


@dataclass
class Visitor:
    """complaints: of the console (violations of the policy are there, too), and requests to other hosts."""

    browser: Browser
    running: RunningGateway
    market: Market
    complaints: list[str] = field(default_factory=list)
    _contexts: dict[tuple[str, str], BrowserContext] = field(default_factory=dict)

    def open(self, shown: Shown, *, scheme: str, width: int) -> Page:
        page = self._context(shown.who, scheme).new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.set_default_timeout(20_000)
        host = urlsplit(self.running.url).netloc
        page.on("console", lambda said: self._note(said.type, f"{shown}: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"{shown}: {error}"))
        page.on("request", lambda asked: self._outside(shown, host, asked.url))
        page.goto(
            shown.path, wait_until="load" if shown.ours else "networkidle"
        )  # the API's page builds itself
        if urlsplit(page.url).path != urlsplit(shown.path).path and shown.name not in pages.LEAD_ON:
            self.complaints.append(f"{shown} led to {page.url}: nobody has seen it")
        return page

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()

    def _context(self, who: str, scheme: str) -> BrowserContext:
        if (who, scheme) not in self._contexts:
            options: dict[str, Any] = {"base_url": self.running.url, "color_scheme": scheme}
            context = self.browser.new_context(**options, reduced_motion="reduce")
            state = {"join_ticket": self.market.ticket} if who == "joining" else {}
            if who != "nobody":
                cookie = site.signed_in(pages.user(self.market, who), **state).cookies["session"].value
                context.add_cookies([{"name": "session", "value": cookie, "url": self.running.url}])
            self._contexts[who, scheme] = context
        return self._contexts[who, scheme]

    def _note(self, kind: str, text: str) -> None:
        expected = "status of 404" in text and "not-found" in text
        if kind in {"error", "warning"} and not expected:
            self.complaints.append(text)

    def _outside(self, shown: Shown, host: str, url: str) -> None:
        if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).netloc != host:
            self.complaints.append(f"{shown} asks {url}")


def too_wide(page: Page) -> bool:
    """Whether something sticks out to the side."""
    wide, visible = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    return bool(wide > visible)


def tables_to_scroll(page: Page) -> list[str]:
    """The names of tables of which a part is out of sight."""
    found: list[str] = page.eval_on_selector_all(
        ".scroll",
        "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)",
    )
    return found
