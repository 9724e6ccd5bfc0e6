"""/v1/requests: every request of a customer, page by page, and the receipt of each; nobody else's."""

import datetime as dt
import uuid

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import ledger
from billing.ledger import Reversal
from billing.models import Transfer
from routing import history, receipts
from routing.history import Filter
from routing.models import InferenceRequest
from tests import bookings, factories, fakes
from tests.gateway import RunningGateway
from tests.routing.test_usage_api import address, get


def ids(answer: dict) -> list[str]:
    return [one["id"] for one in answer["requests"]]


def test_the_newest_comes_first_and_pages_join_without_loss():
    alice = factories.person()
    _, offer = factories.server(address())
    made = [str(bookings.book(alice, offer).id) for _ in range(5)]
    seen, path, pages = [], "/v1/requests?limit=2", 0
    while True:
        answer = get(path, alice)
        seen += ids(answer)
        pages += 1
        if answer["next_before"] is None:
            break
        path = f"/v1/requests?limit=2&before={answer['next_before']}"
    assert seen == made[::-1]
    assert pages == 3


def test_a_page_that_is_just_full_is_the_last_one():
    alice = factories.person()
    _, offer = factories.server(address())
    for _ in range(2):
        bookings.book(alice, offer)
    assert get("/v1/requests?limit=2", alice)["next_before"] is None


def test_each_filter_keeps_what_agrees():
    alice = factories.person()
    _, offer = factories.server(address())
    _, other = factories.server(address())
    served = bookings.book(alice, offer).id
    bookings.void(failed := bookings.admit(alice, other))
    key, second = factories.new_key(alice.customer)
    by_second = bookings.book(factories.Person(alice.customer, key, second), other).id
    today = dt.datetime.now(dt.UTC).date()
    for query, expected in {
        f"model={offer.model_id}": [served],
        f"model={other.model_id}": [by_second, failed.id],
        f"model={other.model_id[1:]}": [],
        "outcome=upstream_failed": [failed.id],
        f"key={second.pk}": [by_second],
        f"key={second.pk}&outcome=upstream_failed": [],
        f"since={today}&until={today}": [by_second, failed.id, served],
        f"since={today + dt.timedelta(days=2)}": [],
        f"until={today - dt.timedelta(days=2)}": [],
        "since=0001-01-01&until=9999-12-31": [by_second, failed.id, served],
        "until=0001-01-01": [],
    }.items():
        assert ids(get(f"/v1/requests?{query}", alice)) == [str(one) for one in expected], query


