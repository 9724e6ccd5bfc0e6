"""The sweeps: safe twice, late and concurrently."""

import datetime as dt
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from billing import ledger, tasks
from billing.models import Charge, LedgerAccount, Maturity, RateWindow
from tests import factories

HOLD = """
SELECT billing_hold(ARRAY[%(account)s]::bigint[], ARRAY[%(hold)s]::bigint[],
                    ARRAY[%(id)s]::uuid[], ARRAY[%(account)s]::bigint[], ARRAY[%(key)s]::bigint[],
                    ARRAY[NULL]::timestamptz[], ARRAY[%(hold)s]::bigint[], ARRAY['{100}'], ARRAY['{300}'],
                    ARRAY[%(payee)s], ARRAY[250]::bigint[], ARRAY[250]::bigint[], 2000, gen_random_uuid(),
                    %(expiry)s)
"""
SETTLE = """
SELECT statuses[1] FROM billing_settle(ARRAY[%s]::uuid[], ARRAY[1], ARRAY[250]::bigint[], ARRAY[250]::bigint[],
                                  ARRAY[NULL]::text[], 60)
"""


def hold(alice: factories.Person, *, payee: int = 0, expiry_s: int = 1_200) -> uuid.UUID:
    charge = uuid.UUID(int=uuid.uuid4().int & ~0xFF)  # the last byte is for the transfers' ids
    with connection.cursor() as cursor:
        cursor.execute(
            HOLD,
            {
                "id": charge,
                "account": alice.account.pk,
                "key": alice.api_key.pk,
                "hold": 100_000,
                "payee": f"{{{payee}}}",
                "expiry": expiry_s,
            },
        )
    return charge


def earn(alice: factories.Person, bob: factories.Person) -> None:
    """Bob serves Alice 250 + 250 tokens: the guide's example, 80,000 nanodollars, released after a minute."""
    charge = hold(alice, payee=ledger.pending_account(bob.customer).pk)
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, [charge])
        assert cursor.fetchone() == ("posted",)


def at_once(task: Callable[[], object], times: int = 4) -> list[object]:
    """Run a task in several threads, each with a connection of its own."""

    def run(_: int) -> object:
        try:
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def balances(person: factories.Person) -> tuple[int, int]:
    account = LedgerAccount.objects.get(kind="customer", customer=person.customer)
    return account.posted_nanos, account.held_nanos


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BATCH_ROWS", 2)


@pytest.mark.usefixtures("small_batches")
def test_earnings_are_released_once_however_often_the_task_runs(travel: Callable[[dt.timedelta], None]):
    alice, hosters = factories.person(), [factories.hoster()[0] for _ in range(5)]
    before = [balances(bob)[0] for bob in hosters]
    for bob in hosters:
        earn(alice, bob)
    tasks.release_pending_credits()
    assert [balances(bob)[0] for bob in hosters] == before

    travel(dt.timedelta(minutes=3))
    at_once(tasks.release_pending_credits)
    tasks.release_pending_credits()
    assert tasks.release_pending_credits() == 0
    assert [balances(bob)[0] for bob in hosters] == [nanos + 80_000 for nanos in before]


def test_nothing_is_released_while_the_clocks_disagree(
    travel: Callable[[dt.timedelta], None], monkeypatch: pytest.MonkeyPatch
):
    alice, bob = factories.person(), factories.hoster()[0]
    earn(alice, bob)
    travel(dt.timedelta(minutes=3))
    now = time.time()
    monkeypatch.setattr(tasks.time, "time", lambda: now + 61)
    assert tasks.release_pending_credits() == 0
    monkeypatch.undo()
    assert tasks.release_pending_credits() >= 1
    assert not Maturity.objects.filter(account__customer=bob.customer).exists()


@pytest.mark.usefixtures("small_batches")
def test_expired_holds_are_given_back_once(travel: Callable[[dt.timedelta], None]):
    alice = factories.person()
    charges = [hold(alice, expiry_s=60) for _ in range(5)]
    young = hold(alice, expiry_s=3_600)
    posted = balances(alice)[0]
    tasks.void_expired_holds()
    assert balances(alice) == (posted, 600_000)

    travel(dt.timedelta(minutes=3))
    at_once(tasks.void_expired_holds)
    tasks.void_expired_holds()
    assert tasks.void_expired_holds() == 0
    assert balances(alice) == (posted, 100_000)
    assert set(Charge.objects.filter(pk__in=charges).values_list("state", "void_reason")) == {
        ("voided", "expired")
    }
    assert Charge.objects.get(pk=young).state == Charge.State.HELD
    ledger.void(charges=[young], reason="test")


def test_partitions_are_made_once():
    tables = ["billing_charge", "routing_inferencerequest"]
    at_once(lambda: tasks.make_partitions(tables))
    tasks.make_partitions(tables)
    ahead = timezone.now().replace(day=28) + dt.timedelta(days=70)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)::text", [f"billing_charge_{ahead:%Y%m}"])
        assert cursor.fetchone()[0] is not None


@pytest.mark.usefixtures("small_batches")
def test_only_old_counters_are_forgotten():
    alice = factories.person()
    now = timezone.now()
    ages = {
        "minute": (dt.timedelta(minutes=90), dt.timedelta(hours=3)),
        "day": (dt.timedelta(days=2), dt.timedelta(days=4)),
    }
    for span, pair in ages.items():
        for age in (*pair, pair[1] + dt.timedelta(days=1), pair[1] + dt.timedelta(days=2)):
            RateWindow.objects.create(customer=alice.customer, span=span, starts_at=now - age)
    at_once(tasks.forget_rate_windows)
    tasks.forget_rate_windows()
    assert tasks.forget_rate_windows() == 0
    left = RateWindow.objects.filter(customer=alice.customer).values_list("span", "starts_at")
    assert set(left) == {(span, now - young) for span, (young, _) in ages.items()}
