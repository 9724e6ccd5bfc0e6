"""/healthz, /readyz, and the two public documents of the API."""

import datetime as dt

import pytest
from django.db import OperationalError, connection
from django.test import Client

from neuralgate import probes


def test_healthz_asks_no_database(django_db_blocker):
    with django_db_blocker.block():
        response = Client().get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok")


def test_readyz_passes_every_check():
    response = Client().get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "checks": {"database": "ok", "migrations": "ok", "guards": "ok", "clock": "ok"},
    }


def test_readyz_notices_a_clock_that_is_a_minute_off(travel):
    travel(dt.timedelta(seconds=90))
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert "s from the database" in response.json()["checks"]["clock"]


def test_readyz_notices_a_disabled_trigger():
    with connection.cursor() as cursor:
        try:
            cursor.execute("ALTER TABLE billing_transfer DISABLE TRIGGER billing_transfer_append_only")
            response = Client().get("/readyz")
        finally:
            cursor.execute("ALTER TABLE billing_transfer ENABLE TRIGGER billing_transfer_append_only")
    assert response.status_code == 503
    assert "billing_transfer_append_only" in response.json()["checks"]["guards"]


def test_readyz_says_that_the_database_is_away_and_nothing_more(monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise OperationalError("connection to server at 10.0.0.1 failed")

    monkeypatch.setitem(probes.CHECKS, "database", fail)
    response = Client().get("/readyz")
    assert response.status_code == 503
    assert "cannot be reached" in response.json()["checks"]["database"]
    assert "10.0.0.1" not in response.content.decode()


def test_migrations_are_asked_for_until_they_are_complete(monkeypatch: pytest.MonkeyPatch):
    class Behind:
        def __init__(self, connection: object) -> None:
            self.loader = self.graph = self

        def leaf_nodes(self) -> list:
            return []

        def migration_plan(self, targets: list) -> list:
            return [(type("Step", (), {"app_label": "billing", "name": "0009_next"}), False)]

    probes.migrations.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(probes, "MigrationExecutor", Behind)
        assert "billing.0009_next" in Client().get("/readyz").json()["checks"]["migrations"]
    assert Client().get("/readyz").json()["checks"]["migrations"] == "ok"


def test_the_api_describes_itself_without_a_key():
    document = Client().get("/v1/openapi.json").json()
    assert set(document["paths"]) >= {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model_id}",
        "/v1/usage", "/v1/usage/tokens", "/v1/usage/breakdown", "/v1/usage/export", "/v1/earnings",
        "/v1/earnings/by-model",
    }  # fmt: skip
    assert document["components"]["securitySchemes"]["bearerKey"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["security"] == [{"bearerKey": []}], path
            assert {"4XX", "5XX"} <= set(operation["responses"])


def test_the_document_is_valid_openapi():
    from drf_spectacular.validation import validate_schema

    validate_schema(Client().get("/v1/openapi.json").json())


def test_the_page_of_the_api_needs_no_cdn():
    page = Client().get("/v1/docs").content.decode()
    assert "drf_spectacular_sidecar" in page
    assert "cdn" not in page
