"""Every page asks the database a bounded number of questions, however much is in it. From the URL list."""

from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import site
from tests.browser import pages
from tests.site import Market

QUERIES_MAX = 15


@pytest.fixture(scope="module")
def market(django_db_setup: None, django_db_blocker: Any) -> Market:
    with django_db_blocker.unblock():
        return site.open_market()


def names() -> list[str]:
    """Of the routes; pages need a database, which there is none of while tests are collected."""
    return [route.template for route in site.routes() if pages.is_page(route) and not route.of_the_admin]


@pytest.mark.parametrize("template", [*names(), *pages.STATES])
def test_a_page_asks_at_most_fifteen_questions(template: str, market: Market):
    if template in pages.STATES:
        path, who = pages.STATES[template]
    else:
        route = next(route for route in site.routes() if route.template == template)
        path, who = market.path(route), pages._who(route)
    client = site.signed_in(
        pages.user(market, who), **({"join_ticket": market.ticket} if who == "joining" else {})
    )
    caches["process"].clear()
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code in {200, 302, 404}
    statements = "\n".join(query["sql"][:200] for query in asked)
    assert len(asked) <= QUERIES_MAX, statements


def test_the_moving_part_and_the_api_catalogue_are_cheap_too(market: Market):
    for path in ("/live", "/v1/models"):
        caches["process"].clear()
        with CaptureQueriesContext(connection) as asked:
            site.signed_in(None).get(path, headers=market.alice.headers)
        assert len(asked) <= QUERIES_MAX
