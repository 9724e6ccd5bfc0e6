"""`/v1/disputes` and `/v1/payouts` by HTTP: what they answer, to whom, and once for each Idempotency-Key."""

import datetime as dt
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from billing.models import Dispute, IdempotentRequest, Payout
from billing.tasks import forget_idempotency_keys
from tests import bookings, factories
from tests.billing.test_payouts import USD
from tests.billing.test_reversals import Market, market
from tests.factories import Person
from tests.gateway import RunningGateway

CLIENT = httpx.Client(timeout=30)


def post(
    gateway: RunningGateway, who: Person, path: str, body: object, key: str | None = None
) -> httpx.Response:
    headers = who.headers | ({"Idempotency-Key": key} if key else {})
    return CLIENT.post(f"{gateway.url}/v1/{path}", json=body, headers=headers)


def get(gateway: RunningGateway, who: Person, path: str) -> httpx.Response:
    return CLIENT.get(f"{gateway.url}/v1/{path}", headers=who.headers)


@pytest.fixture
def shop() -> Market:
    return market()


def test_a_dispute_is_opened_listed_and_only_its_owners(gateway: RunningGateway, shop: Market):
    call = bookings.book(shop.alice, shop.offer)
    body = {
        "request_id": f"chatcmpl-{call.id.hex}",
        "reason": "incomplete",
        "detail": "It stops in the middle.",
    }
    answer = post(gateway, shop.alice, "disputes", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["amount_usd"], made["request_id"]) == ("open", 0.0001, str(call.id))
    assert made["opened_at"].endswith("+00:00")
    assert get(gateway, shop.alice, "disputes").json() == {"disputes": [made]}
    assert get(gateway, shop.bob, "disputes").json() == {"disputes": []}


@pytest.mark.parametrize("spelled", ["{0}", "{0.hex}", "chatcmpl-{0.hex}", "req_{0.hex}", "cmpl-{0.hex}"])
def test_a_request_goes_by_each_of_its_names(gateway: RunningGateway, shop: Market, spelled: str):
    call = bookings.book(shop.alice, shop.offer)
    body = {"request_id": spelled.format(call.id), "reason": "other"}
    assert post(gateway, shop.alice, "disputes", body).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"request_id": "x"}, 400, "request_id"),
        ({"request_id": None}, 400, "request_id"),
        ({"request_id": 7}, 400, "request_id"),
        ({"request_id": str(uuid.uuid4())}, 404, "request_id"),
        ({"reason": "because"}, 400, "reason"),
        ({"reason": ["other"]}, 400, "reason"),
        ({"detail": "x" * 2_001}, 400, "detail"),
        ({"detail": "\0"}, 400, "detail"),
    ],
)
def test_a_wrong_dispute_is_told_what_is_wrong(
    gateway: RunningGateway, shop: Market, change: dict, status: int, param: str
):
    call = bookings.book(shop.alice, shop.offer)
    answer = post(gateway, shop.alice, "disputes", {"request_id": str(call.id), "reason": "other", **change})
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
    assert not Dispute.objects.filter(charge=call.id).exists()


