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

ROOT = Path(__file__).resolve().parent.parent
MADE_FROM = (*sorted(ROOT.glob("*/migrations/*.py")), ROOT / "requirements.txt", Path(__file__))
BUILDING = 7_243_001  # an advisory lock: one process builds the template, the others wait for it


@contextmanager
def own() -> Iterator[None]:
    """Django's connection leads to a database of this process's own while the block runs."""
    original, name = (
        connection.settings_dict["NAME"],
        f"test_{os.getpid()}",
    )  # several runs at once must not meet
    with _cluster() as cluster:
        cluster.execute("SELECT pg_advisory_lock(%s)", [BUILDING])
        _copy(cluster, _template(cluster), name)
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
    found = [
        row[0] for row in cluster.execute("SELECT datname FROM pg_database WHERE datname ~ '^template_'")
    ]
    if name in found:
        return name
    for old in found:
        _drop(cluster, old)
    unfinished = f"test_{os.getpid()}"  # should this run be killed, the next one drops it
    original, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], unfinished
    _copy(cluster, "template1", unfinished)
    call_command("migrate", verbosity=0)
    _disconnect()
    connection.settings_dict["NAME"] = original
    cluster.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(name))
    )
    return name


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
