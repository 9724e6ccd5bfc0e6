"""The customer's pages: overview, use, request log, receipts, keys, playground; and what Carol sees of them."""

import asyncio
import csv
import datetime as dt
import html
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import auth, issuing
from accounts.envelope import ApiError
from accounts.issuing import KeyRefused
from billing import ledger
from billing.ledger import Reversal
from routing import explanations, export, receipts
from routing.models import InferenceRequest
from tests import bookings, factories
from tests.accounts.test_pages import signed_in, text

QUERIES_MAX = 15
EXPLANATION: dict[str, Any] = {
    "filters": {"7": "draining", "8": "saturated", "9": "saturated"},
    "factors": [
        {
            "server": 1, "owner": "bob", "model": "m", "trust": 0.9, "health": 1.0, "consistency": 0.8,
            "expected_ms": 1_200, "expected_cost_nanos": 100_000, "share": 0.25,
        },
    ],
    "draw": {"seed": "00", "servers": [2, 1]},
    "attempts": [
        {"server": 2, "owner": "dave", "outcome": "timeout", "after_ms": 40},
        {"server": 1, "owner": "bob", "outcome": "served", "after_ms": 900},
    ],
    "shape": {"secret": "of our tests"},
}  # fmt: skip


@contextmanager
def few_queries() -> Iterator[None]:
    with CaptureQueriesContext(connection) as queries:
        yield
    assert len(queries) <= QUERIES_MAX, [query["sql"][:90] for query in queries]


def served(**prices: int) -> tuple[factories.Person, bookings.Call, factories.Hoster]:
    """Alice, whom Bob answered once."""
    alice = factories.person()
    _, hoster = factories.hoster()
    _, offer = factories.server(of=hoster, **prices)
    return alice, bookings.book(alice, offer), hoster


def explain(call: bookings.Call) -> None:
    """Keep an explanation of a booked request, in which the server that served was the first candidate."""
    kept = json.loads(json.dumps(EXPLANATION))
    kept["factors"][0]["server"] = call.offer.server_id
    InferenceRequest.objects.filter(pk=call.id).update(explanation=kept)


# ------------------------------------------------------------------------------------------------ requests


def test_the_log_lists_the_newest_first_and_each_line_leads_to_its_receipt():
    alice, first, _ = served()
    second = bookings.book(alice, first.offer)
    client = signed_in(alice)
    with few_queries():
        page = text(client, "/account/requests")
    assert page.index(str(second.id)) < page.index(str(first.id))
    assert client.get(f"/account/requests/{first.id}").status_code == 200


