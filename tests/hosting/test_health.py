"""Health: the score as a function, one look at a real server, and the periodic job."""

import asyncio
import datetime as dt
import socket
from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from hosting import connector, health, tasks
from hosting.health import Look, Target, next_score
from hosting.models import HealthCheck, Server
from tests import factories
from tests.hosting.servers import Answer, ScriptedServer, model, routes
from tests.ports import ports

TOKEN = "server-token"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(answer: Answer) -> ScriptedServer:
        servers.append(ScriptedServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def look_at(base_url: str, *, kind: str = "hoster", token: str = TOKEN) -> Look:
    return asyncio.run(health.look(Target(1, kind, base_url, token)))


@given(st.floats(min_value=0, max_value=1), st.booleans())
def test_a_score_stays_in_range_and_moves_towards_what_was_seen(score: float, ok: bool) -> None:
    after = next_score(score, ok=ok)
    assert 0 <= after <= 1
    assert after >= score if ok else after <= score


def test_a_server_that_fails_is_excluded_with_the_sixth_check() -> None:
    score = 1.0
    for _ in range(5):
        score = next_score(score, ok=False)
    assert score > 0.3
    assert next_score(score, ok=False) < 0.3


def test_a_server_is_well_when_health_is_200(serve: Callable[[Answer], ScriptedServer]) -> None:
    server = serve(model(TOKEN))
    look = look_at(server.base_url)
    assert look.ok
    assert [request.path for request in server.requests] == ["/health"]
    assert 0 <= look.latency_ms < 5_000


@pytest.mark.parametrize("absent", [404, 405])
def test_models_is_the_check_where_health_does_not_exist(
    serve: Callable[[Answer], ScriptedServer], absent: int
) -> None:
    server = serve(routes(health=absent, models=200))
    assert look_at(server.base_url).ok
    assert [request.path for request in server.requests] == ["/health", "/v1/models"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (routes(health=503, models=200), "GET /health answers 503 instead of 200"),
        (routes(health=302, models=200), "GET /health answers 302 instead of 200"),
        (routes(), "GET /v1/models answers 404 instead of 200"),
        (routes(health=404, models=401), "GET /v1/models answers 401 instead of 200"),
    ],
)
def test_an_unwell_server_is_told_why(
    serve: Callable[[Answer], ScriptedServer], answer: Answer, error: str
) -> None:
    assert look_at(serve(answer).base_url).error == error


@pytest.mark.parametrize(("status", "ok"), [(200, True), (404, True), (401, False), (500, False)])
def test_a_provider_is_asked_for_its_models_at_its_full_base_url(
    serve: Callable[[Answer], ScriptedServer], status: int, ok: bool
) -> None:
    server = serve(routes(models=status))
    assert look_at(f"{server.base_url}/api/v1", kind="cloud").ok is ok
    assert [request.path for request in server.requests] == ["/api/v1/models"]


def test_a_server_that_is_away_fails_in_words() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert look_at(f"http://127.0.0.1:{port}").error == "GET /health: no connection"
    assert "metadata" not in look_at("http://169.254.169.254:8000").error
    assert not look_at("http://169.254.169.254:8000").ok


def test_the_name_is_resolved_at_every_look(
    serve: Callable[[Answer], ScriptedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(model(TOKEN))
    answers = iter([["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"]])

    async def resolver(host: str, port: int) -> list[str]:
        return next(answers)

    monkeypatch.setattr(connector, "system_resolver", resolver)
    base_url = server.base_url.replace("127.0.0.1", "gpu.good.com")
    assert [look_at(base_url).ok for _ in range(3)] == [True, True, False]
    assert len(server.requests) == 2


def test_the_job_looks_at_verified_servers_and_moves_their_scores(
    serve: Callable[[Answer], ScriptedServer],
) -> None:
    well, _ = factories.server(serve(model(TOKEN)).base_url, health=0.5)
    ill, _ = factories.server(serve(routes(health=500)).base_url)
    unread, _ = factories.server(serve(model(TOKEN)).base_url)
    Server.objects.filter(pk=unread.pk).update(token_encrypted=well.token_encrypted)
    unverified, _ = factories.server(serve(model(TOKEN)).base_url)
    Server.objects.filter(pk=unverified.pk).update(verified_at=None)
    versions = {server.pk: Server.objects.get(pk=server.pk).version for server in (well, ill)}

    assert tasks.check_health(jitter_s=0) >= 2

    well.refresh_from_db()
    ill.refresh_from_db()
    assert (well.health, ill.health) == (pytest.approx(0.6), pytest.approx(0.8))
    assert well.health_checked_at is not None
    assert {server.pk: server.version for server in (well, ill)} == versions
    assert [(check.ok, check.error) for check in well.health_checks.all()] == [(True, "")]
    assert [check.error for check in ill.health_checks.all()] == ["GET /health answers 500 instead of 200"]
    assert [check.ok for check in unread.health_checks.all()] == [False]
    assert not unverified.health_checks.exists()


def test_looks_older_than_a_week_are_forgotten() -> None:
    server, _ = factories.server(f"http://127.0.0.1:{next(ports)}")
    Server.objects.filter(pk=server.pk).update(verified_at=None)
    now = timezone.now()
    for days in (1, 6.9, 7.1, 30):
        HealthCheck.objects.create(
            server=server, ok=True, latency_ms=1, checked_at=now - dt.timedelta(days=days)
        )
    assert health.forget_old() >= 2
    assert server.health_checks.count() == 2
