"""kill -9 at each step of a request: afterwards the books are sound, and complete means booked."""

import time

import httpx
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from billing.models import Charge, Transfer
from routing import tasks
from routing.crashpoints import POINTS
from tests import factories, fakes
from tests.scenarios.processes import gateway_process

pytestmark = pytest.mark.slow
WELCOME = 5_000_000_000
STREAM_ONLY = {"relayed_some", "finish_seen", "first_byte"}


def test_dsn() -> str:
    parameters = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    return make_conninfo(**{name: parameters[name] for name in names if parameters.get(name)})


test_dsn.__test__ = False  # type: ignore[attr-defined]


def seen_by_client(url: str, who: factories.Person, model: str, *, stream: bool) -> bool:
    """Whether the client saw a complete answer."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    text = b""
    try:
        with httpx.stream(
            "POST", f"{url}/v1/chat/completions", json=body, headers=who.headers, timeout=10
        ) as answer:
            for piece in answer.iter_raw():
                text += piece
    except httpx.HTTPError:
        return b"[DONE]" in text
    return answer.status_code == 200 and (not stream or b"[DONE]" in text)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_process_leaves_sound_books(point: str, stream: bool, monkeypatch: pytest.MonkeyPatch):
    if point in STREAM_ONLY and not stream:
        pytest.skip("a whole answer has no such step")
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(usage=(10, 8), pause_s=0.01))
    _, offer = factories.server(server.base_url)
    complete = 0
    for _ in range(2):  # twice in a row
        with gateway_process(test_dsn(), NG_CRASH_AT=point) as (url, process):
            complete += seen_by_client(url, alice, offer.model_id, stream=stream)
            assert process.wait(10) == -9, "the process was to be killed"

    monkeypatch.setattr(settings, "PROCESS_DEAD_AFTER_S", 2)
    deadline = time.monotonic() + 10
    while alice.account.held_nanos and time.monotonic() < deadline:
        tasks.void_holds_of_dead_processes()
        time.sleep(0.2)
    tasks.void_holds_of_dead_processes()

    account = alice.account
    charges = Charge.objects.filter(account=account)
    posted = charges.filter(state="posted").count()
    assert account.held_nanos == 0
    assert charges.filter(state="held").count() == 0
    assert complete <= posted <= 2
    if point not in ("settle_committed", "before_last_bytes", "last_bytes_sent"):
        assert posted == 0
    assert account.posted_nanos == WELCOME - posted * 3_400
    assert Transfer.objects.filter(debit=account).count() == 2 * posted
    call_command("audit")  # exits 1 on any difference


def test_the_same_requests_work_when_nothing_crashes():
    """The scenario itself is sound: without a crash both ways end complete and booked."""
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model(usage=(10, 8))).base_url)
    with gateway_process(test_dsn()) as (url, process):
        assert seen_by_client(url, alice, offer.model_id, stream=True)
        assert seen_by_client(url, alice, offer.model_id, stream=False)
        process.terminate()
        process.wait(10)
    assert alice.account.posted_nanos == WELCOME - 2 * 3_400