def test_the_second_dispute_of_a_request_is_a_conflict(gateway: RunningGateway, shop: Market):
    body = {"request_id": str(bookings.book(shop.alice, shop.offer).id), "reason": "other"}
    assert post(gateway, shop.alice, "disputes", body).status_code == 201
    answer = post(gateway, shop.alice, "disputes", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_the_sixth_dispute_of_a_day_waits(gateway: RunningGateway, shop: Market):
    for _ in range(6):
        body = {"request_id": str(bookings.book(shop.alice, shop.offer).id), "reason": "other"}
        answer = post(gateway, shop.alice, "disputes", body)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_a_strangers_request_is_not_found(gateway: RunningGateway, shop: Market):
    body = {"request_id": str(bookings.book(shop.alice, shop.offer).id), "reason": "other"}
    assert post(gateway, shop.bob, "disputes", body).status_code == 404


def test_lists_are_paged_without_gap_or_repetition(gateway: RunningGateway, shop: Market):
    made = [
        post(
            gateway,
            shop.alice,
            "disputes",
            {"request_id": str(bookings.book(shop.alice, shop.offer).id), "reason": "other"},
        ).json()["id"]
        for _ in range(5)
    ]
    seen: list[str] = []
    while page := get(
        gateway, shop.alice, "disputes?limit=2" + (f"&before={seen[-1]}" if seen else "")
    ).json()["disputes"]:
        seen += [row["id"] for row in page]
    assert seen == made[::-1]
    assert get(gateway, shop.alice, f"disputes?before={uuid.uuid4()}").status_code == 400
    assert get(gateway, shop.alice, "disputes?limit=0").status_code == 400


def test_a_payout_is_asked_for_listed_and_cancelled(gateway: RunningGateway, bob: Person):
    answer = post(
        gateway, bob, "payouts", {"amount_usd": 10.5, "method": "paypal", "destination": "bob@example.org"}
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["amount_usd"], made["closed_at"]) == ("requested", 10.5, None)
    assert "bob@example.org" not in answer.text
    assert get(gateway, bob, "payouts").json() == {
        "available_usd": 69.5, "minimum_usd": 10.0, "payouts": [made],
    }  # fmt: skip
    stranger = factories.person("carol")
    assert post(gateway, stranger, f"payouts/{made['id']}/cancel", {}).status_code == 404
    assert post(gateway, bob, f"payouts/{made['id']}/cancel", {}).json()["state"] == "cancelled"
    assert post(gateway, bob, f"payouts/{made['id']}/cancel", {}).status_code == 409
    assert get(gateway, bob, "payouts").json()["available_usd"] == 80.0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"amount_usd": 9.99}, 409),
        ({"amount_usd": 80.000000001}, 409),
        ({"amount_usd": -10}, 409),
        ({"amount_usd": "ten"}, 400),
        ({"amount_usd": 1e300}, 400),
        ({"amount_usd": True}, 400),
        ({"amount_usd": 10.0000000001}, 400),
        ({"method": "cash"}, 400),
        ({"method": "stripe"}, 409),
        ({"destination": ""}, 409),
        ({"destination": "x" * 501}, 400),
    ],
)
def test_a_wrong_payout_moves_nothing(gateway: RunningGateway, bob: Person, body: dict, status: int):
    right = {"amount_usd": 10, "method": "paypal", "destination": "bob@example.org"}
    answer = post(gateway, bob, "payouts", right | body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert bob.account.earned_nanos == 80 * USD


# ------------------------------------------------------------------------------------------------ Idempotency-Key


def test_fifty_retries_with_one_key_make_one_payout(gateway: RunningGateway, bob: Person):
    body = {"amount_usd": 10, "method": "paypal", "destination": "bob@example.org"}
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(gateway, bob, "payouts", body, "retry"), range(50)))
    assert {answer.status_code for answer in answers} <= {201, 503}, (
        "busy is an answer, a second payout is not"
    )
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.text for answer in made}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in made) <= 1
    assert Payout.objects.filter(customer=bob.customer).count() == 1
    assert bob.account.earned_nanos == 70 * USD


def test_a_key_used_with_another_body_or_route_is_refused(gateway: RunningGateway, bob: Person):
    body = {"amount_usd": 10, "method": "paypal", "destination": "bob@example.org"}
    made = post(gateway, bob, "payouts", body, "one").json()
    for path, other in (("payouts", body | {"amount_usd": 11}), (f"payouts/{made['id']}/cancel", body)):
        answer = post(gateway, bob, path, other, "one")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert bob.account.earned_nanos == 70 * USD


def test_after_a_refusal_the_key_is_as_new(gateway: RunningGateway, bob: Person):
    body = {"amount_usd": 10, "method": "paypal"}
    assert post(gateway, bob, "payouts", body, "key").status_code == 409
    assert post(gateway, bob, "payouts", body | {"destination": "b@example.org"}, "key").status_code == 201


def test_two_customers_may_choose_the_same_key(gateway: RunningGateway, shop: Market):
    other = market()
    for one in (shop, other):
        body = {"request_id": str(bookings.book(one.alice, one.offer).id), "reason": "other"}
        assert post(gateway, one.alice, "disputes", body, "same").status_code == 201


@pytest.mark.parametrize("name", ["", "x" * 256, "two words", "ü"])
def test_a_key_that_is_none_is_refused(gateway: RunningGateway, shop: Market, name: str):
    body = {"request_id": str(bookings.book(shop.alice, shop.offer).id), "reason": "other"}
    answer = CLIENT.post(
        f"{gateway.url}/v1/disputes",
        json=body,
        headers={**shop.alice.headers, "Idempotency-Key": name.encode("utf-8")},
    )
    assert answer.status_code == 400


def test_keys_and_their_answers_are_forgotten_after_a_day(
    gateway: RunningGateway, shop: Market, travel: Callable[[dt.timedelta], None]
):
    body = {"request_id": str(bookings.book(shop.alice, shop.offer).id), "reason": "other"}
    post(gateway, shop.alice, "disputes", body, "old")
    mine = IdempotentRequest.objects.filter(customer=shop.alice.customer)
    sealed = bytes(mine.get().answer)
    assert b"request_id" not in sealed
    forget_idempotency_keys()
    assert mine.count() == 1
    mine.update(created_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=24, minutes=1))
    forget_idempotency_keys()
    assert mine.count() == 0
