"""Cleans up after a supervisor that was killed with -9: its processes, then the embedded PostgreSQL.

Started by the supervisor with the read end of a pipe as stdin. `+123` and `-123` lines say which process
groups live; the end of the input says that the supervisor is gone. The lock of DATA_DIR, if it was inherited,
is free when this process ends, so that nobody starts before all is gone.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

POLL_EVERY_S = 0.1
KILL_AFTER_S = 3.0  # how long what was killed may take to vanish


def main() -> None:
    grace_s, data_dir = float(sys.argv[1]), sys.argv[2]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        (groups.add if line[0] == "+" else groups.discard)(group)
    if groups:
        end(groups, grace_s=grace_s)
        if data_dir:
            stop_postgres(Path(data_dir))


def end(groups: Iterable[int], *, grace_s: float) -> None:
    """TERM, then KILL for those still there after grace_s."""
    left = send(groups, signal.SIGTERM)
    for number, wait_s in ((signal.SIGKILL, grace_s), (None, KILL_AFTER_S)):
        deadline = time.monotonic() + wait_s
        while (left := send(left, 0)) and time.monotonic() < deadline:
            time.sleep(POLL_EVERY_S)
        if number is not None:
            left = send(left, number)


def send(groups: Iterable[int], number: int) -> set[int]:
    """Send a signal to process groups; those that exist. Signal 0 only asks."""
    alive = set()
    for group in groups:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            continue
        alive.add(group)
    return alive


def stop_postgres(data_dir: Path) -> None:
    """Stop the embedded server unless somebody else uses it."""
    from neuralgate import embedded

    if embedded.is_up(data_dir):
        with embedded.running(data_dir):
            pass  # the last one out stops it


if __name__ == "__main__":
    main()
