"""Several reads that all see the same moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper


@contextmanager
def one_moment() -> Iterator[CursorWrapper]:
    """A cursor of a transaction in which nothing changes, neither by us nor by others. Not inside another one."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield cursor
