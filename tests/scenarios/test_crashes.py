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
WHOLE_ONLY = {"answer_kept"}


def test_dsn() -> str:
    parameters = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    return make_conninfo(**{name: parameters[name] for name in names if parameters.get(name)})


test_dsn.__test__ = False


def seen_by_client(url: str, who: factories.Person, model: str, *, stream: bool, key: str = "") -> bool:
    """Whether the client saw a complete answer. key: an Idempotency-Key."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
    text = b""
    try:
        with httpx.stream(
            "POST",
            f"{url}/v1/chat/completions",
            json=body,
            headers=who.headers | ({"Idempotency-Key": key} if key else {}),
            timeout=15,
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
    if point in WHOLE_ONLY and stream:
        pytest.skip("a stream has no such step")
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(usage=(10, 8), pause_s=0.01))
    _, offer = factories.server(server.base_url)
    complete = 0
    for _ in range(2):  # twice in a row
        with gateway_process(test_dsn(), NG_CRASH_AT=point) as (url, process):
            key = factories.unique("key") if point in WHOLE_ONLY else ""
            complete += seen_by_client(url, alice, offer.model_id, stream=stream, key=key)
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


@pytest.mark.parametrize("point", [point for point in POINTS if point not in STREAM_ONLY])
def test_a_repetition_after_a_crash_is_served_and_paid_once(point: str):
    """With an Idempotency-Key the client just asks again, of another process, until it has its answer."""
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model(usage=(10, 8))).base_url)
    with gateway_process(test_dsn(), NG_CRASH_AT=point) as (url, process):
        seen_by_client(url, alice, offer.model_id, stream=False, key="same")
        assert process.wait(10) == -9, "the process was to be killed"
    with gateway_process(test_dsn(), PROCESS_DEAD_AFTER_S="2") as (url, process):
        for _ in range(2):
            assert seen_by_client(url, alice, offer.model_id, stream=False, key="same")
        process.terminate()
        process.wait(10)
    account = alice.account
    assert Charge.objects.filter(account=account, state="posted").count() == 1
    assert (account.posted_nanos, account.held_nanos) == (WELCOME - 3_400, 0)
    call_command("audit")


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
