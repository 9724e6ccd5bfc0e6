"""Who is calling /v1, and how it refuses."""

import datetime as dt
import json

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from rest_framework import exceptions

from accounts import auth, envelope, keys
from routing import usage
from tests import factories


@pytest.fixture
def api() -> Client:
    return Client()


def code(response) -> str:
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    return response.json()["error"]["code"]


def test_a_key_is_let_in(api: Client):
    alice = factories.person()
    assert api.get("/v1/usage", headers=alice.headers).status_code == 200
    assert auth.caller(f"bearer   {alice.key} ").pk == alice.api_key.pk


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer  "])
def test_without_a_key_it_says_how_to_send_one(api: Client, header: str):
    response = api.get("/v1/usage", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert code(response) == "missing_api_key"
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_typo_is_refused_without_the_database(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auth, "ApiKey", None)
    key = keys.make()
    for wrong in (key[:-1] + ("0" if key[-1] != "0" else "1"), "ngk_short", "sk-" + key):
        with pytest.raises(envelope.ApiError) as caught:
            auth.caller(f"Bearer {wrong}")
        assert caught.value.problem.code == "invalid_api_key"


def test_an_unknown_key_is_refused(api: Client):
    response = api.get("/v1/usage", headers={"Authorization": f"Bearer {keys.make()}"})
    assert (response.status_code, code(response)) == (401, "invalid_api_key")


def test_a_revoked_key_is_refused_on_the_next_request(api: Client):
    alice = factories.person()
    alice.api_key.revoked_at = timezone.now()
    alice.api_key.save()
    assert code(api.get("/v1/usage", headers=alice.headers)) == "revoked_api_key"


def test_an_expired_key_is_refused_and_one_that_expires_later_is_not(api: Client):
    alice = factories.person()
    for hours, status in ((1, 200), (-1, 401)):
        alice.api_key.expires_at = timezone.now() + dt.timedelta(hours=hours)
        alice.api_key.save()
        assert api.get("/v1/usage", headers=alice.headers).status_code == status
    assert code(api.get("/v1/usage", headers=alice.headers)) == "expired_api_key"


def test_a_blocked_account_is_refused(api: Client):
    alice = factories.person()
    alice.customer.user.is_active = False
    alice.customer.user.save()
    assert code(api.get("/v1/usage", headers=alice.headers)) == "account_inactive"


def test_a_session_of_the_pages_opens_nothing(api: Client):
    api.force_login(factories.person().customer.user)
    assert api.get("/v1/usage").status_code == 401


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/usage/", "/v1/usage/nope/x"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_unknown_paths_answer_in_the_envelope_and_never_redirect(path: str, method: str):
    response = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert (response.status_code, code(response)) == (404, "not_found")


def test_a_wrong_method_answers_in_the_envelope(api: Client):
    alice = factories.person()
    response = api.post("/v1/usage", {}, content_type="application/json", headers=alice.headers)
    assert (response.status_code, code(response)) == (405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_accept_and_format_are_ignored(api: Client):
    alice = factories.person()
    response = api.get("/v1/usage?format=xml&whatever=1", headers={**alice.headers, "Accept": "text/html"})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"


def test_a_failure_of_ours_is_500_in_the_envelope_without_details(
    api: Client, monkeypatch: pytest.MonkeyPatch
):
    def fail(customer_id: int) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(usage, "standing", fail)
    response = api.get("/v1/usage", headers=factories.person().headers)
    assert (response.status_code, code(response)) == (500, "platform_fault")
    assert "42" not in response.content.decode()


def test_a_lost_database_is_503_with_retry_after(api: Client, monkeypatch: pytest.MonkeyPatch):
    def fail(customer_id: int) -> None:
        raise OperationalError("no route to host 10.0.0.1")

    monkeypatch.setattr(usage, "standing", fail)
    response = api.get("/v1/usage", headers=factories.person().headers)
    assert (response.status_code, code(response)) == (503, "temporarily_unavailable")
    assert int(response["Retry-After"]) > 0
    assert "10.0.0.1" not in response.content.decode()


@pytest.mark.parametrize(
    ("error", "status", "param"),
    [
        (exceptions.ValidationError({"days": ["must be 1."]}), 400, "days"),
        (exceptions.ValidationError({"models": [{}, {"price": ["too dear"]}]}), 400, "models.price"),
        (exceptions.ValidationError("no"), 400, None),
        (exceptions.ParseError(), 400, None),
        (exceptions.PermissionDenied(), 403, None),
        (exceptions.NotFound(), 404, None),
        (exceptions.Throttled(wait=7), 429, None),
        (exceptions.UnsupportedMediaType("text/plain"), 415, None),
        (envelope.ApiError(envelope.SPEND_LIMIT), 402, None),
    ],
)
def test_every_exception_becomes_the_envelope(error: Exception, status: int, param: str | None):
    response = auth.exception_handler(error, {})
    assert response.status_code == status
    assert response.data["error"]["param"] == param
    assert json.loads(json.dumps(response.data)) == response.data
    assert (response.get("Retry-After") == "7") == (status == 429)


def test_browsers_elsewhere_may_call_with_a_key_and_without_cookies(api: Client):
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-os",
    }
    preflight = api.options("/v1/usage", headers=asked)
    assert preflight.status_code == 204
    assert preflight["Access-Control-Allow-Origin"] == "*"
    assert preflight["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
    assert "Access-Control-Allow-Credentials" not in preflight
    refused = api.get("/v1/usage", headers={"Origin": "https://app.example"})
    assert refused["Access-Control-Allow-Origin"] == "*"
    assert "x-request-id" in refused["Access-Control-Expose-Headers"]


def test_pages_are_not_open_to_other_origins(api: Client):
    assert "Access-Control-Allow-Origin" not in api.get("/accounts/login/")


def test_every_answer_under_v1_has_a_request_id_of_its_own(api: Client):
    ids = {
        api.get(path)["x-request-id"] for path in ("/v1/usage", "/v1/models", "/v1/none", "/v1/openapi.json")
    }
    assert len(ids) == 4
    assert all(name.startswith("req_") and len(name) == 36 for name in ids)
