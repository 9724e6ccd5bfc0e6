"""All that NeuralGate runs on one machine: what to prepare, which processes, how to see that they serve."""

import contextlib
import fcntl
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from neuralgate import schedule
from neuralgate.celery import install_broker
from neuralgate.supervisor import Child, Family, Program
from neuralgate.web import bind

PARTS = ("web", "worker", "beat")
MIGRATE_LOCK = 7_303_003  # advisory lock: one process at a time migrates
WORKER_THREADS = 4
TASK_GRACE_S = 20.0
# Celery warns of root because of pickled messages; ours are JSON only, and containers run as what they like.
ROOT_IS_FINE = ("-W", "ignore:You're running the worker with superuser privileges")
READY_TIMEOUT_S = 90.0
DEATHS_BEFORE_READY_MAX = 3


def listen() -> socket.socket:
    """The socket that all web processes share."""
    try:
        return bind()
    except OSError as error:
        raise CommandError(
            f"Cannot listen on {settings.HOST}:{settings.PORT} ({error.strerror}): "
            "another program uses it. Stop that, or set PORT to a free one."
        ) from None


@contextlib.contextmanager
def sole(data_dir: Path) -> Iterator[IO[str]]:
    """Refuse to run twice on one DATA_DIR; waits for one that was killed and is being cleaned up."""
    with open(data_dir / "serve.lock", "a+") as file:
        deadline = time.monotonic() + settings.SHUTDOWN_GRACE_S + 30
        while not _locked(file):
            if pid := _owner(file):
                raise CommandError(
                    f"NeuralGate already runs on {data_dir} (process {pid}). "
                    "Stop that one first, or set DATA_DIR to another folder."
                )
            if time.monotonic() > deadline:
                raise CommandError(f"The processes of an earlier start on {data_dir} do not end.")
            time.sleep(0.2)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield file


def prepare() -> None:
    """Bring the database up to date; several machines may do so at once."""
    with psycopg.connect(settings.DATABASE_DSN, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", [MIGRATE_LOCK])
        call_command("migrate", verbosity=0, interactive=False)
        install_broker()
        schedule.install()
    let_go()


def let_go() -> None:
    """Close our own connections to the database: until the end only the children need some."""
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # its threads must not be there when we fork


def web(listener: socket.socket) -> list[Program]:
    descriptor = listener.fileno()
    command = (sys.executable, "-m", "neuralgate.web", "--fd", str(descriptor))
    return [
        Program(
            f"web {number}", command, stage=0, grace_s=settings.SHUTDOWN_GRACE_S + 10.0, fds=(descriptor,)
        )
        for number in range(1, settings.WEB_PROCESSES + 1)
    ]


def worker() -> Program:
    pool = ("--pool", "threads", "--concurrency", str(WORKER_THREADS))
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return Program("worker", (*_celery("worker"), *pool, *quiet), grace_s=TASK_GRACE_S)


def beat() -> Program:
    return Program("beat", (*_celery("beat"), "--pidfile="))


def wait_until_ready(family: Family, webs: list[Child]) -> bool:
    """Whether /readyz answers 200 before the timeout; CommandError when the web processes cannot start."""

    def ready() -> bool:
        if any(child.deaths >= DEATHS_BEFORE_READY_MAX for child in webs):
            raise CommandError("The web processes do not start: see the messages above.")
        return answers_ready()

    return family.wait_for(ready, timeout_s=READY_TIMEOUT_S)


def answers_ready() -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)
    client = http.client.HTTPConnection(host, settings.PORT, timeout=2)
    try:
        client.request("GET", "/readyz", headers={"Host": urlsplit(settings.PUBLIC_URL).netloc})
        return client.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def _celery(command: str) -> tuple[str, ...]:
    return (sys.executable, *ROOT_IS_FINE, "-m", "celery", "--app", "neuralgate", "--quiet", command)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(file: IO[str]) -> int:
    """The process that holds the lock; 0 when only its clean-up is left."""
    file.seek(0)
    pid = int(file.read() or 0)
    try:
        if pid:
            os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        pass  # it lives, as another user
    return pid
