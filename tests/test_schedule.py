"""The page of periodic jobs becomes beat's tables, and the broker's connection string survives pgmq."""

import importlib

import psycopg
import pytest
from django.conf import settings
from django_celery_beat.models import PeriodicTask
from pgmq.base import PGMQConfig
from psycopg.conninfo import conninfo_to_dict

from neuralgate import celery, schedule


def test_installing_twice_changes_nothing():
    schedule.install()
    first = list(PeriodicTask.objects.order_by("name").values_list("pk", "name", "interval__every"))
    schedule.install()
    assert list(PeriodicTask.objects.order_by("name").values_list("pk", "name", "interval__every")) == first
    assert len(first) == len(schedule.jobs())


def test_a_job_switched_off_stays_off_and_a_forgotten_one_goes():
    schedule.install()
    name = schedule.jobs()[0].name
    PeriodicTask.objects.filter(name=name).update(enabled=False)
    interval = PeriodicTask.objects.get(name=name).interval
    PeriodicTask.objects.create(name=schedule.NAME_PREFIX + "gone", task="gone", interval=interval)
    schedule.install()
    assert not PeriodicTask.objects.get(name=name).enabled
    assert not PeriodicTask.objects.filter(task="gone").exists()
    PeriodicTask.objects.filter(name=name).update(enabled=True)


@pytest.mark.parametrize("job", schedule.jobs(), ids=lambda job: job.task)
def test_every_job_names_a_task_that_exists(job: schedule.Job):
    module, _, name = job.task.rpartition(".")
    assert getattr(importlib.import_module(module), name).name == job.task


def test_pgmq_keeps_every_field_of_the_connection():
    dsn = r"host='/a folder/it''s' port=6543 dbname=books user=me password='a b\'c\\d' sslmode=require"
    dsn = dsn.replace("''", r"\'")
    pasted = PGMQConfig(conn_string=celery.pgmq_conn_string(dsn)).dsn
    assert conninfo_to_dict(pasted) == conninfo_to_dict(dsn)


def test_pgmq_reaches_our_database():
    pasted = PGMQConfig(conn_string=celery.pgmq_conn_string(settings.DATABASE_DSN)).dsn
    with psycopg.connect(pasted) as connection:
        assert connection.execute("SELECT current_database()").fetchone() is not None
