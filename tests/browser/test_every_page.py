"""What holds on every page: no barrier, no sideways scroll, no complaint, no stranger's host. From the URL list."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests import site
from tests.browser import pages, visits
from tests.browser.visits import Visitor
from tests.gateway import RunningGateway

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def visitor(browser: Browser, site_running: RunningGateway) -> Iterator[Visitor]:
    found = Visitor(browser, site_running, site.open_market())
    yield found
    found.close()


@pytest.fixture
def site_running(django_db_setup: None) -> Iterator[RunningGateway]:
    with RunningGateway() as running:
        yield running


@pytest.mark.parametrize("scheme", visits.SCHEMES)
def test_no_page_has_a_barrier_for_anybody(visitor: Visitor, scheme: str):
    found = []
    for shown in pages.pages(visitor.market):
        if not shown.ours:
            continue
        page = visitor.open(shown, scheme=scheme, width=1440)
        for violation in Axe().run(page).response["violations"]:
            where = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
            found.append(f"{shown}: {violation['id']}: {violation['help']}: {where}")
        page.close()
    assert found == []


@pytest.mark.parametrize("width", visits.WIDTHS)
def test_every_page_fits_and_complains_of_nothing(visitor: Visitor, width: int):
    wide = []
    for shown in pages.pages(visitor.market):
        page = visitor.open(shown, scheme="light", width=width)
        if shown.ours and visits.too_wide(page):
            wide.append(f"{shown} at {width} px")
        if shown.ours and width == min(visits.WIDTHS):
            wide += [f"{table} of {shown}" for table in visits.tables_to_scroll(page)]
        page.close()
    assert not wide, "\n".join(wide)
    assert visitor.complaints == []


def test_every_route_is_a_page_or_says_why_not():
    templates = {route.template for route in site.routes()}
    assert set(pages.NO_PAGES) <= templates, "a reason for a route that is gone"
