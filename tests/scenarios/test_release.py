"""10,000 charges fall due at once for 20 sweepers in processes of their own, of which five are killed at work."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import connection

from billing import ledger
from billing.models import LedgerAccount, Maturity, Transfer
from tests import bookings, factories
from tests.scenarios.test_crashes import test_dsn

pytestmark = pytest.mark.slow
HOSTERS, MINUTES = 20, 25
CHARGES_EACH = 20  # of one hoster in one minute: 10,000 in all
SWEEPERS, KILLS = 20, 5
SWEEP = """
import django
django.setup()
from billing import ledger
ledger.release()
print("ready", flush=True)
while True:
    ledger.release(rows_max=1)  # one transaction for each maturity, so that a kill strikes between two, or within one
"""


def sweeper() -> subprocess.Popen:
    """Ready and at work."""
    environment = {
        **os.environ, "DATABASE_URL": test_dsn(), "DJANGO_SETTINGS_MODULE": "neuralgate.settings",
        "LOG_LEVEL": "CRITICAL",
    }  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", SWEEP], env=environment, stdout=subprocess.PIPE)


def test_ten_thousand_due_charges_are_each_released_once_within_a_minute(
    travel: Callable[[dt.timedelta], None], monkeypatch: pytest.MonkeyPatch
):
    alice = factories.person("alice", sold_nanos=10**12)
    hosters = [factories.hoster("bob") for _ in range(HOSTERS)]
    offers = [factories.server(of=hoster, price_in=1, price_out=0)[1] for _, hoster in hosters]
    for minute in range(MINUTES):
        travel(dt.timedelta(minutes=minute) - dt.timedelta(hours=30))
        for offer in offers:
            calls = [
                bookings.admit(alice, offer, input_tokens=100, output_tokens=0) for _ in range(CHARGES_EACH)
            ]
            bookings.end(*(bookings.Ending(call, input_tokens=100, output_tokens=0) for call in calls))
    travel(
        dt.timedelta(hours=-29)
    )  # they mature from 24 hours after their booking on: 6 hours ago, in real time
    pending = [ledger.pending_account(owner.customer) for owner, _ in hosters]
    due = Maturity.objects.filter(account__in=pending)
    assert sum(due.values_list("amount_nanos", flat=True)) == HOSTERS * MINUTES * CHARGES_EACH * 80
    before = {owner.customer.pk: owner.account.posted_nanos for owner, _ in hosters}

    sweepers = [sweeper() for _ in range(SWEEPERS)]
    try:
        for process in sweepers:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        assert due.count() == HOSTERS * MINUTES, "nothing was released early"
        began, left_at_kills = time.monotonic(), []
        travel(dt.timedelta())
        for victim in sweepers[:KILLS]:
            os.kill(victim.pid, signal.SIGKILL)
            left_at_kills.append(due.count())
        while due.exists():
            assert time.monotonic() - began < 60
            time.sleep(0.05)
    finally:
        for process in sweepers:
            process.kill()
            process.wait(10)
    assert left_at_kills[0] > 0, "they were killed at work"

    for owner, _ in hosters:
        account = LedgerAccount.objects.get(kind="customer", customer=owner.customer)
        assert account.posted_nanos - before[owner.customer.pk] == MINUTES * CHARGES_EACH * 80
    released = Transfer.objects.filter(kind="release", debit__in=pending)
    assert released.count() == len(set(released.values_list("pk", flat=True)))
    assert sum(released.values_list("amount_nanos", flat=True)) == HOSTERS * MINUTES * CHARGES_EACH * 80
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        assert cursor.fetchone()[0] == 0
    call_command("audit")
