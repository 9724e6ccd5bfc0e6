"""A gateway process of its own, that a test may kill."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def gateway_process(dsn: str, **environment: object) -> Iterator[tuple[str, subprocess.Popen]]:
    """(url, process) of `uvicorn neuralgate.asgi:application` on this database; ended with the block."""
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "neuralgate.asgi:application", "--port", str(port), "--loop", "uvloop",
        "--http", "httptools", "--no-access-log", "--log-level", "critical", "--timeout-graceful-shutdown", "5",
    ]  # fmt: skip
    settings = {
        "DATABASE_URL": dsn, "LOG_LEVEL": "CRITICAL", "HEARTBEAT_EVERY_S": 1, "PROCESS_DEAD_AFTER_S": 2, **environment
    }  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **{name: str(value) for name, value in settings.items()}}
    )
    try:
        for _ in range(400):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait(10)
