"""Is this process alive (`/healthz`), and may it be sent requests (`/readyz`)?"""

import functools
import time
from collections.abc import Callable

import structlog
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from billing import invariants

log = structlog.get_logger(__name__)

CLOCK_SKEW_MAX_S = 60
BOOKS_CLOCK = "SELECT extract(epoch FROM app_now())::float8"


class NotReady(Exception):
    """Why this process must not be sent requests, in words for the operator."""


def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers at all; asks nobody else."""
    return HttpResponse("ok", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every check passes, otherwise 503; the body says which did not and why."""
    checks = {name: _outcome(name, check) for name, check in CHECKS.items()}
    ready = all(outcome == "ok" for outcome in checks.values())
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


def database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@functools.cache
def migrations() -> None:
    """Asked until it passes, and then never again: only what returns is cached."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        waiting = ", ".join(f"{step.app_label}.{step.name}" for step, _ in plan)
        raise NotReady(f"not applied: {waiting}; run `manage.py migrate`")


def guards() -> None:
    """The triggers, functions and constraints that keep the books honest are in place."""
    with connection.cursor() as cursor:
        cursor.execute(invariants.GUARDS.sql)
        missing = [subject for subject, _ in cursor.fetchall()]
    if missing:
        raise NotReady(f"missing or disabled: {', '.join(missing)}")


def clock() -> None:
    with connection.cursor() as cursor:
        cursor.execute(BOOKS_CLOCK)
        skew_s = time.time() - cursor.fetchone()[0]
    if abs(skew_s) >= CLOCK_SKEW_MAX_S:
        raise NotReady(f"this machine's clock is {skew_s:+.0f} s from the database's")


CHECKS: dict[str, Callable[[], None]] = {
    "database": database,
    "migrations": migrations,
    "guards": guards,
    "clock": clock,
}


def _outcome(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except NotReady as error:
        return str(error)
    except Error as error:
        log.warning("probe.failed", check=name, error=str(error))
        return "the database cannot be reached or refuses the question"
    return "ok"
