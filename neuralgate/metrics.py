"""`/metrics` for operators, in Prometheus' text format: what is exported, and who may read it.

Every figure is read from the database at the scrape, so it does not matter which of the web processes answers; none is
counted in memory. docs/operations.md has a table of all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from billing import snapshots
from neuralgate import figures
from neuralgate.figures import Reading

log = structlog.get_logger(__name__)

PREFIX = "neuralgate_"
STATEMENT_TIMEOUT_S = 5  # Prometheus itself gives up after ten


@dataclass(frozen=True, slots=True)
class Figure:
    """name: without the prefix, unit last. label: the only one it has. What ends in _total never falls."""

    name: str
    means: str
    label: str | None = None

    @property
    def family(self) -> Metric:
        """Without samples yet."""
        made = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        return made(PREFIX + self.name, self.means, labels=None if self.label is None else [self.label])


UP = Figure("up", "1: the database answered every question of this scrape.")
FIGURES = (
    UP,
    # ---------------------------------------------------------------------------------------------- requests
    Figure("requests_total", "Requests that were served, and that failed; counted each minute.", "result"),
    Figure("tries_5m", "Tries at servers in the last five complete minutes.", "result"),
    Figure(
        "newest_requests", "How the newest 2,000 requests of the last five minutes ended, at most.", "outcome"
    ),
    Figure("newest_latency_seconds", "Time to the last byte of those that were served.", "percentile"),
    Figure(
        "newest_first_token_seconds", "Time to the first token of those that were streamed.", "percentile"
    ),
    Figure("last_hour_requests", "Requests that were served in the last complete hour (UTC)."),
    Figure("last_hour_tokens", "Their tokens.", "direction"),
    Figure("last_hour_spend_nanodollars", "What customers spent in that hour."),
    Figure("last_hour_fees_nanodollars", "What of it stays with the platform."),
    # ------------------------------------------------------------------------------------------------- money
    Figure("holds_open", "Requests whose money is held."),
    Figure("holds_nanodollars", "What they hold."),
    Figure("holds_oldest_seconds", "Age of the oldest of them; 0: none."),
    Figure("holds_overdue_seconds", "How long the oldest is past its expiry; 0: none is."),
    Figure("pending_nanodollars", "What hosters earned and cannot spend yet."),
    Figure("release_lag_seconds", "How long the oldest earning has been due and not released; 0: none is."),
    Figure("payouts_open", "Payouts that were asked for, or approved and not paid yet.", "state"),
    Figure("payouts_open_nanodollars", "Their sum."),
    Figure("payouts_overdue", "Of these: past the day they were due."),
    Figure("disputes_open", "Disputes without a verdict."),
    Figure("disputes_frozen_nanodollars", "What of hosters' earnings they freeze."),
    Figure("disputes_oldest_seconds", "Age of the oldest of them; 0: none."),
    Figure("ledger_nanodollars", "Sum of the accounts of a kind, at the last audit.", "kind"),
    Figure("ledger_imbalance_nanodollars", "Sum of all of these; anything but 0 is a fault."),
    Figure("audit_age_seconds", "Since the last audit of the books."),
    Figure("audit_late", "1: the audit did not run three times in a row, or never."),
    Figure("audit_differences", "Rows that break a rule of the books, as the last audit found."),
    # ---------------------------------------------------------------------------------------------- machinery
    Figure("web_processes", "Web processes whose heart beats."),
    Figure("clock_skew_seconds", "Clock of the machine that answers, less the database's."),
    Figure("task_age_seconds", "Since a periodic job ran last.", "task"),
    Figure("task_late", "1: it should have run by now.", "task"),
    Figure("notices_waiting", "Notices to customers that are not delivered yet.", "channel"),
    Figure("notices_lag_seconds", "How long the oldest of these has been due.", "channel"),
    Figure("database_bytes", "Size of the database."),
    Figure("database_connections", "Connections to the database server."),
    Figure("database_connections_max", "How many it allows."),
    Figure("database_oldest_transaction_seconds", "Age of our oldest open transaction; 0: none."),
    # ------------------------------------------------------------------------------------------------- market
    Figure("servers", "Servers, each in one state.", "state"),
    Figure("circuits_open", "Servers that failed three times in a row and are paused."),
    Figure("models", "Models on offer that some server can be asked for (served), or none.", "state"),
    Figure("waiting", "What waits for a person.", "kind"),
)


class Scrape(Collector):
    """Readings as families; a figure without a reading is there without a sample."""

    def __init__(self, listed: tuple[Figure, ...], readings: list[Reading]) -> None:
        self._families = {figure.name: figure.family for figure in listed}
        for name, label, value in readings:
            if value is not None:
                self._families[name].add_metric([label] if label else [], value)  # type: ignore[attr-defined]  # of both kinds

    def collect(self) -> Iterator[Metric]:
        yield from self._families.values()


@csrf_exempt  # or a POST would tell that there is something here
def metrics(request: HttpRequest) -> HttpResponse:
    """All figures; 404 for who has not METRICS_TOKEN, and for all while there is none; 503 without the database."""
    if not _may_read(request):
        raise Http404
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    registry = CollectorRegistry()
    try:
        registry.register(Scrape(FIGURES, [(UP.name, "", 1), *_readings()]))
        status = 200
    except Error as error:
        log.warning("metrics.failed", error=str(error))
        registry.register(Scrape((UP,), [(UP.name, "", 0)]))
        status = 503
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(
        encode(registry), status=status, content_type=content_type, headers={"Cache-Control": "no-store"}
    )


def _readings() -> list[Reading]:
    with snapshots.one_moment() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
        return list(figures.read(cursor))


def _may_read(request: HttpRequest) -> bool:
    """In constant time, whatever was sent."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    right = constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    return bool(settings.METRICS_TOKEN) and scheme.lower() == "bearer" and right
