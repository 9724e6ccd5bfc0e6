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
from hosting.health import Look, Seen, Target
from hosting.models import Circuit, HealthCheck, Server, ServerMinute
from tests import factories
from tests.hosting.servers import Answer, ScriptedServer, model, routes

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


CHECK_OK, CHECK_FAILED = Seen(health.WEIGHT_OF_A_CHECK, 1, 0), Seen(health.WEIGHT_OF_A_CHECK, 0, 1)


@given(st.lists(st.builds(Seen, st.floats(0, 1), st.integers(0, 1_000), st.integers(0, 1_000)), max_size=20))
def test_a_score_stays_in_range_and_moves_towards_what_was_seen(events: list[Seen]) -> None:
    before = health.score(events)
    assert 0 <= before <= 1
    assert health.score([*events, CHECK_OK]) >= before
    assert health.score([*events, CHECK_FAILED]) <= before


def test_a_server_that_fails_is_excluded_with_the_sixth_check() -> None:
    assert health.score([CHECK_FAILED] * 5) > 0.3
    assert health.score([CHECK_FAILED] * 6) < 0.3


def test_a_minute_of_failing_requests_counts_more_than_a_check_that_passes() -> None:
    minute = Seen(health.WEIGHT_OF_A_REQUEST, 20, 80)
    assert health.score([minute, CHECK_OK]) < 0.5
    assert health.score([Seen(health.WEIGHT_OF_A_REQUEST, 99, 1)]) > 0.98


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
    serve: Callable[[Answer], ScriptedServer], request: pytest.FixtureRequest
) -> None:
    others = list(Server.objects.filter(verified_at__isnull=False).values_list("pk", flat=True))
    Server.objects.filter(pk__in=others).update(verified_at=None)  # many of them never answer
    request.addfinalizer(lambda: Server.objects.filter(pk__in=others).update(verified_at=timezone.now()))
    well, _ = factories.server(serve(model(TOKEN)).base_url, health=0.5)
    ill, _ = factories.server(serve(routes(health=500)).base_url)
    unread, _ = factories.server(serve(model(TOKEN)).base_url)
    Server.objects.filter(pk=unread.pk).update(token_encrypted=well.token_encrypted)
    unverified, _ = factories.server(serve(model(TOKEN)).base_url)
    Server.objects.filter(pk=unverified.pk).update(verified_at=None)
    versions = {server.pk: Server.objects.get(pk=server.pk).version for server in (well, ill)}

    assert tasks.check_health(jitter_s=0) == 2

    well.refresh_from_db()
    ill.refresh_from_db()
    assert (well.health, ill.health) == (1.0, pytest.approx(0.8))
    assert well.health_checked_at is not None
    assert {server.pk: server.version for server in (well, ill)} == versions
    assert [(check.ok, check.error) for check in well.health_checks.all()] == [(True, "")]
    assert [check.error for check in ill.health_checks.all()] == ["GET /health answers 500 instead of 200"]
    assert [check.ok for check in unread.health_checks.all()] == [False]
    assert not unverified.health_checks.exists()


def test_looks_older_than_a_week_are_forgotten() -> None:
    server, _ = factories.server()
    Server.objects.filter(pk=server.pk).update(verified_at=None)
    now = timezone.now()
    for days in (1, 6.9, 7.1, 30):
        HealthCheck.objects.create(
            server=server, ok=True, latency_ms=1, checked_at=now - dt.timedelta(days=days)
        )
    assert health.forget_old() >= 2
    assert server.health_checks.count() == 2


# -------------------------------------------------------------------------------------------- what is recorded


def look(server: Server, *, ok: bool, refused: bool = False) -> None:
    health.record([Look(server.pk, 5, "" if ok else "GET /health answers 500 instead of 200", refused)])
    server.refresh_from_db()


def minute(server: Server, *, ago_min: int, served: int, failed: int, now: dt.datetime | None = None) -> None:
    """now: where several minutes of a server must be different ones."""
    at = (now or timezone.now()).replace(second=0, microsecond=0) - dt.timedelta(minutes=ago_min)
    ServerMinute.objects.create(server=server, minute=at, served=served, failed=failed)


def test_the_stored_score_is_the_score_of_what_was_recorded_before_it() -> None:
    (server, _), now = factories.server(), timezone.now()
    minute(server, now=now, ago_min=55, served=10, failed=3)
    minute(server, now=now, ago_min=65, served=0, failed=500)
    for n in range(12):
        minute(server, now=now, ago_min=10 + n, served=3 * n, failed=n)
        look(server, ok=n % 3 > 0)
    minute(server, now=now, ago_min=0, served=0, failed=100)
    look(server, ok=True)
    assert server.health_checked_at is not None
    for later in range(2):  # what comes afterwards does not change it
        events = health.recorded([server.pk], server.health_checked_at)[server.pk]
        assert health.score(events) == server.health
        assert len(events) == 13 + 13
        HealthCheck.objects.create(server=server, ok=False, latency_ms=1, error=f"later {later}")
        minute(server, now=now, ago_min=-1 - later, served=0, failed=9)


def test_requests_move_the_score_as_checks_do() -> None:
    server, _ = factories.server()
    minute(server, ago_min=5, served=0, failed=100)
    look(server, ok=True)
    assert server.health < 0.5


def test_three_failed_looks_open_the_circuit_and_the_next_three_double_its_pause() -> None:
    server, _ = factories.server()
    for _ in range(2):
        look(server, ok=False)
    assert not Circuit.objects.filter(server=server).exists()
    look(server, ok=False)
    circuit = Circuit.objects.get(server=server)
    assert 28 < (circuit.open_until - timezone.now()).total_seconds() <= 30
    look(server, ok=False)
    circuit.refresh_from_db()
    assert circuit.openings == 1, "it is open already"
    Circuit.objects.filter(server=server).update(open_until=timezone.now())
    look(server, ok=False)
    circuit.refresh_from_db()
    assert circuit.openings == 2
    assert 58 < (circuit.open_until - timezone.now()).total_seconds() <= 60


def test_for_ten_minutes_a_server_may_go_without_its_new_token(
    serve: Callable[[Answer], ScriptedServer],
) -> None:
    old = serve(model("old-token"))
    server, _ = factories.server(old.base_url, token="new-token", waiting_since=timezone.now())
    asked = Target(server.pk, "hoster", old.base_url, "new-token", True)
    for _ in range(4):
        health.record([asyncio.run(health.look(asked))])
    server.refresh_from_db()
    assert (server.health, server.waiting_since is not None) == (1.0, True)
    assert {check.excused for check in server.health_checks.all()} == {True}
    assert not Circuit.objects.filter(server=server).exists()
    Server.objects.filter(pk=server.pk).update(waiting_since=timezone.now() - dt.timedelta(minutes=11))
    health.record([asyncio.run(health.look(asked))])
    server.refresh_from_db()
    assert server.health < 1
    health.record([asyncio.run(health.look(Target(server.pk, "hoster", old.base_url, "old-token", True)))])
    server.refresh_from_db()
    assert server.waiting_since is None, "it takes the token"
