"""A pytest plugin that is loaded before Django's settings: a PostgreSQL of its own for the tests.

The cluster in data/tests is kept between runs (fsync off); each xdist worker makes its own database on it.
Set TEST_DATABASE_URL to use another server, with a role that may create databases.
"""

import atexit
import contextlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STACK = contextlib.ExitStack()
atexit.register(STACK.close)

if "NEURALGATE_TESTS" not in os.environ:  # xdist's workers inherit what the first process set
    import psycopg

    from neuralgate import embedded

    data_dir = ROOT / "data" / "tests"
    os.environ.update(
        NEURALGATE_TESTS="1",
        DATA_DIR=str(data_dir),
        PUBLIC_URL="http://127.0.0.1:8000",
        DJANGO_SETTINGS_MODULE="neuralgate.settings",
        LOG_LEVEL="WARNING",
        ALLOW_PRIVATE_ADDRESSES="1",
        ALLOW_HTTP_HOSTERS="1",
        EMAIL_HOST="",
        CELERY_BROKER_URL="memory://",
    )
    os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
    if not os.environ["DATABASE_URL"]:
        STACK.enter_context(embedded.running(data_dir, extra_options="-c fsync=off -c full_page_writes=off"))
        superuser = embedded.dsn(data_dir, user=embedded.SUPERUSER, database="postgres")
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE {embedded.ROLE} CREATEDB")
            for (name,) in connection.execute(
                "SELECT datname FROM pg_database WHERE datname ~ '^test_[0-9]+$'"
            ):
                if not Path(f"/proc/{name.removeprefix('test_')}").exists():  # left by a run that was killed
                    connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