def test_a_filtered_page_looks_at_so_many_requests_and_says_where_to_go_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "LOOKED_AT_MAX", 2)
    alice = factories.person()
    _, offer = factories.server(address())
    bookings.void(failed := bookings.admit(alice, offer))
    for _ in range(3):
        bookings.book(alice, offer)
    wanted = Filter(outcome="upstream_failed")
    first = history.page(alice.customer, wanted)
    assert first.lines == ()
    assert first.next_before is not None
    second = history.page(alice.customer, wanted, before=first.next_before)
    assert [line.id for line in second.lines] == [failed.id]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "before=x", "key=x", "outcome=nonsense", "since=yesterday"]
)
def test_what_is_not_understood_is_named(query: str):
    response = Client().get(f"/v1/requests?{query}", headers=factories.person().headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == query.partition("=")[0]


def test_a_receipt_adds_up_and_names_the_hoster_but_no_address():
    alice = factories.person()
    _, hoster = factories.hoster()
    server, offer = factories.server(address(), of=hoster, price_in=100, price_out=300)
    call = bookings.book(alice, offer, input_tokens=200, output_tokens=16, latency_ms=1_842)
    response = Client().get(f"/v1/requests/{call.id}", headers=alice.headers)
    found = response.json()
    assert (found["cost_usd"], found["platform_fee_usd"], found["hoster_earned_usd"]) == (
        24.8e-6,
        4.96e-6,
        19.84e-6,
    )
    assert found["input"] == {
        "claimed_tokens": 200,
        "billed_tokens": 200,
        "price_per_token": 100,
        "cost_usd": 20e-6,
    }
    assert found["output"] == {
        "claimed_tokens": 16,
        "billed_tokens": 16,
        "price_per_token": 300,
        "cost_usd": 4.8e-6,
    }
    assert [(one["kind"], one["amount_usd"]) for one in found["transfers"]] == [
        ("charge", 19.84e-6),
        ("fee", 4.96e-6),
    ]
    assert (found["server"], found["hoster"]) == (server.name, hoster.name)
    assert found["key"] == {"id": alice.api_key.pk, "name": "test"}
    assert server.base_url not in response.content.decode()


def test_a_request_that_failed_has_a_receipt_without_money():
    alice = factories.person()
    _, offer = factories.server(address())
    bookings.void(call := bookings.admit(alice, offer))
    found = get(f"/v1/requests/{call.id}", alice)
    assert (found["success"], found["outcome"], found["cost_usd"]) == (False, "upstream_failed", 0)
    assert (found["transfers"], found["server"], found["hoster"]) == ([], "", "")


def test_what_was_given_back_is_on_the_receipt():
    alice = factories.person()
    _, offer = factories.server(address())
    call = bookings.book(alice, offer)
    ledger.reverse(reversals=[Reversal(call.id)], reason="the server lied")
    receipt = receipts.of(alice.customer, call.id)
    assert receipt is not None
    assert (receipt.cost_nanos, receipt.refunded_nanos, receipt.paid_nanos) == (100_000, 100_000, 0)
    assert (receipt.net_left_nanos, receipt.fee_left_nanos) == (0, 0)
    assert {one.reason for one in receipt.transfers if one.kind == Transfer.Kind.REFUND} == {
        "the server lied"
    }


def test_of_an_answer_that_came_whole_no_first_token_is_told():
    alice = factories.person()
    _, offer = factories.server(address())
    call = bookings.book(alice, offer)
    for streamed, told in ((True, True), (False, False)):
        InferenceRequest.objects.filter(pk=call.id).update(streamed=streamed, ttft_ms=120)
        (line,) = get("/v1/requests", alice)["requests"]
        one = get(f"/v1/requests/{call.id}", alice)
        assert (line["ttft_ms"] == 120, one["ttft_ms"] == 120) == (told, told)


def test_the_list_says_what_came_back_of_which_request():
    alice = factories.person()
    _, offer = factories.server(address())
    whole, kept, part = (bookings.book(alice, offer) for _ in range(3))
    ledger.reverse(
        reversals=[Reversal(whole.id), Reversal(part.id, kept_input_tokens=250, kept_output_tokens=100)],
        reason="miscounted",
    )
    lines = {one["id"]: one for one in get("/v1/requests", alice)["requests"]}
    assert lines[str(whole.id)]["refunded_usd"] == lines[str(whole.id)]["cost_usd"] == 100e-6
    assert lines[str(kept.id)]["refunded_usd"] == 0
    assert (lines[str(part.id)]["cost_usd"], lines[str(part.id)]["refunded_usd"]) == (100e-6, 45e-6)
    receipt = receipts.of(alice.customer, part.id)
    assert receipt is not None
    assert (receipt.paid_nanos, receipt.net_left_nanos, receipt.fee_left_nanos) == (55_000, 44_000, 11_000)


def test_a_stranger_finds_neither_the_receipt_nor_the_line():
    alice, carol = factories.person(), factories.person("carol")
    _, offer = factories.server(address())
    call = bookings.book(alice, offer)
    assert Client().get(f"/v1/requests/{call.id}", headers=carol.headers).status_code == 404
    assert get("/v1/requests", carol) == {"requests": [], "next_before": None}
    assert get(f"/v1/requests?key={alice.api_key.pk}", carol)["requests"] == []
    assert Client().get(f"/v1/requests/{call.id}").status_code == 401


@pytest.mark.parametrize(
    "text", ["x", "req_", "chatcmpl-12", "0" * 31, f"{uuid.UUID(int=7)}-", "req_req_" + "0" * 32]
)
def test_what_is_no_id_is_not_found(text: str):
    assert receipts.parse(text) is None
    assert Client().get(f"/v1/requests/{text}", headers=factories.person().headers).status_code == 404


def test_a_receipt_takes_few_reads():
    alice = factories.person()
    _, offer = factories.server(address())
    call = bookings.book(alice, offer)
    with CaptureQueriesContext(connection) as queries:
        receipts.of(alice.customer, call.id)
    assert len(queries) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_found_by_its_x_request_id_and_by_its_own_id(gateway: RunningGateway, stream: bool):
    alice = factories.person()
    server, offer = factories.server(fakes.FakeServer(fakes.model(usage=(8, 8))).base_url)
    gateway.wait_for(server)
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": offer.model_id, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]},
        headers=alice.headers,
    )
    assert answer.status_code == 200, answer.text
    name = answer.headers["x-request-id"]
    found = get(f"/v1/requests/{name}", alice)
    assert found["request_id"] == name
    assert found["model"] == offer.model_id
    assert found["streamed"] is stream
    own = f"chatcmpl-{uuid.UUID(found['id']).hex}"
    assert own in answer.text
    assert get(f"/v1/requests/{own}", alice) == found


def test_the_id_of_an_answer_names_the_server_that_served_in_the_end(gateway: RunningGateway):
    alice = factories.person()
    model = factories.unique("model")
    offers = [
        factories.server(fakes.FakeServer(fakes.plain(500, {})).base_url, model=model) for _ in range(3)
    ]
    good, _ = factories.server(
        fakes.FakeServer(fakes.model()).base_url, model=model, price_in=5_000, price_out=5_000
    )
    for server, _ in [*offers, (good, None)]:
        gateway.wait_for(server)
    body = {"model": model, "tier": "cheapest", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=alice.headers, timeout=20)
    assert answer.status_code == 200, answer.text
    assert get(f"/v1/requests/{answer.headers['x-request-id']}", alice)["server"] == good.name
    served = InferenceRequest.objects.get(customer=alice.customer, success=True)
    assert answer.headers["x-request-id"] == f"req_{served.pk.hex}"
    assert InferenceRequest.objects.filter(customer=alice.customer).count() == 2  # the first round was voided
