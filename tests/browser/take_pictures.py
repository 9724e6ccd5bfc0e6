"""`make screenshots`: every page, light and dark, on a phone and a desk, into data/screenshots. No test: to look at.

`ONLY=portal make screenshots` takes those again whose name begins so.
"""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import site
from tests.browser import pages
from tests.browser.visits import SCHEMES, Visitor
from tests.gateway import RunningGateway

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FOLDER = Path(__file__).resolve().parents[2] / "data" / "screenshots"
WIDTHS = {"phone": 360, "desk": 1440}
HEIGHT_MAX = 6_000  # a manual's chapter goes on for ever


def test_take_pictures(browser: Browser, django_db_setup: None, capsys: pytest.CaptureFixture[str]):
    only = os.environ.get("ONLY", "")
    if not only:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    taken = 0
    with RunningGateway() as running:
        visitor = Visitor(browser, running, site.open_market())
        for shown in filter(lambda shown: shown.name.startswith(only), pages.pages(visitor.market)):
            for scheme in SCHEMES:
                for device, width in WIDTHS.items():
                    page = visitor.open(shown, scheme=scheme, width=width)
                    height = min(page.evaluate("document.documentElement.scrollHeight"), HEIGHT_MAX)
                    clip = {"x": 0, "y": 0, "width": width, "height": height}
                    page.screenshot(path=FOLDER / f"{shown}-{device}-{scheme}.png", full_page=True, clip=clip)
                    page.close()
                    taken += 1
        visitor.close()
    with capsys.disabled():
        print(f"\n{taken} pictures of {taken // 4} pages are in {FOLDER}")
