"""Places where a test kills the process, to prove that nothing is lost: NG_CRASH_AT names one of POINTS."""

import os
import signal

POINTS = (
    "received", "before_admit", "admitted", "before_connect", "headers", "first_byte", "relayed_some",
    "finish_seen", "answer_kept", "settle_begin", "settle_committed", "before_last_bytes", "last_bytes_sent",
)  # fmt: skip


def reach(point: str, wanted: str) -> None:
    """End this process without any clean-up when `wanted` is this point."""
    if wanted and point == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
