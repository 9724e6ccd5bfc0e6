"""The pages of customers: sign up, balance, keys; every page's headers; what a stranger sees."""

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from accounts import auth, issuing, keys
from accounts.envelope import ApiError
from accounts.issuing import KeyRefused
from accounts.models import Customer
from neuralgate import security
from tests import bookings, factories

PASSWORD = "a long enough sentence"
PUBLIC = ["/", "/models", "/hosters", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]
PRIVATE = [
    *("/account", "/account/requests", "/account/keys/new", "/account/keys/1/revoke"),
    *("/account/requests.csv", "/account/requests/1", "/account/keys/1/rotate", "/account/playground"),
    "/account/keys/1/edit",
    *("/account/credit", "/hosters/payouts", "/hosters/payouts/stripe"),
    *("/hosters/register", "/hosters/portal", "/hosters/servers/1", "/hosters/servers/1/token"),
]
MANAGE = ["/accounts/email/", "/accounts/password/change/", "/accounts/2fa/"]
SHOWN_KEY = re.compile(r'id="key">(ngk_[0-9A-Za-z]{40})<')


def signed_in(who: factories.Person) -> Client:
    client = Client()
    client.force_login(who.customer.user)
    return client


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, path
    return response.content.decode()


def make_key(client: Client, **fields: str) -> str:
    response = client.post("/account/keys/new", {"name": "notebook", "spend_period": "month", **fields})
    found = SHOWN_KEY.search(response.content.decode())
    assert found, response.content.decode()
    return found[1]


def test_signing_up_gives_five_dollars_and_leads_to_the_account():
    client = Client()
    email = f"{factories.unique('Alice')}@example.org"
    response = client.post("/accounts/signup/", {"email": email, "password1": PASSWORD}, follow=True)
    assert response.redirect_chain[-1][0] == "/account"
    page = response.content.decode()
    assert "$5.00" in page
    assert email.lower() in page
    assert Customer.objects.get(user__email=email.lower()).ledger_accounts.get().posted_nanos == 5_000_000_000


def test_a_short_password_is_explained_at_its_field():
    response = Client().post("/accounts/signup/", {"email": "a@example.org", "password1": "short"})
    page = response.content.decode()
    assert "at least 12 characters" in page
    assert 'aria-invalid="true"' in page


def test_a_new_key_is_shown_once_and_works():
    alice = factories.person()
    client = signed_in(alice)
    key = make_key(client)
    assert auth.caller(f"Bearer {key}").customer == alice.customer
    assert key not in text(client, "/account")
    assert keys.visible_part(key) in text(client, "/account")


def test_the_page_with_a_key_is_never_cached():
    response = signed_in(factories.person()).get("/account/keys/new")
    assert "no-store" in response["Cache-Control"]


def test_what_the_form_says_is_what_the_key_may():
    alice = factories.person()
    day = timezone.now().date() + dt.timedelta(days=3)
    factories.server(model="qwen2.5:7b")
    key = make_key(
        signed_in(alice),
        spend_limit_nanos="0.5",
        spend_period="day",
        expires_at=day.isoformat(),
        allowed_models="auto\nqwen2.5:7b\nauto",
    )
    row = auth.caller(f"Bearer {key}")
    assert (row.spend_limit_nanos, row.spend_period) == (500_000_000, "day")
    assert row.allowed_models == ["auto", "qwen2.5:7b"]
    assert row.expires_at == dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "Fill this in"),
        ("spend_limit_nanos", "-1", "at least 0"),
        ("spend_limit_nanos", "0.0000001", "6 digits after the point at most"),
        ("spend_limit_nanos", "NaN", "Write a number"),
        ("expires_at", "2020-01-01", "This day has passed"),
        ("spend_period", "year", "Choose one from the list"),
        ("allowed_models", "a<b", "cannot be the id of a model"),
        ("allowed_models", "nobody/has-it", "Nobody has “nobody/has-it” here"),
    ],
)
def test_a_key_is_not_made_from_nonsense(field: str, value: str, words: str):
    alice = factories.person()
    given = {"name": "x", "spend_period": "month", field: value}
    response = signed_in(alice).post("/account/keys/new", given)
    assert words in response.content.decode()
    assert alice.customer.api_keys.count() == 1


def test_a_wrong_name_of_a_model_is_told_with_what_is_near():
    name = factories.unique("qwen/qwen2.5:7b-instruct")
    factories.server(model=name)
    given = {"name": "x", "spend_period": "month", "allowed_models": f"auto\n{name[5:].upper()}"}
    page = signed_in(factories.person()).post("/account/keys/new", given).content.decode()
    assert f"Did you mean {name}" in page


def test_the_example_of_a_new_key_asks_for_a_model_that_it_may_use():
    alice = factories.person()
    name = factories.unique("llama")
    factories.server(model=name)
    given = {"name": "x", "spend_period": "month"}
    for models, example in {"": "auto", name: name, f"{name}\nauto": name}.items():
        answer = signed_in(alice).post("/account/keys/new", {**given, "allowed_models": models})
        assert f"&quot;model&quot;: &quot;{example}&quot;" in answer.content.decode().replace('"', "&quot;")