def test_the_log_is_paged_by_what_was_seen_last(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("routing.history.page.__kwdefaults__", {"before": None, "rows_max": 2})
    alice, first, _ = served()
    for _ in range(2):
        bookings.book(alice, first.offer)
    client = signed_in(alice)
    page = text(client, f"/account/requests?model={first.offer.model_id}")
    assert str(first.id) not in page
    (older,) = re.findall(r'rel="next" href="([^"]+)"', page)
    page = text(client, older.replace("&amp;", "&"))
    assert str(first.id) in page
    assert 'rel="next"' not in page


def test_the_log_keeps_what_the_filters_say():
    alice, call, _ = served()
    bookings.void(failed := bookings.admit(alice, call.offer))
    client = signed_in(alice)
    page = text(client, "/account/requests?outcome=upstream_failed")
    assert str(failed.id) in page
    assert str(call.id) not in page
    assert "Nothing agrees" in text(client, "/account/requests?until=2021-01-01")
    assert "Choose one from the list" in text(client, "/account/requests?outcome=nonsense")
    strangers = factories.person("carol").api_key
    assert "Choose one from the list" in text(client, f"/account/requests?key={strangers.pk}")


@pytest.mark.parametrize("form", ["{}", "req_{hex}", "chatcmpl-{hex}"])
def test_an_id_leads_to_its_receipt_whichever_way_it_is_written(form: str):
    alice, call, _ = served()
    response = signed_in(alice).get("/account/requests", {"id": form.format(call.id, hex=call.id.hex)})
    assert response["Location"] == f"/account/requests/{call.id}"
    carol = signed_in(factories.person("carol")).get("/account/requests", {"id": str(call.id)})
    assert "None of your requests has this id" in carol.content.decode()


def download(who: factories.Person, query: str = "") -> list[dict[str, str]]:
    """The lines of the log's file."""

    async def run() -> str:
        client = AsyncClient()
        await client.aforce_login(who.customer.user)
        response = await client.get(f"/account/requests.csv{query}")
        assert response["Content-Disposition"] == 'attachment; filename="usage.csv"'
        assert "no-store" in response["Cache-Control"]
        return "".join([piece.decode() async for piece in response.streaming_content])

    return list(csv.DictReader(io.StringIO(asyncio.run(run()))))


def test_the_csv_of_the_page_is_that_of_the_api_and_says_which_request_key_and_outcome():
    alice, call, _ = served()
    (line,) = download(alice)
    assert list(line)[: len(export.COLUMNS)] == list(export.COLUMNS)
    assert (line["model"], line["cost_usd"]) == (call.offer.model_id, "0.0001")
    assert (line["request_id"], line["key"], line["outcome"]) == (f"req_{call.id.hex}", "test", "finished")
    today = dt.datetime.now(dt.UTC).date()
    assert len(download(alice, f"?since={today}&until={today}")) == 1
    assert download(alice, "?since=2021-01-01&until=2021-02-01") == []
    assert download(alice, "?until=2021-02-01") == []
    assert Client().get("/account/requests.csv").status_code == 302


def test_page_and_file_say_what_came_back():
    alice, call, _ = served()
    assert "came back" not in text(signed_in(alice), "/account/requests")
    assert [line["refunded_usd"] for line in download(alice)] == ["0"]
    ledger.reverse(reversals=[Reversal(call.id)], reason="the server lied")
    assert "$0.0001 came back" in text(signed_in(alice), "/account/requests")
    assert [line["refunded_usd"] for line in download(alice)] == ["0.0001"]


def test_the_csv_has_what_the_filters_of_the_page_keep(settings):
    settings.EXPORT_PAGE_ROWS = 1
    alice, call, _ = served()
    bookings.void(failed := bookings.admit(alice, call.offer))
    key, row = issuing.issue(customer=alice.customer, name="=1+1")
    by_second = bookings.book(factories.Person(alice.customer, key, row), call.offer)
    bookings.book(factories.person("carol"), call.offer)
    part = call.offer.model_id[2:-2].upper()
    today = dt.datetime.now(dt.UTC).date()
    for query, expected in {
        "": [call, failed, by_second],
        f"?key={row.pk}": [by_second],
        f"?model={part}": [call, failed, by_second],
        "?model=nothing-like-it": [],
        "?model=%25": [],
        "?outcome=upstream_failed": [failed],
        f"?outcome=finished&key={alice.api_key.pk}&since={today}&until={today}": [call],
        f"?id=req_{failed.id.hex}": [failed],
        f"?id={failed.id}&outcome=finished": [],
    }.items():
        found = [line["request_id"] for line in download(alice, query)]
        assert found == [f"req_{one.id.hex}" for one in expected], query
    assert download(alice, f"?key={row.pk}")[0]["key"] == "'=1+1"


def test_the_link_to_the_csv_has_the_filters_and_wrong_ones_lead_back():
    alice, call, _ = served()
    client = signed_in(alice)
    part = call.offer.model_id[1:].upper()
    page = text(client, f"/account/requests?model={part}&outcome=finished&key=")
    assert str(call.id) in page
    assert f'href="/account/requests.csv?model={part}&amp;outcome=finished"' in page
    wrong = "since=2026-02-02&until=2026-02-01"
    page = text(client, f"/account/requests?{wrong}")
    assert "This day is before the first one" in page
    assert str(call.id) not in page
    assert client.get(f"/account/requests.csv?{wrong}")["Location"] == f"/account/requests?{wrong}"


def test_a_receipt_says_what_was_counted_what_was_paid_and_to_whom():
    alice, call, hoster = served(price_in=100, price_out=300)
    client = signed_in(alice)
    with few_queries():
        page = text(client, f"/account/requests/{call.id}")
    for words in (
        "$0.0001",
        "$0.00008",
        "$0.00002",
        "$0.10",
        "$0.30",
        hoster.name,
        call.offer.server.name,
        "finished",
    ):
        assert words in page, words
    assert call.offer.server.base_url not in page
    assert "one success in 64" in page


def test_a_receipt_says_in_words_why_this_server():
    alice, call, _ = served()
    explain(call)
    page = text(signed_in(alice), f"/account/requests/{call.id}")
    for words in (
        "25.0 %",
        "dave was asked; it failed: timeout",
        "bob was asked; it answered",
        "2 servers, because all of",
    ):
        assert words in page, words
    assert "of our tests" not in page
    assert "one success in" not in page


def test_a_failed_request_says_that_it_cost_nothing():
    alice, call, _ = served()
    bookings.void(failed := bookings.admit(alice, call.offer))
    page = text(signed_in(alice), f"/account/requests/{failed.id}")
    assert "who is not served does not pay" in page
    assert "the server failed" in page


@pytest.mark.parametrize(("outcome", "began"), [("hung_up", True), ("abandoned", False)])
def test_what_the_customer_stopped_is_neither_good_nor_bad(outcome: str, began: bool):
    alice, call, _ = served()
    InferenceRequest.objects.filter(pk=call.id).update(outcome=outcome, success=began)
    for path in ("/account/requests", f"/account/requests/{call.id}"):
        page = text(signed_in(alice), path)
        assert re.search(r'<span class="badge ?">you stopped it', page), path
        assert "hung up" not in page


def test_the_books_on_a_receipt_are_in_order_of_time(travel):
    from billing import ledger

    alice, call, _ = served()
    travel(dt.timedelta(minutes=1))
    ledger.reverse(reversals=[ledger.Reversal(call.id)], reason="its server was convicted")
    receipt = receipts.of(alice.customer, call.id)
    assert receipt is not None
    times = [one.created_at for one in receipt.transfers]
    assert times == sorted(times)
    assert [one.kind for one in receipt.transfers][:2] == ["charge", "fee"]
    assert receipt.transfers[-1].created_at > receipt.transfers[0].created_at


def test_carol_gets_404_on_alices_receipt():
    _, call, _ = served()
    carol = signed_in(factories.person("carol"))
    assert carol.get(f"/account/requests/{call.id}").status_code == 404
    assert carol.get("/account/requests/nonsense").status_code == 404
    assert Client().get(f"/account/requests/{call.id}").status_code == 302


def test_every_reason_of_a_filter_has_words_for_the_customer():
    import inspect

    from routing import fitness

    returned = set(re.findall(r'return "([^"]+)"', inspect.getsource(fitness.unfit)))
    assert returned | fitness.EXCLUDED == set(explanations.LEFT_OUT)


def test_an_explanation_of_an_older_release_is_read_as_far_as_it_goes():
    why = explanations.in_words({"filters": {"1": "a new reason"}}, None)
    assert why.left_out == ((1, "a new reason"),)
    assert (why.candidates, why.attempts, why.served) == ((), (), None)


def test_what_was_given_back_is_shown_on_the_receipt():
    from billing import ledger

    alice, call, _ = served()
    ledger.reverse(reversals=[ledger.Reversal(call.id)], reason="its server was convicted")
    page = text(signed_in(alice), f"/account/requests/{call.id}")
    assert "$0.0001 of $0.0001 came back" in page
    assert "its server was convicted" in page
    assert receipts.of(alice.customer, call.id)


# ------------------------------------------------------------------------------------------------ overview


def use_data(page: str) -> dict:
    found = re.search(r'data-charts="([^"]*)"', page)
    assert found
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize(
    "query", ["", "interval=hour", "interval=week&by=model", "interval=month&by=key", "by=nonsense"]
)
def test_the_overview_shows_use_in_few_queries(query: str):
    alice, call, _ = served()
    bookings.void(bookings.admit(alice, call.offer))
    client = signed_in(alice)
    with few_queries():
        page = text(client, f"/account?{query}")
    data = use_data(page)
    assert sum(sum(group["requests"]) for group in data["groups"]) == 1
    assert round(sum(sum(group["cost"]) for group in data["groups"]) * 10**9) == 100_000
    assert all(len(group["tokens"]) == len(data["labels"]) for group in data["groups"])
    assert page.count("<canvas") == 4


def test_use_by_key_and_by_model_adds_up_to_all_of_it():
    alice, _, _ = served()
    key, second = factories.new_key(alice.customer)
    _, other = factories.server(price_in=7)
    bookings.book(factories.Person(alice.customer, key, second), other)
    client = signed_in(alice)
    sums = {}
    for by in ("all", "key", "model"):
        groups = use_data(text(client, f"/account?by={by}"))["groups"]
        assert len(groups) == (1 if by == "all" else 2)
        sums[by] = [round(sum(group["cost"][n] for group in groups) * 10**9) for n in range(30)]
    assert sums["all"] == sums["key"] == sums["model"]
    page = text(client, "/account?by=key")
    assert f"test {second.visible_part}" in page
    assert other.model_id in text(client, "/account?by=model")


def test_many_groups_are_added_up_as_others():
    alice = factories.person()
    for price in range(1, 10):
        _, offer = factories.server(price_in=price * 1_000)
        bookings.book(alice, offer)
    groups = use_data(text(signed_in(alice), "/account?by=model"))["groups"]
    assert [group["name"] for group in groups][-1] == "3 others"
    assert len(groups) == 7
    assert sum(sum(group["requests"]) for group in groups) == 9


def test_limits_in_use_are_bars_with_words():
    alice = factories.person(tier="free")
    _, offer = factories.server()
    bookings.book(alice, offer, input_tokens=300, output_tokens=200)
    page = text(signed_in(alice), "/account")
    assert '<progress class="bar" id="tokens" value="500" max="100000">' in page
    assert '<progress class="bar" id="day" value="1" max="5000">' in page
    assert "of 100,000" in page


def test_the_balance_is_shown_with_its_parts():
    alice = factories.person(sold_nanos=5_000_000_000)
    page = text(signed_in(alice), "/account")
    assert '<rect class="promotional" x="0" y="0" width="500"' in page
    assert '<rect class="bought" x="500" y="0" width="500"' in page
    assert '<rect class="earned"' not in page


# ---------------------------------------------------------------------------------------------------- keys


def test_a_key_shows_what_it_spent_of_its_limit_and_when_it_was_used():
    alice = factories.person()
    _, offer = factories.server()
    key, row = factories.new_key(alice.customer, spend_limit_nanos=10_000_000, spend_period="day")
    page = text(signed_in(alice), "/account")
    assert page.count("never") == 2
    bookings.book(factories.Person(alice.customer, key, row), offer)
    page = text(signed_in(alice), "/account")
    assert "$0.0001 of $0.01" in page
    assert 'value="100000" max="10000000"' in page
    assert page.count("never") == 1


def test_a_rotated_key_is_shown_once_with_the_end_of_the_old_one():
    alice = factories.person()
    client = signed_in(alice)
    path = f"/account/keys/{alice.api_key.pk}/rotate"
    assert "24 hours" in text(client, path)
    page = client.post(path, {"grace": "1"}).content.decode()
    (new,) = re.findall(r'id="key">(ngk_[0-9A-Za-z]{40})<', page)
    assert alice.api_key.visible_part in page
    listed = text(client, "/account")
    assert new not in listed
    assert alice.api_key.visible_part in listed
    for key in (new, alice.key):
        assert Client().get("/v1/usage", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    client.post(f"/account/keys/{alice.api_key.pk}/end")
    assert alice.api_key.visible_part not in text(client, "/account")
    assert Client().get("/v1/usage", headers=alice.headers).status_code == 401


def test_a_rotation_without_grace_ends_the_old_string_at_once():
    alice = factories.person()
    client = signed_in(alice)
    page = client.post(f"/account/keys/{alice.api_key.pk}/rotate", {"grace": "0"}).content.decode()
    assert "refused from now on" in page
    assert Client().get("/v1/usage", headers=alice.headers).status_code == 401
    assert (
        "Choose one from the list"
        in client.post(f"/account/keys/{alice.api_key.pk}/rotate", {"grace": "9"}).content.decode()
    )


def test_a_key_is_edited_and_keeps_its_string():
    alice = factories.person()
    expires_at = timezone.now() + dt.timedelta(days=2, hours=1)
    key, row = factories.new_key(alice.customer, spend_limit_nanos=10_000_000, expires_at=expires_at)
    client = signed_in(alice)
    path = f"/account/keys/{row.pk}/edit"
    assert f'href="{path}"' in text(client, "/account")
    with few_queries():
        page = text(client, path)
    last_day = (expires_at.astimezone(dt.UTC) - dt.timedelta(microseconds=1)).date()
    for words in ('value="0.01"', f'value="{last_day}"', '<option value="month" selected>'):
        assert words in page, words
    given = {"name": "website", "spend_limit_nanos": "", "spend_period": "day", "expires_at": str(last_day)}
    answer = client.post(path, given, follow=True)
    assert "“website” is changed" in answer.content.decode()
    changed = auth.caller(f"Bearer {key}")
    assert (changed.name, changed.spend_limit_nanos, changed.spend_period) == ("website", None, "day")
    assert changed.expires_at == expires_at  # nobody touched the day
    client.post(path, {**given, "expires_at": str(last_day + dt.timedelta(days=1)), "allowed_models": "auto"})
    changed.refresh_from_db()
    assert changed.allowed_models == ["auto"]
    assert changed.expires_at == dt.datetime.combine(last_day, dt.time(), dt.UTC) + dt.timedelta(days=2)


def test_what_an_edited_key_may_not_be_is_said_and_changes_nothing():
    alice = factories.person()
    page = signed_in(alice).post(
        f"/account/keys/{alice.api_key.pk}/edit",
        {"name": "website", "spend_period": "day", "expires_at": "2020-01-01", "spend_limit_nanos": "-1"},
    )
    assert "This day has passed" in page.content.decode()
    assert "at least 0" in page.content.decode()
    alice.api_key.refresh_from_db()
    assert alice.api_key.name == "test"


def test_an_edited_key_keeps_a_model_that_is_gone():
    alice = factories.person()
    type(alice.api_key).objects.filter(pk=alice.api_key.pk).update(allowed_models=["gone"])
    given = {"name": "website", "spend_period": "day", "allowed_models": "gone\nauto\nnobodys"}
    path = f"/account/keys/{alice.api_key.pk}/edit"
    page = signed_in(alice).post(path, given).content.decode()
    assert "Nobody has “nobodys” here" in page
    assert "Nobody has “gone” here" not in page
    assert signed_in(alice).post(path, {**given, "allowed_models": "gone\nauto"}).status_code == 302


def test_what_a_key_used_of_its_limit_is_beside_the_form():
    alice = factories.person()
    _, offer = factories.server()
    key, row = factories.new_key(alice.customer, spend_limit_nanos=10_000_000, spend_period="day")
    bookings.book(factories.Person(alice.customer, key, row), offer)
    page = text(signed_in(alice), f"/account/keys/{row.pk}/edit")
    assert "Of its $0.01 per day the key has used $0.0001." in page


def test_a_key_whose_limit_is_zero_is_for_free_models_only_and_the_pages_say_so():
    alice = factories.person()
    _, offer = factories.server()
    client = signed_in(alice)
    assert "0: free models only" in text(client, "/account/keys/new")
    key, row = factories.new_key(alice.customer, spend_limit_nanos=0)
    frugal = factories.Person(alice.customer, key, row)
    bookings.admit(frugal, offer, free=True)
    with pytest.raises(AssertionError, match="spend_limit"):
        bookings.admit(frugal, offer)
    page = text(client, "/account")
    assert "free models only" in page
    assert "of $0.00" not in page
    for action in ("edit", "rotate"):
        page = text(client, f"/account/keys/{row.pk}/{action}")
        assert "free models only" in page
        assert "$0.00" not in page.partition("<main")[2]


@pytest.mark.parametrize("action", ["edit", "rotate"])
def test_a_key_of_the_playground_is_neither_edited_nor_rotated(action: str):
    alice = factories.person()
    type(alice.api_key).objects.filter(pk=alice.api_key.pk).update(is_playground=True)
    path = f"/account/keys/{alice.api_key.pk}/{action}"
    assert signed_in(alice).get(path).status_code == 404
    assert signed_in(alice).post(path, {"name": "x", "spend_period": "day", "grace": 0}).status_code == 404


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("action", "field", "words"),
    [
        ("edit", "revoked_at", "is revoked already"),
        ("edit", "expires_at", "has expired"),
        ("rotate", "revoked_at", "is revoked already"),
        ("rotate", "expires_at", "has expired"),
        ("revoke", "revoked_at", "is revoked already"),
    ],
)
def test_a_key_that_is_over_since_another_tab_leads_back_to_the_account(
    action: str, field: str, words: str, method: str
):
    alice = factories.person()
    type(alice.api_key).objects.filter(pk=alice.api_key.pk).update(**{field: timezone.now()})
    path = f"/account/keys/{alice.api_key.pk}/{action}"
    given = {"name": "x", "spend_period": "day", "grace": 0} if method == "post" else None
    answer = getattr(signed_in(alice), method)(path, given, follow=True)
    assert answer.redirect_chain == [("/account", 302)]
    assert f"The key “test” {words}." in answer.content.decode()
    alice.api_key.refresh_from_db()
    assert alice.api_key.name == "test"


def test_a_key_that_is_revoked_meanwhile_is_not_amended():
    alice = factories.person()
    issuing.revoke(alice.api_key)
    with pytest.raises(KeyRefused, match="revoked meanwhile"):
        issuing.amend(
            alice.api_key,
            name="x",
            expires_at=None,
            spend_limit_nanos=None,
            spend_period="day",
            allowed_models=[],
        )


@pytest.mark.parametrize("action", ["edit", "rotate", "revoke", "end"])
def test_carol_gets_404_on_alices_key(action: str):
    alice = factories.person()
    carol = signed_in(factories.person("carol"))
    path = f"/account/keys/{alice.api_key.pk}/{action}"
    assert carol.post(path, {"grace": "0", "name": "x", "spend_period": "day"}).status_code == 404
    assert carol.get(path).status_code in (404, 405)
    assert Client().get("/v1/usage", headers=alice.headers).status_code == 200


# ---------------------------------------------------------------------------------------------- playground


def test_the_playground_offers_what_is_for_sale_and_says_how_to_do_without_scripts():
    alice, call, _ = served()
    client = signed_in(alice)
    with few_queries():
        page = text(client, f"/account/playground?model={call.offer.model_id}")
    assert f'<option value="{call.offer.model_id}" selected>' in page
    (without,) = re.findall(r"<div data-without-script>(.*?)<form", page, re.DOTALL)
    assert "curl" in without
    assert call.offer.model_id in without
    assert "Nobody sells “gone”" in text(client, "/account/playground?model=gone")


def test_the_playgrounds_key_lives_fifteen_minutes_and_is_listed_as_long():
    alice = factories.person()
    client = signed_in(alice)
    response = client.post("/account/playground/key")
    assert response.status_code == 201
    assert "no-store" in response["Cache-Control"]
    row = auth.caller(f"Bearer {response.json()['key']}")
    assert row.customer == alice.customer
    assert row.expires_at is not None
    assert dt.timedelta(minutes=14) < row.expires_at - timezone.now() <= dt.timedelta(minutes=15)
    page = text(client, "/account")
    own, _, of_the_playground = page.partition("<summary>From the playground (1)</summary>")
    assert alice.api_key.visible_part in own
    assert row.visible_part not in own
    assert row.visible_part in of_the_playground
    assert client.get(f"/account/keys/{row.pk}/rotate").status_code == 404
    type(row).objects.filter(pk=row.pk).update(expires_at=timezone.now())
    assert row.visible_part not in text(client, "/account")
    with pytest.raises(ApiError):
        auth.caller(f"Bearer {response.json()['key']}")


def test_the_playgrounds_key_reads_and_asks_models_but_moves_nothing():
    bob, _ = factories.hoster()
    key, _ = issuing.issue_for_playground(bob.customer)
    mine, bearer = Client(headers=bob.headers), Client(headers={"Authorization": f"Bearer {key}"})
    assert bearer.get("/v1/payouts").status_code == 200
    for path in ("/v1/payouts", "/v1/disputes", "/hosters/drain"):
        refused = bearer.post(path, {}, content_type="application/json")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "playground_key"), path
        assert mine.post(path, {}, content_type="application/json").status_code != 403


def test_the_playgrounds_key_is_made_by_a_form_of_ours_only():
    alice = factories.person()
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.customer.user)
    assert client.post("/account/playground/key").status_code == 403
    assert client.get("/account/playground/key").status_code == 405
    assert Client().post("/account/playground/key").status_code == 302
    assert alice.customer.api_keys.count() == 1


def test_with_too_many_keys_the_playground_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("accounts.issuing.KEYS_MAX", 1)
    response = signed_in(factories.person()).post("/account/playground/key")
    assert response.status_code == 409
    assert "Revoke one" in response.json()["message"]


def test_the_limits_say_whose_they_are_and_how_to_get_higher_ones():
    alice = factories.person(tier="free")
    page = text(signed_in(alice), "/account")
    assert "These are the limits of the tier “free”, for all of your keys together." in page
    assert "ask the operator for a higher tier" in page
    unlimited = text(signed_in(factories.person(tier="internal")), "/account")
    assert "The tier “internal” has no limits." in unlimited
    assert "higher tier" not in unlimited
