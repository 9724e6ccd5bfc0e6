"""Every test works on a real PostgreSQL and commits. The ledger refuses TRUNCATE, so each test makes its own
customers and hosters instead of cleaning up; nothing may rely on a table being empty."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest
from django.core.cache import caches
from django.db import connection
from django.test import override_settings

from tests import databases

if TYPE_CHECKING:
    from tests.gateway import RunningGateway


# The same examples everywhere, so that a test that passed here passes there; the slow campaigns draw new ones. And a
# busy machine is no fault of the code: only what is found counts, not how long the search took.
hypothesis.settings.register_profile(
    "tests",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
if "NG_SABOTAGE" not in os.environ:  # which only looks for a failure, and brings a profile of its own
    hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker, django_db_modify_db_settings
) -> Iterator[None]:
    """One database for each worker, without the wrapping transactions and truncations of pytest-django."""
    with django_db_blocker.unblock(), databases.own():
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hashing is dear on purpose; only who measures it needs that."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def _database(django_db_setup: None, django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        caches["process"].clear()  # of another test
        yield


@pytest.fixture
def travel() -> Iterator[Callable[[dt.timedelta], None]]:
    """Move the clock of the books: `travel(timedelta(hours=25))`. Undone after the test."""

    def set_clock(offset: dt.timedelta) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE AS "
                f"$$ SELECT now() + interval '{offset.total_seconds()} seconds' $$"
            )

    yield set_clock
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()'"
        )


@pytest.fixture(scope="session")
def gateway(django_db_setup: None, django_db_blocker) -> Iterator["RunningGateway"]:
    """One running gateway for all tests of a worker; tests with settings of their own start another."""
    from tests.gateway import RunningGateway

    with django_db_blocker.unblock(), RunningGateway() as running:
        yield running
