"""The Celery application: runs the sweeps of `schedule.py`. No money and no state ever lives in its broker.

Every task may run twice, late or concurrently. Without CELERY_BROKER_URL the messages are kept in our own
PostgreSQL, through kombu's pgmq transport and the schema that comes with the `pgmq` package (no extension).
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")

import psycopg
from celery import Celery, signals
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

POLL_EVERY_S = 1.0
VISIBILITY_TIMEOUT_S = 300  # a message of a killed worker is delivered again after this
PGMQ_LOCK = 7_303_001  # advisory lock: one process at a time installs the schema

app = Celery("neuralgate")


def pgmq_conn_string(dsn: str) -> str:
    """The DSN, quoted twice: pgmq takes it apart and pastes five of its fields together again, unquoted.

    What it would drop (sslmode, connect_timeout …) rides along behind the password.
    """
    fields = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    kept = {"host": "", "port": "5432", "dbname": "", "user": "", "password": ""}
    pasted = {name: _quoted(fields.pop(name, default)) for name, default in kept.items()}
    pasted["password"] += "".join(f" {name}={_quoted(value)}" for name, value in sorted(fields.items()))
    return make_conninfo(**pasted)


def install_broker() -> None:
    """Make pgmq's schema in our database when it serves as the broker; safe to repeat, also at once."""
    if settings.CELERY_BROKER_URL:
        return
    from pgmq.install import get_embedded_install_sql

    with psycopg.connect(settings.DATABASE_DSN) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [PGMQ_LOCK])
        if connection.execute("SELECT to_regclass('pgmq.meta')").fetchone() == (None,):
            connection.execute(get_embedded_install_sql())


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _broker() -> dict[str, Any]:
    if settings.CELERY_BROKER_URL:
        return {"broker_url": settings.CELERY_BROKER_URL}
    return {
        "broker_url": "pgmq://database",  # a name for the log; conn_string says where
        "broker_transport_options": {
            "conn_string": pgmq_conn_string(settings.DATABASE_DSN),
            "init_extension": False,
            "use_notify": False,  # it races, and NOTIFY takes a global lock at commit
            "wait_time_seconds": 0,  # polling in SQL would hold a transaction open for as long
            "polling_interval": POLL_EVERY_S,
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "pool_size": 4,
            "queue_name_prefix": "neuralgate_",
        },
    }


app.conf.update(
    **_broker(),
    broker_connection_retry_on_startup=True,
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    enable_utc=True,
    timezone="UTC",
    result_backend=None,
    result_expires=None,  # else beat adds a job that cleans up results
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=50,  # of pools that support it; threads do not, so every task bounds its own work
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,  # its fanout queues are more to poll; scale by starting and stopping
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
app.autodiscover_tasks()


@signals.setup_logging.connect
def _leave_logging_to_settings(**_: Any) -> None:
    """A receiver is enough: Celery then leaves logging as `settings.LOGGING` made it."""
