"""`Idempotency-Key` on inference: served once, paid once, and the same answer for everybody who asks again."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection
from openai import OpenAI

from billing.models import Charge, IdempotentRequest, Transfer
from hosting.models import HostedModel
from routing import repeats
from tests import bookings, factories, fakes
from tests.factories import Person
from tests.gateway import RunningGateway
from tests.routing.test_endings import CLIENT, WELCOME, settled

ASK = {"messages": [{"role": "user", "content": "Count to ten, please."}]}
COST = 11 * 100 + 12 * 300


@pytest.fixture
def server() -> Iterator[fakes.FakeServer]:
    running = fakes.FakeServer(fakes.model("One two three.", usage=(11, 12)))
    yield running
    running.stop()


@pytest.fixture
def offer(server: fakes.FakeServer) -> HostedModel:
    return factories.server(server.base_url)[1]


def post(
    gateway: RunningGateway, who: Person, model: str, key: str, *, timeout: float = 20, **fields: object
) -> httpx.Response:
    return CLIENT.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": model, **ASK, **fields},
        headers=who.headers | {"Idempotency-Key": key},
        timeout=timeout,
    )


def charges(who: Person) -> list[str]:
    return sorted(Charge.objects.filter(account=who.account).values_list("state", flat=True))


def test_the_second_request_gets_the_first_ones_answer_for_nothing(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel
):
    alice = factories.person()
    first, second = (post(gateway, alice, offer.model_id, "same") for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert second.headers["x-request-id"] == first.headers["x-request-id"]
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    assert len(server.asked) == 1
    assert charges(alice) == ["posted"]
    assert alice.account.posted_nanos == WELCOME - COST


def test_fifty_at_once_are_one_request_one_debit_and_one_answer(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel
):
    server.script = fakes.model("One two three.", usage=(11, 12), pause_s=0.1)
    alice = factories.person()
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(gateway, alice, offer.model_id, "same"), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len(server.asked) == 1
    assert charges(alice) == ["posted"]
    assert Transfer.objects.filter(debit=alice.account, kind="charge").count() == 1
    assert (alice.account.posted_nanos, alice.account.held_nanos) == (WELCOME - COST, 0)


def test_the_answer_is_kept_for_a_client_that_went_away(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel
):
    server.script = fakes.model("One two three.", usage=(11, 12), pause_s=0.5)
    alice = factories.person()
    with pytest.raises(httpx.TimeoutException):
        post(gateway, alice, offer.model_id, "same", timeout=0.2)
    again = post(gateway, alice, offer.model_id, "same")
    assert again.status_code == 200
    assert again.json()["choices"][0]["message"]["content"] == "One two three."
    assert len(server.asked) == 1
    assert charges(alice) == ["posted"]


def test_another_body_or_route_with_the_same_key_is_refused(gateway: RunningGateway, offer: HostedModel):
    alice = factories.person()
    post(gateway, alice, offer.model_id, "same")
    other = post(gateway, alice, offer.model_id, "same", temperature=0.5)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    legacy = CLIENT.post(
        f"{gateway.url}/v1/completions",
        json={"model": offer.model_id, "prompt": "x"},
        headers=alice.headers | {"Idempotency-Key": "same"},
    )
    assert legacy.status_code == 422
    assert charges(alice) == ["posted"]


def test_a_key_is_one_customers_own(gateway: RunningGateway, offer: HostedModel):
    alice, carol = factories.person(), factories.person("carol")
    first = post(gateway, alice, offer.model_id, "same").json()
    other = post(gateway, carol, offer.model_id, "same")
    assert other.status_code == 200
    assert other.json()["id"] != first["id"]


def test_a_request_that_failed_can_be_repeated(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel
):
    alice = factories.person()
    server.script = fakes.raw(b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")
    assert post(gateway, alice, offer.model_id, "same").status_code == 502
    server.script = fakes.model("Now.", usage=(11, 12))
    assert post(gateway, alice, offer.model_id, "same").status_code == 200
    assert charges(alice).count("posted") == 1
    assert alice.account.posted_nanos == WELCOME - COST


def test_a_refused_request_leaves_the_key_free(gateway: RunningGateway, offer: HostedModel):
    alice = factories.person()
    unknown = post(gateway, alice, "nobody/sells-this", "same")
    assert unknown.status_code == 404
    poor = post(gateway, alice, offer.model_id, "other", max_tokens=16_384, n=8)
    assert poor.status_code in (200, 402)
    assert post(gateway, alice, offer.model_id, "third").status_code == 200


def test_a_stream_is_served_once_and_not_again(gateway: RunningGateway, offer: HostedModel):
    alice = factories.person()
    first = post(gateway, alice, offer.model_id, "same", stream=True)
    assert first.text.rstrip().endswith("[DONE]")
    settled(alice)
    again = post(gateway, alice, offer.model_id, "same", stream=True)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "idempotency_key_done")
    assert charges(alice) == ["posted"]


def test_a_stream_that_runs_is_not_begun_twice(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel
):
    server.script = fakes.model("One two three.", usage=(11, 12), pause_s=0.3)
    alice = factories.person()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, gateway, alice, offer.model_id, "same", stream=True)
        time.sleep(0.2)
        second = post(gateway, alice, offer.model_id, "same", stream=True)
        assert (second.status_code, second.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        assert int(second.headers["retry-after"]) >= 1
        assert first.result().status_code == 200
    assert charges(alice) == ["posted"]


@pytest.mark.parametrize("name", ["", "two words", "x" * 256])
def test_a_key_that_is_none_is_refused(gateway: RunningGateway, offer: HostedModel, name: str):
    answer = post(gateway, factories.person(), offer.model_id, name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_a_stranger_learns_nothing_of_keys(gateway: RunningGateway, offer: HostedModel):
    alice = factories.person()
    post(gateway, alice, offer.model_id, "same")
    alice.customer.api_keys.update(revoked_at=alice.customer.created_at)
    answer = post(gateway, alice, offer.model_id, "same")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "revoked_api_key")


def test_the_answer_is_kept_encrypted_and_only_with_the_header(gateway: RunningGateway, offer: HostedModel):
    alice = factories.person()
    CLIENT.post(
        f"{gateway.url}/v1/chat/completions", json={"model": offer.model_id, **ASK}, headers=alice.headers
    )
    assert not IdempotentRequest.objects.filter(customer=alice.customer).exists()
    post(gateway, alice, offer.model_id, "same")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convert_from(answer, 'UTF8'), i::text FROM billing_idempotentrequest i WHERE customer_id = %s",
            [alice.customer.pk],
        )
        ((sealed, row),) = cursor.fetchall()
    assert "One two three" not in sealed + row
    assert sealed.startswith("gAAAA")


def test_what_a_dead_process_began_is_begun_anew(gateway: RunningGateway, offer: HostedModel):
    """It held money and died: the hold is voided, so that it can never be booked beside the new one."""
    alice = factories.person()
    content = httpx.Request("POST", "http://x", json={"model": offer.model_id, **ASK}).content
    held = bookings.admit(alice, offer)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status FROM routing_repeat(%s, 'same', '/v1/chat/completions', sha256(%s), %s, %s, 30, 1200)",
            [alice.customer.pk, content, held.id, uuid.uuid4()],
        )
        assert cursor.fetchone() == ("new",)
    answer = post(gateway, alice, offer.model_id, "same")
    assert answer.status_code == 200
    assert charges(alice) == ["posted", "voided"]
    assert alice.account.held_nanos == 0


def test_the_official_client_repeats_with_its_own_key(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel
):
    alice = factories.person()
    client = OpenAI(api_key=alice.key, base_url=f"{gateway.url}/v1")
    headers = {"Idempotency-Key": "from-the-client"}
    ask = {"model": offer.model_id, "messages": ASK["messages"], "extra_headers": headers}
    first, second = (client.chat.completions.create(**ask) for _ in range(2))
    assert first.id == second.id
    assert len(server.asked) == 1


def test_embeddings_are_repeated_too(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(usage=(3, 0)))
    _, offer = factories.server(server.base_url)
    body = {"model": offer.model_id, "input": "a text"}
    headers = alice.headers | {"Idempotency-Key": "same"}
    first, second = (
        CLIENT.post(f"{gateway.url}/v1/embeddings", json=body, headers=headers) for _ in range(2)
    )
    assert first.status_code == 200, first.text
    assert first.content == second.content
    assert len(server.asked) == 1


def test_an_answer_that_is_too_long_to_keep_is_paid_once_and_not_given_again(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repeats, "KEPT_BYTES_MAX", 10)
    alice = factories.person()
    assert post(gateway, alice, offer.model_id, "same").status_code == 200
    again = post(gateway, alice, offer.model_id, "same")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "idempotency_key_done")
    assert charges(alice) == ["posted"]


def test_no_more_than_some_wait_for_an_answer(
    gateway: RunningGateway, server: fakes.FakeServer, offer: HostedModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repeats, "JOINERS_MAX", 5)
    server.script = fakes.model("One two three.", usage=(11, 12), pause_s=0.5)
    alice = factories.person()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(gateway, alice, offer.model_id, "same"), range(20)))
    found = [answer.status_code for answer in answers]
    assert (found.count(200), found.count(409)) == (6, 14)
    assert charges(alice) == ["posted"]
