"""Ports for servers and made-up addresses, each given out once in a process: an address is registered only once.

They lie below the range from which the system takes ports for connections, so nothing else comes by them.
"""

import os
import socket
import threading
from collections.abc import Iterator

from hosting.addresses import PORTS_DENIED

LOWEST, HIGHEST = 10_000, 32_000


class Ports:
    """`next(ports)`, from any thread."""

    def __init__(self) -> None:
        self._free = _free()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._free)


def _free() -> Iterator[int]:
    count = HIGHEST - LOWEST
    start = os.getpid() * 1_009 % count  # workers begin far from each other
    for offset in range(count):
        port = LOWEST + (start + offset) % count
        if port in PORTS_DENIED:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise RuntimeError("All ports for tests are used up.")


ports = Ports()
