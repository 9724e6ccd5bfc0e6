"""`python -m tests.bench.pages`: what every page costs with 1,000,000 requests in the database.

For people, never a timed test. Pages come from the URL list, each as the person who sees it; the process's own cache is
emptied before each visit, so that the figures are those of the first one. It uses data/bench-pages and nothing else.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
DATA_DIR = ROOT / "data" / "bench-pages"
QUERIES_MAX, SERVER_MS_MAX = 15, 100
VISITS = 5
TOKEN = "t" * 40  # for /metrics
API = (  # (path, who): what programs read of the same tables
    *(("/v1/usage", "alice"), ("/v1/usage/tokens?days=60&interval=day", "alice")),
    *(
        ("/v1/usage/breakdown?days=60", "alice"),
        ("/v1/requests?limit=200", "alice"),
        ("/v1/statements", "alice"),
    ),
    *(("/v1/models", "alice"), ("/v1/earnings?days=60", "bob"), ("/v1/earnings/by-model?days=60", "bob")),
)


@dataclass(frozen=True)
class Cost:
    """Medians of VISITS visits; the server's time includes the database's."""

    name: str
    who: str
    status: int
    queries: int
    database_ms: float
    server_ms: float

    @property
    def is_too_dear(self) -> bool:
        return self.queries > QUERIES_MAX or self.server_ms > SERVER_MS_MAX

    def __str__(self) -> str:
        mark = "  ←" if self.is_too_dear else ""
        figures = f"{self.queries:8}{self.database_ms:13.1f}{self.server_ms:11.1f}"
        return f"{self.name[:58]:58}{self.who:9}{self.status:6}{figures}{mark}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--keep", action="store_true", help="use what the last run wrote, and leave it")
    options = parser.parse_args()
    os.environ.update(
        DATA_DIR=str(DATA_DIR), DATABASE_URL="", LOG_LEVEL="ERROR", DJANGO_SETTINGS_MODULE="neuralgate.settings",
        CELERY_BROKER_URL="memory://", EMAIL_HOST="", METRICS_TOKEN=TOKEN,
    )  # fmt: skip
    from neuralgate import embedded

    if not options.keep:
        shutil.rmtree(DATA_DIR, ignore_errors=True)
    with embedded.running(DATA_DIR, extra_options="-c fsync=off -c full_page_writes=off"):
        import django
        from django.core.management import call_command
        from django.test.utils import setup_test_environment

        django.setup()
        setup_test_environment()
        call_command("migrate", verbosity=0)
        call_command("createcachetable", verbosity=0)
        costs = measure(options.requests, options.only, options.keep)
    if not options.keep:
        shutil.rmtree(DATA_DIR, ignore_errors=True)
    print(f"{'page':58}{'who':9}{'status':>6}{'queries':>8}{'database ms':>13}{'server ms':>11}")
    for cost in sorted(costs, key=lambda cost: -cost.server_ms):
        print(cost)
    dear = [cost for cost in costs if cost.is_too_dear]
    print(f"{len(costs)} pages; above {QUERIES_MAX} queries or {SERVER_MS_MAX} ms: {len(dear)}")
    return 1 if dear else 0


def measure(requests: int, only: str, keep: bool) -> list[Cost]:
    """Fill the database, then visit every page."""
    import pickle

    from django.test import Client

    from tests import site
    from tests.bench import history
    from tests.browser import pages

    kept = DATA_DIR / "market.pickle"
    if keep and kept.exists():
        market = pickle.loads(kept.read_bytes())  # written by this file
    else:
        began = time.perf_counter()
        market = site.open_market()
        history.write(market, requests)
        kept.write_bytes(pickle.dumps(market))
        print(f"{requests:,} requests written in {time.perf_counter() - began:.0f} s")
    found = []
    for page in [*pages.pages(market), *states(market)]:
        if only not in page.name:
            continue
        state = {"join_ticket": market.ticket} if page.who == "joining" else {}
        client = site.signed_in(pages.user(market, page.who), **state)
        found.append(cost(page.name, page.who, lambda client=client, page=page: client.get(page.path)))
    for path, who in API:
        if only in path:
            person = market.alice if who == "alice" else market.bob
            client = site.signed_in(None)
            found.append(
                cost(
                    path,
                    who,
                    lambda client=client, path=path, person=person: client.get(path, headers=person.headers),
                )
            )
    if only in "/metrics":
        operator = Client(headers={"Authorization": f"Bearer {TOKEN}"})
        found.append(cost("/metrics", "operator", lambda: operator.get("/metrics")))
    return found


def states(market: Any) -> list[Any]:
    """What only a long history shows: a full month, all of 90 days, filters that agree with little."""
    from django.utils import timezone

    from billing.months import Month
    from tests.browser.pages import Page

    last = Month.of(timezone.now()).earlier(1)
    return [
        Page("statement-full-month", f"/account/statements/{last}", "alice"),
        Page("hoster-statement-full-month", f"/hosters/statements/{last}", "bob"),
        Page("account-by-month", "/account?interval=month&by=key", "alice"),
        Page("account-by-hour", "/account?interval=hour&by=model", "alice"),
        Page("requests-filtered", "/account/requests?outcome=finished&model=none", "alice"),
        Page(
            "requests-of-a-day", f"/account/requests?first={last.end.date()}&last={last.end.date()}", "alice"
        ),
    ]


def cost(name: str, who: str, visit: Callable[[], Any]) -> Cost:
    """The medians of a few visits, after one that loads templates and modules."""
    from django.core.cache import caches
    from django.db import connection

    spent_ms: list[float] = []

    def timed(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            spent_ms.append((time.perf_counter() - began) * 1e3)

    visit()
    database, server, queries, status = [], [], 0, 0
    for _ in range(VISITS):
        caches["process"].clear()
        spent_ms.clear()
        with connection.execute_wrapper(timed):
            began = time.perf_counter()
            answer = visit()
            server.append((time.perf_counter() - began) * 1e3)
        database.append(sum(spent_ms))
        queries, status = len(spent_ms), answer.status_code
    return Cost(name, who, status, queries, statistics.median(database), statistics.median(server))


if __name__ == "__main__":
    sys.exit(main())
