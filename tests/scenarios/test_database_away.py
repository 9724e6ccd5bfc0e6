"""PostgreSQL crashes or is away while requests run: nothing is lost, nothing is billed twice, service comes back."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from neuralgate import embedded
from tests import fakes
from tests.scenarios.processes import ROOT, gateway_process

pytestmark = pytest.mark.slow
ASK = {"messages": [{"role": "user", "content": "Hello"}]}


class Cluster:
    """A PostgreSQL of its own (with fsync) that may be crashed."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.dsn = embedded.dsn(data_dir)
        self.environment = {**os.environ, "DATA_DIR": str(data_dir), "DATABASE_URL": self.dsn}

    def start(self) -> None:
        embedded.start(self.data_dir)

    def crash(self) -> None:
        embedded.stop(self.data_dir, mode="immediate")

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE
        ).stdout.decode()

    def market(self, *base_urls: str) -> dict:
        command = [sys.executable, "-m", "tests.scenarios.market", *base_urls]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def one(self, query: str, *parameters: object) -> tuple:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query, parameters).fetchone()
            assert row is not None
            return row


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Not in pytest's temporary folder: each new run closes that to the system user who runs the server.
    cluster = Cluster(ROOT / "data" / f"crashes-{os.getpid()}")
    cluster.data_dir.mkdir(parents=True, exist_ok=True)
    with embedded.running(cluster.data_dir):
        cluster.manage("migrate", "-v", "0")
        yield cluster
    shutil.rmtree(cluster.data_dir)


def balance(cluster: Cluster, account: int) -> tuple[int, int]:
    return cluster.one("SELECT posted_nanos, held_nanos FROM billing_ledgeraccount WHERE id = %s", account)


def charges(cluster: Cluster, account: int) -> tuple[int, int]:
    """(posted, held)"""
    query = """SELECT count(*) FILTER (WHERE state = 'posted'), count(*) FILTER (WHERE state = 'held')
                 FROM billing_charge WHERE account_id = %s"""
    return cluster.one(query, account)


def test_a_stream_survives_a_database_crash_and_is_booked_once(cluster: Cluster):
    market = cluster.market(
        fakes.FakeServer(fakes.model(" ".join(["word"] * 60), pause_s=0.05, usage=(9, 60))).base_url
    )
    with gateway_process(cluster.dsn, DATA_DIR=cluster.data_dir) as (url, _):
        text: list[str] = []

        def read() -> None:
            body = {"model": market["model"], "stream": True, **ASK}
            headers = {"Authorization": f"Bearer {market['key']}"}
            with httpx.stream(
                "POST", f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60
            ) as answer:
                text.extend(answer.iter_text())

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(1)
        assert text, "the stream has begun"
        cluster.crash()
        before = len(text)
        time.sleep(3.5)  # the stream goes on, its end waits for the books
        assert len(text) > before
        assert "[DONE]" not in "".join(text)
        cluster.start()
        reader.join(30)
        assert "".join(text).endswith("data: [DONE]\n\n")
    assert balance(cluster, market["account"]) == (5_000_000_000 - 9 * 100 - 60 * 300, 0)
    assert cluster.manage("audit")


def test_a_database_that_stays_away_costs_the_customer_nothing(cluster: Cluster):
    market = cluster.market(fakes.FakeServer(fakes.model(" ".join(["word"] * 20), pause_s=0.05)).base_url)
    headers = {"Authorization": f"Bearer {market['key']}"}
    with gateway_process(cluster.dsn, DATA_DIR=cluster.data_dir, SETTLE_WAIT_S=2, ADMISSION_WAIT_S=1) as (
        url,
        _,
    ):
        body = {"model": market["model"], "stream": True, **ASK}
        with httpx.stream(
            "POST", f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60
        ) as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            cluster.crash()
            began = time.monotonic()
            refused = httpx.post(
                f"{url}/v1/chat/completions", json={**body, "stream": False}, headers=headers
            )
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "2"
            assert time.monotonic() - began < 2.5
            text += "".join(pieces)
        last = text.rstrip().split("\n\n")[-1]
        assert json.loads(last[6:])["error"]["code"] == "temporarily_unavailable"
        cluster.start()
        began = time.monotonic()
        while (
            httpx.post(
                f"{url}/v1/chat/completions", json={**body, "stream": False}, headers=headers
            ).status_code
            != 200
        ):
            assert time.monotonic() - began < 5, "service comes back within 5 s"
            time.sleep(0.1)
        for _ in range(100):
            if balance(cluster, market["account"])[1] == 0:
                break
            time.sleep(0.1)
    states = charges(cluster, market["account"])
    assert states == (1, 0)
    assert cluster.manage("audit")


def test_a_lost_answer_to_a_commit_is_asked_again_and_booked_once(cluster: Cluster):
    """Backends are ended in the middle of load: a commit may have happened whose answer never came."""
    market = cluster.market(fakes.FakeServer(fakes.model(usage=(10, 8))).base_url)
    headers = {"Authorization": f"Bearer {market['key']}"}
    served = 0
    with gateway_process(cluster.dsn, DATA_DIR=cluster.data_dir) as (url, _):
        stop = threading.Event()

        def kill() -> None:
            superuser = embedded.dsn(cluster.data_dir, user=embedded.SUPERUSER)
            with psycopg.connect(superuser, autocommit=True) as connection:
                while not stop.is_set():
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                        [embedded.ROLE],
                    )
                    time.sleep(0.15)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with httpx.Client(timeout=30) as client:
                for _ in range(60):
                    answer = client.post(
                        f"{url}/v1/chat/completions", json={"model": market["model"], **ASK}, headers=headers
                    )
                    assert answer.status_code in (200, 503)
                    served += answer.status_code == 200
        finally:
            stop.set()
            killer.join()
        time.sleep(1)
    posted, held = charges(cluster, market["account"])
    assert served > 0
    assert posted == served
    assert held == 0
    assert cluster.manage("audit")
