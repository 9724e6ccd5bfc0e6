"""The database of each test process: a copy of one that was migrated once.

Migrating takes seconds, copying a tenth of one. The migrated one, the template, is named after what it was made from;
so the next run finds it, too, and one that is out of date is never copied.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connection
from psycopg import sql
from psycopg.conninfo import make_conninfo

from hosting import bank

ROOT = Path(__file__).resolve().parent.parent
MADE_FROM = (
    *sorted(ROOT.glob("*/migrations/*.py")),
    *(Path(bank.__file__), bank.QUESTIONS),  # what a migration reads
    *(ROOT / "requirements.txt", Path(__file__)),
)
BUILDING = 7_243_001  # an advisory lock: one process builds the template, the others wait for it


@contextmanager
def own() -> Iterator[None]:
    """Django's connection leads to a database of this process's own while the block runs."""
    original = connection.settings_dict["NAME"]
    name = f"test_{os.getpid()}"  # several runs at once must not meet
    with _cluster() as cluster:
        if "NG_SABOTAGE" in os.environ:  # the defect may be in a migration
            _migrate(cluster, name)
        else:
            cluster.execute("SELECT pg_advisory_lock(%s)", [BUILDING])
            _copy(cluster, _template(cluster), name)
    _disconnect()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        _disconnect()
        connection.settings_dict["NAME"] = original
        with _cluster() as cluster:
            _drop(cluster, name)


def _template(cluster: psycopg.Connection) -> str:
    """Its name; migrated now when no process of this run or an earlier one has done it."""
    name = "template_" + hashlib.sha256(b"".join(path.read_bytes() for path in MADE_FROM)).hexdigest()[:16]
    rows = cluster.execute("SELECT datname FROM pg_database WHERE datname ~ '^template_'")
    found = [row[0] for row in rows]
    if name not in found:
        for old in found:
            _drop(cluster, old)
        unfinished = f"test_{os.getpid()}"  # should this run be killed, the next one drops it
        _migrate(cluster, unfinished)
        cluster.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(name))
        )
    return name


def _migrate(cluster: psycopg.Connection, name: str) -> None:
    """Make a database and migrate it; nothing is connected with it afterwards."""
    _copy(cluster, "template1", name)
    _disconnect()  # an open connection would lead elsewhere
    original, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], name
    try:
        call_command("migrate", verbosity=0)
    finally:
        _disconnect()
        connection.settings_dict["NAME"] = original


def _cluster() -> psycopg.Connection:
    wanted = connection.settings_dict
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    parts = {part: wanted[name] for part, name in names.items() if wanted[name]}
    return psycopg.connect(make_conninfo(**parts, dbname="postgres"), autocommit=True)


def _copy(cluster: psycopg.Connection, source: str, name: str) -> None:
    cluster.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source))
    )


def _drop(cluster: psycopg.Connection, name: str) -> None:
    """Not by force, which may not end the server's own autovacuum; what is still in use is for the next run to drop."""
    with suppress(psycopg.errors.ObjectInUse):
        cluster.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _disconnect() -> None:
    connection.close()
    connection.close_pool()
