"""Keeps a family of processes alive, and leaves none behind.

A child that dies is started again with back-off. Each child has a session of its own, so that Ctrl-C reaches
only the supervisor, which ends them in order. When the supervisor itself is killed, the kernel sends them
SIGTERM (Linux), and `guard.py` sees to the rest.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

import structlog

from neuralgate import guard

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
HEALTHY_AFTER_S = 60.0
TICK_S = 1.0
KILL_WAIT_S = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. Programs of a lower stage are ended first, and have grace_s to finish what they do."""

    name: str
    command: tuple[str, ...]
    stage: int = 1
    grace_s: float = 10.0
    fds: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    start_again_s: float = 0.0
    backoff_s: float = BACKOFF_FIRST_S
    deaths: int = 0


class Family:
    """`with Family() as family:` children started inside are gone outside.

    data_dir: whose embedded PostgreSQL the guard stops in an emergency; lock: a file whose lock it shares.
    env: added to every child's environment.
    """

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        lock: IO[str] | None = None,
        grace_s: float = 10.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.lock = lock
        self.grace_s = grace_s
        self.env = env or {}
        self.children: list[Child] = []
        self.signals = 0
        self._end_of_life = _end_with_parent()

    def __enter__(self) -> Self:
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._wakeup_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._handlers_before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        self._handlers_before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._guard = self._start_guard()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        try:
            self._end_all()
        finally:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait()
            for number, handler in self._handlers_before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._wake_read)
            os.close(self._wake_write)

    @property
    def asked_to_stop(self) -> bool:
        return self.signals > 0

    def start(self, program: Program) -> Child:
        child = Child(program)
        self.children.append(child)
        self._spawn(child)
        return child

    def watch(self) -> None:
        """Keep all alive until a signal asks to stop."""
        while not self.asked_to_stop:
            self.tick(TICK_S)

    def wait_for(self, condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.2) -> bool:
        """Keep all alive until the condition holds; False after the timeout or when asked to stop."""
        deadline = time.monotonic() + timeout_s
        while not self.asked_to_stop and time.monotonic() < deadline:
            if condition():
                return True
            self.tick(every_s)
        return False

    def tick(self, wait_s: float) -> None:
        """Sleep until a signal or for wait_s, then start again what died."""
        now = time.monotonic()
        due = [child.start_again_s - now for child in self.children if child.process is None]
        self._sleep(max(0.0, min([wait_s, *due])))
        if self.asked_to_stop:
            return
        for child in self.children:
            self._look_after(child)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_again_s:
                self._spawn(child)
        elif (code := child.process.poll()) is not None:
            self._bury(child)
            if now - child.started_s >= HEALTHY_AFTER_S:
                child.backoff_s, child.deaths = BACKOFF_FIRST_S, 0
            child.deaths += 1
            child.start_again_s = now + child.backoff_s
            log.error("process ended", process=child.program.name, code=code, again_in_s=child.backoff_s)
            child.backoff_s = min(child.backoff_s * 2, BACKOFF_MAX_S)

    def _spawn(self, child: Child) -> None:
        program = child.program
        child.process = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.env, **program.env},
            pass_fds=program.fds,
            start_new_session=True,
            preexec_fn=self._end_of_life,
        )
        child.started_s = time.monotonic()
        self._tell_guard("+", child.process.pid)
        log.info("process started", process=program.name, pid=child.process.pid)

    def _bury(self, child: Child) -> None:
        """Nothing that the process started outlives it."""
        assert child.process is not None
        guard.send([child.process.pid], signal.SIGKILL)
        self._tell_guard("-", child.process.pid)
        child.process = None

    def _end_all(self) -> None:
        for stage in sorted({child.program.stage for child in self.children}):
            self._end_stage([child for child in self.children if child.program.stage == stage])

    def _end_stage(self, children: list[Child]) -> None:
        """TERM; KILL after the grace, or at once when a second signal asks for haste."""
        running = [child for child in children if child.process is not None]
        for child in running:
            _signal(child, signal.SIGTERM)
        grace_s = max([child.program.grace_s for child in running], default=0.0)
        running = self._gone(running, within_s=grace_s, patient=True)
        for child in running:
            log.error("process killed", process=child.program.name, after_s=grace_s)
            _signal(child, signal.SIGKILL)
        self._gone(running, within_s=KILL_WAIT_S, patient=False)

    def _gone(self, running: list[Child], *, within_s: float, patient: bool) -> list[Child]:
        deadline = time.monotonic() + within_s
        while running and time.monotonic() < deadline and not (patient and self.signals > 1):
            for child in running:
                if child.process is not None and child.process.poll() is not None:
                    self._bury(child)
            running = [child for child in running if child.process is not None]
            if running:
                self._sleep(0.1)
        return running

    def _sleep(self, wait_s: float) -> None:
        """Until a signal or for wait_s."""
        if select.select([self._wake_read], [], [], wait_s)[0]:
            os.read(self._wake_read, 4_096)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1

    def _start_guard(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "neuralgate.guard", str(self.grace_s), str(self.data_dir or "")],
            stdin=subprocess.PIPE,
            pass_fds=[self.lock.fileno()] if self.lock else (),
            start_new_session=True,
        )

    def _tell_guard(self, sign: str, pid: int) -> None:
        assert self._guard.stdin is not None
        try:
            self._guard.stdin.write(f"{sign}{pid}\n".encode())
            self._guard.stdin.flush()
        except BrokenPipeError:
            log.error("the guard is gone: after kill -9 of the supervisor processes may be left")


def _signal(child: Child, number: int) -> None:
    """TERM to the process, which ends what it started; KILL to its whole group."""
    assert child.process is not None
    if number == signal.SIGKILL:
        guard.send([child.process.pid], number)
    else:
        child.process.send_signal(number)


def _end_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes its program: ask for SIGTERM at the supervisor's death."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    supervisor = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:
            os.kill(os.getpid(), signal.SIGKILL)

    return ask