def test_a_revoked_key_is_refused_at_once():
    alice = factories.person()
    client = signed_in(alice)
    path = f"/account/keys/{alice.api_key.pk}/revoke"
    assert "no way back" in text(client, path)
    auth.caller(f"Bearer {alice.key}")
    client.post(path)
    with pytest.raises(ApiError):
        auth.caller(f"Bearer {alice.key}")
    assert "is revoked already" in client.post(path, follow=True).content.decode()
    assert issuing.revoke(alice.api_key) is False


def test_carol_does_not_find_alices_key():
    alice, carol = factories.person("alice"), factories.person("carol")
    client = signed_in(carol)
    path = f"/account/keys/{alice.api_key.pk}/revoke"
    assert client.get(path).status_code == client.post(path).status_code == 404
    auth.caller(f"Bearer {alice.key}")
    assert alice.api_key.visible_part not in text(client, "/account")


def test_nobody_hoards_keys(monkeypatch: pytest.MonkeyPatch):
    alice = factories.person()
    monkeypatch.setattr(issuing, "KEYS_MAX", 2)
    issuing.issue(customer=alice.customer, name="second")
    with pytest.raises(KeyRefused, match="Revoke one"):
        issuing.issue(customer=alice.customer, name="third")
    issuing.revoke(alice.api_key)
    issuing.issue(customer=alice.customer, name="third")


def test_use_and_spend_are_shown_by_day_by_model_and_by_request():
    alice = factories.person()
    _, offer = factories.server()
    bookings.book(alice, offer, latency_ms=1_240)
    bookings.void(bookings.admit(alice, offer))
    page = text(signed_in(alice), "/account?by=model")
    assert offer.model_id in page
    assert "$4.9999" in page  # 5 USD less 100,000 nanodollars
    listed = text(signed_in(alice), "/account/requests")
    assert "finished" in listed
    assert "the server failed" in listed
    assert "1.24 s" in listed
    assert offer.model_id not in text(signed_in(factories.person("carol")), "/account/requests")


def test_an_account_without_use_says_what_to_do_next():
    client = signed_in(factories.person())
    assert "No requests yet" in text(client, "/account")
    assert "No requests yet" in text(client, "/account/requests")


def test_what_people_write_is_escaped():
    alice = factories.person()
    client = signed_in(alice)
    attack = "<script>alert(1)</script>\"'><img src=x>"
    make_key(client, name=attack)
    for path in ("/account", f"/account/keys/{alice.customer.api_keys.latest('pk').pk}/revoke"):
        page = text(client, path)
        assert "<script>alert" not in page
        assert "<img" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("path", PRIVATE)
def test_a_page_of_ones_own_asks_to_sign_in(path: str):
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", ["/account", "/account/keys/new", "/hosters/portal"])
def test_a_key_opens_no_page(path: str):
    alice = factories.person()
    assert Client(headers=alice.headers).get(path).status_code == 302


def test_a_session_opens_no_api():
    assert signed_in(factories.person()).get("/v1/usage").status_code == 401


def test_a_form_from_elsewhere_is_refused_in_words():
    alice = factories.person()
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.customer.user)
    response = client.post(f"/account/keys/{alice.api_key.pk}/revoke")
    assert response.status_code == 403
    assert "Nothing was done" in response.content.decode()
    auth.caller(f"Bearer {alice.key}")


def test_staff_without_a_customer_goes_to_the_admin_and_anybody_else_gets_one():
    staff = factories.User.objects.create_superuser(f"{factories.unique('admin')}@example.org", "x")
    client = Client()
    client.force_login(staff)
    assert client.get("/account")["Location"] == "/admin/"
    made_by_hand = factories.User.objects.create_user(f"{factories.unique('dave')}@example.org")
    client.force_login(made_by_hand)
    assert "$5.00" in text(client, "/account")


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE[:3], *MANAGE, "/nowhere", "/v1/usage", "/healthz"])
def test_every_answer_has_the_security_headers(path: str):
    client = signed_in(factories.person())
    client.force_login(factories.person().customer.user)
    for visitor in (Client(), client):
        response = visitor.get(path)
        assert response["Content-Security-Policy"] == security.STRICT
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        *PUBLIC,
        "/account",
        "/account/requests",
        "/account/playground",
        "/account/keys/new",
        *MANAGE[:1],
        *MANAGE[2:],
    ],
)
def test_no_page_has_inline_scripts_or_styles(path: str):
    page = text(Client() if path in PUBLIC else signed_in(factories.person()), path)
    for script in re.findall(r"<script\b[^>]*>", page):
        assert " src=" in script or 'type="application/json"' in script
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
    assert "NeuralGate</title>" in page


def test_a_page_that_is_not_there_is_one_of_ours_and_under_v1_it_is_json():
    response = Client().get("/nowhere")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert Client().get("/v1/nowhere").json()["error"]["code"]


def test_a_failure_of_ours_has_a_page(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("neuralgate.network.showcase.now", lambda: 1 / 0)
    response = Client(raise_request_exception=False).get("/")
    assert response.status_code == 500
    assert "Something broke on our side" in response.content.decode()


def test_a_second_factor_can_be_set_up_without_a_mail_server():
    client = Client()
    given = {"email": f"{factories.unique('alice')}@example.org", "password1": PASSWORD}
    client.post("/accounts/signup/", given)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = text(client, "/accounts/2fa/totp/activate/")
    assert 'class="qr" src="data:image/svg+xml' in page
