"""A trip whose answer was lost after the commit is repeated, a call may end twice: nothing is done twice."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from billing import ledger
from billing.models import Charge, RateWindow
from hosting.models import Server, ServerMinute
from routing import batching
from routing.admission import Admission, Application, new_charge_id
from routing.batching import Batcher
from routing.models import InferenceRequest
from routing.settlement import Ending, Receipt, Settlement
from tests import bookings, factories
from tests.routing.test_usage_api import address

WELCOME = 5_000_000_000


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "RETRY_PAUSE_S", 0)


def test_a_repeated_admission_holds_once_and_answers_as_the_first():
    alice, poor = factories.person(), factories.person()
    server, _ = factories.server(address(), kind="cloud")
    wish = application(alice, server, output=1_000, choices=3, explicit=False)
    too_much = application(poor, server, output=10**7, choices=1, explicit=True)
    admission = Admission(
        dsn(), boot=str(bookings.BOOT), fee_bps=2_000, expiry_s=60, rows_max=10, queue_max=None, wait_s=5,
        give_back=lambda charge: None,
    )  # fmt: skip
    answers, verdicts = asyncio.run(twice(admission, [wish, too_much]))
    assert [verdict.status for verdict in answers] == ["ok", "insufficient_credit"]
    assert (verdicts[0].status, verdicts[0].output_max, verdicts[0].hold_nanos) == ("ok", 1_000, 250 + 3_000)
    assert verdicts[1] == answers[1]
    assert Charge.objects.filter(account=alice.account).count() == 1
    assert alice.account.held_nanos == 250 + 3_000
    assert poor.account.held_nanos == 0
    counted = RateWindow.objects.filter(customer=alice.customer).values_list("requests", flat=True)
    assert set(counted) == {1}
    ledger.void(charges=[uuid.UUID(wish.charge)], reason="test")


def test_a_repeated_settlement_books_once_and_stands():
    alice = factories.person()
    _, offer = factories.server(address(), kind="cloud", price_in=1, price_out=1)
    call, other = bookings.admit(alice, offer), bookings.admit(alice, offer)
    settlement = Settlement(dsn(), hold_s=60, rows_max=10, wait_s=5)
    answers, receipts = asyncio.run(twice(settlement, [ending(call, 1), ending(other, 0)]))
    assert answers == [Receipt("posted", 500), Receipt("voided", 0)]
    assert receipts == [Receipt("already_posted", 500), Receipt("already_voided", 0)]
    assert [receipt.stands for receipt in receipts] == [True, False]
    assert (alice.account.posted_nanos, alice.account.held_nanos) == (WELCOME - 500, 0)


def test_the_first_of_two_endings_in_one_batch_wins():
    """A call may be settled while its caller, who hung up, voids it."""
    alice = factories.person()
    _, offer = factories.server(address(), price_in=1, price_out=1)
    broken, _ = factories.server(address())
    call, neighbour = bookings.admit(alice, offer), bookings.admit(alice, offer)
    endings = (
        bookings.Ending(call, 1, 10, 10, failed_servers=(broken.pk,)),
        bookings.Ending(neighbour),
        bookings.Ending(call, 0, 0, 0, "abandoned", failed_servers=(broken.pk,)),
    )
    receipts = [(status, gross) for _, status, gross in bookings.end(*endings)]
    assert receipts == [("posted", 20), ("posted", 500), ("already_posted", 20)]
    assert InferenceRequest.objects.get(pk=call.id).outcome == "finished"
    assert ServerMinute.objects.get(server=broken).failed == 1


async def twice(batcher: Batcher, rows: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The answers that were lost, and those of the repetition."""
    lost: list[Any] = []
    trip = batcher._trip

    async def losing(connection: Any, rows: Sequence[Any], again: bool) -> list[Any]:
        answers = await trip(connection, rows, again)
        assert again == bool(lost)
        if not lost:
            lost.extend(answers)
            raise psycopg.OperationalError("the connection was lost after the commit")
        return answers

    batcher._trip = losing
    batcher.start()
    try:
        return lost, list(await asyncio.gather(*[batcher.submit(row) for row in rows]))
    finally:
        await batcher.stop()


def application(
    who: factories.Person, server: Server, *, output: int, choices: int, explicit: bool
) -> Application:
    server.refresh_from_db()
    return Application(
        charge=new_charge_id(), digest=bytes(who.api_key.digest).hex(), model="any", input_max=250,
        output_asked=output, explicit=explicit, choices=choices, price_in=(1,), price_out=(1_000 if explicit else 1,),
        payee=(0,), servers=(server.pk,), versions=(server.version,),
    )  # fmt: skip


def ending(call: bookings.Call, quote: int) -> Ending:
    tokens = 250 if quote else 0
    return Ending(
        charge=call.id.hex, quote=quote, input_tokens=tokens, output_tokens=tokens,
        outcome="finished" if quote else "upstream_failed", success=quote > 0, model_asked="any", model="any",
        provider="cloud" if quote else "", server=call.offer.server_id if quote else None, endpoint="chat",
        streamed=False, attempts=1, claimed_input=None, claimed_output=None, input_bytes=1, output_bytes=1,
        ttft_ms=None, latency_ms=1, failed_servers=(),
    )  # fmt: skip


def dsn() -> str:
    parameters = connection.get_connection_params()
    names = ("host", "port", "dbname", "user", "password")
    return make_conninfo(**{name: parameters[name] for name in names if parameters.get(name)})
