"""Processes are started again when they die, and none outlives its supervisor, however that ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neuralgate import machine
from neuralgate.web import ClientBehindProxies

ROOT = Path(__file__).resolve().parent.parent
SUPERVISOR = """
import sys
from neuralgate import supervisor
supervisor.BACKOFF_FIRST_S = 0.05
with supervisor.Family(grace_s=0.5) as family:
    for name in ("polite", "stubborn"):
        family.start(supervisor.Program(name, (sys.executable, sys.argv[1], name), grace_s=0.3))
    family.watch()
"""
CHILD = """
import os, pathlib, signal, subprocess, sys, time
name = sys.argv[1]
if name == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(pathlib.Path(__file__).parent / name, "a") as file:
    print(os.getpid(), grandchild.pid, file=file)
time.sleep(60)
"""


class Started:
    """A supervisor with two children, each with a child of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "child.py").write_text(CHILD)
        command = [sys.executable, "-c", SUPERVISOR, str(folder / "child.py")]
        self.process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
        eventually(lambda: len(self.pids("polite")) == len(self.pids("stubborn")) == 2)

    def pids(self, name: str) -> list[int]:
        """Of all starts so far: child, grandchild, child, grandchild …"""
        file = self.folder / name
        return [int(pid) for pid in file.read_text().split()] if file.exists() else []

    def all_pids(self) -> list[int]:
        return self.pids("polite") + self.pids("stubborn")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    family = Started(tmp_path)
    yield family
    if family.process.poll() is None:
        family.process.kill()
    family.process.wait()
    eventually(lambda: not any(map(alive, family.all_pids())))


def eventually(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether it runs; a zombie that its new parent has not buried yet does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_dead_child_is_started_again_without_what_it_had_started(started: Started):
    child, grandchild = started.pids("polite")
    os.kill(child, signal.SIGKILL)
    eventually(lambda: len(started.pids("polite")) == 4)
    eventually(lambda: not alive(grandchild))
    assert alive(started.pids("polite")[2])
    assert len(started.pids("stubborn")) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_every_process(started: Started, number: int):
    started.process.send_signal(number)
    assert started.process.wait(timeout=10) == 0
    assert not any(map(alive, started.all_pids()))


def test_nothing_outlives_a_killed_supervisor(started: Started):
    started.process.kill()
    started.process.wait()
    eventually(lambda: not any(map(alive, started.all_pids())))


def test_one_folder_is_served_once(tmp_path: Path):
    with (
        machine.sole(tmp_path),
        pytest.raises(machine.CommandError, match="already runs"),
        machine.sole(tmp_path),
    ):
        pass
    with machine.sole(tmp_path):
        pass


def test_a_port_in_use_is_one_plain_sentence(settings):
    settings.PORT = 0
    with machine.listen() as listener:
        settings.PORT = listener.getsockname()[1]
        with pytest.raises(machine.CommandError, match=f"Cannot listen on 127.0.0.1:{settings.PORT} "):
            machine.listen()


@pytest.mark.parametrize(
    ("proxies", "header", "client"),
    [
        (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "10.0.0.2"),
        (1, "", "10.0.0.2"),
    ],
)
def test_the_caller_behind_our_proxies_cannot_choose_his_address(proxies: int, header: str, client: str):
    scope = {"type": "http", "client": ("10.0.0.2", 1), "headers": [(b"x-forwarded-for", header.encode())]}

    async def app(scope, receive, send):
        pass

    coroutine = ClientBehindProxies(app, proxies)(scope, None, None)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert scope["client"][0] == client
