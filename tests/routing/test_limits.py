"""Caps that many requests at once must not break, and the order of refusals."""

import asyncio
import datetime as dt
import json
import re

import httpx
import pytest
from django.utils import timezone

from accounts.models import ApiKey, Tier
from billing.models import Charge, SpendWindow
from hosting.models import Hoster
from tests import factories, fakes
from tests.gateway import RunningGateway
from tests.site import signed_in

QUESTION = {"messages": [{"role": "user", "content": "Hello"}]}


def ask_at_once(gateway: RunningGateway, keys: list[str], body: dict) -> list[httpx.Response]:
    """One request for each key, all on their way before the first answer (httpx would take its time over 1,000)."""
    data = json.dumps(body).encode()
    port = int(gateway.url.rsplit(":", 1)[1])

    async def ask(key: str) -> httpx.Response:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"host: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-length: {len(data)}\r\nconnection: close"
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n".encode() + data)
        head, _, content = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        lines = head.decode().split("\r\n")
        pairs = [tuple(line.split(": ", 1)) for line in lines[1:]]
        return httpx.Response(int(lines[0].split(" ")[1]), headers=pairs, content=content)

    async def asking() -> list[httpx.Response]:
        return await asyncio.gather(*map(ask, keys))

    return asyncio.run(asking())


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in set(found)}


@pytest.mark.parametrize("keys", [1, 20])
def test_a_thousand_holds_of_ten_cents_against_five_dollars_admit_fifty(gateway: RunningGateway, keys: int):
    alice = factories.person()
    listed = [alice.key, *(factories.new_key(alice.customer)[0] for _ in range(keys - 1))]
    server = fakes.FakeServer(fakes.silent(0.0))
    server.script = fakes.model(pause_s=3)
    # The hold: output only, 1,000 tokens at 100,000 nanodollars = 0.10 USD.
    _, offer = factories.server(server.base_url, price_in=0, price_out=100_000, slots=2_000)
    answers = ask_at_once(
        gateway,
        [listed[n % keys] for n in range(1_000)],
        {"model": offer.model_id, "max_tokens": 1_000, **QUESTION},
    )
    assert statuses(answers) == {200: 50, 402: 950}
    assert {a.json()["error"]["code"] for a in answers if a.status_code == 402} == {"credit_reserved"}
    assert Charge.objects.filter(account=alice.account).count() == 50
    assert alice.account.held_nanos == 0


def test_two_hundred_at_once_on_the_free_tier_are_sixty_in_the_minute(gateway: RunningGateway):
    while timezone.now().second > 55:  # all of them in one calendar minute
        asyncio.run(asyncio.sleep(0.5))
    alice = factories.person(tier="free")
    keys = [alice.key, factories.new_key(alice.customer)[0]]
    _, offer = factories.server(fakes.FakeServer(fakes.model()).base_url, slots=2_000)
    answers = ask_at_once(gateway, [keys[n % 2] for n in range(200)], {"model": offer.model_id, **QUESTION})
    assert statuses(answers) == {200: 60, 429: 140}
    refused = next(a for a in answers if a.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit-requests"] == "60"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert Charge.objects.filter(account=alice.account).count() == 60


def test_a_tiers_daily_and_token_limits(gateway: RunningGateway):
    Tier.objects.get_or_create(name="tiny", defaults={"requests_per_day": 2})
    Tier.objects.get_or_create(name="terse", defaults={"tokens_per_minute": 30})
    _, offer = factories.server(fakes.FakeServer(fakes.model(usage=(10, 8))).base_url)
    for tier, words in (("tiny", "per day"), ("terse", "tokens per minute")):
        who = factories.person(tier=tier)
        answers = [
            httpx.post(
                f"{gateway.url}/v1/chat/completions",
                json={"model": offer.model_id, **QUESTION},
                headers=who.headers,
            )
            for _ in range(3)
        ]
        if tier == "terse" and answers[2].status_code == 200:
            pytest.skip("the minute changed in between")
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert words in answers[2].json()["error"]["message"]


def test_a_keys_spending_limit_holds_at_once_and_over_time(gateway: RunningGateway):
    alice = factories.person()
    key, row = factories.new_key(alice.customer, spend_limit_nanos=1_000_000_000)
    server = fakes.FakeServer(fakes.model(usage=(0, 8), pause_s=0.5))
    _, offer = factories.server(server.base_url, price_in=0, price_out=100_000, slots=2_000)
    body = {"model": offer.model_id, "max_tokens": 1_000, **QUESTION}
    answers = ask_at_once(gateway, [key] * 40, body)
    assert statuses(answers) == {200: 10, 402: 30}
    assert next(a for a in answers if a.status_code == 402).json()["error"]["code"] == "spend_limit_reached"
    window = SpendWindow.objects.get(key=row)
    assert (window.spent_nanos, window.held_nanos) == (10 * 8 * 100_000, 0)
    assert statuses(ask_at_once(gateway, [key] * 2, body)) == {200: 2}  # what was not spent is free again


def test_who_is_refused_at_a_keys_limit_is_led_to_the_page_that_raises_it_for_the_next_request(
    gateway: RunningGateway,
):
    alice = factories.person()
    key, row = factories.new_key(alice.customer, spend_limit_nanos=50_000_000)
    _, offer = factories.server(
        fakes.FakeServer(fakes.model(usage=(0, 8))).base_url, price_in=0, price_out=100_000
    )
    body = {"model": offer.model_id, "max_tokens": 1_000, **QUESTION}
    (refused,) = ask_at_once(gateway, [key], body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (402, "spend_limit_reached")
    assert "may cost up to $0.10 for 1000 output tokens" in error["message"]
    assert "what is left of this key's spending limit does not cover that" in error["message"]
    (path,) = re.findall(r"/account/keys/\d+/edit", error["message"])
    given = {"name": row.name, "spend_limit_nanos": "0.1", "spend_period": row.spend_period}
    assert signed_in(alice.customer.user).post(path, given)["Location"] == "/account"
    (answer,) = ask_at_once(gateway, [key], body)
    assert answer.status_code == 200
    signed_in(alice.customer.user).post(path, {**given, "allowed_models": "auto"})
    (refused,) = ask_at_once(gateway, [key], body)
    assert refused.json()["error"]["code"] == "model_not_allowed"


def test_twenty_keys_of_one_customer_at_once_never_pass_their_limits(gateway: RunningGateway):
    alice = factories.person()
    periods = ("day", "week", "month", "total")
    made = [
        factories.new_key(alice.customer, spend_limit_nanos=200_000_000, spend_period=periods[n % 4])
        for n in range(20)
    ]
    server = fakes.FakeServer(fakes.model(usage=(0, 1_000), pause_s=0.3))
    _, offer = factories.server(server.base_url, price_in=0, price_out=100_000, slots=2_000)
    body = {"model": offer.model_id, "max_tokens": 1_000, **QUESTION}
    answers = ask_at_once(gateway, [key for key, _ in made] * 5, body)
    assert statuses(answers) == {200: 40, 402: 60}
    for _, row in made:
        window = SpendWindow.objects.get(key=row)
        assert window.spent_nanos + window.held_nanos <= 200_000_000
    assert alice.account.posted_nanos == 5_000_000_000 - sum(
        SpendWindow.objects.filter(key__customer=alice.customer).values_list("spent_nanos", flat=True)
    )


def test_a_keys_allowed_models_and_expiry(gateway: RunningGateway):
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model()).base_url)
    elsewhere, _ = factories.new_key(alice.customer, allowed_models=["another"])
    expired, _ = factories.new_key(alice.customer, expires_at=timezone.now() - dt.timedelta(seconds=1))
    right, _ = factories.new_key(alice.customer, allowed_models=[offer.model_id])
    answers = ask_at_once(gateway, [elsewhere, expired, right], {"model": offer.model_id, **QUESTION})
    assert [a.status_code for a in answers] == [403, 401, 200]
    assert answers[1].json()["error"]["code"] == "expired_api_key"


def test_a_blocked_user_is_refused(gateway: RunningGateway):
    alice = factories.person()
    alice.customer.user.is_active = False
    alice.customer.user.save()
    answer = ask_at_once(gateway, [alice.key], {"model": "any", **QUESTION})[0]
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "account_inactive")


def test_without_max_tokens_the_server_is_told_what_the_balance_affords(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(usage=(0, 8)))
    _, offer = factories.server(server.base_url, price_in=0, price_out=1_000_000, context_window=100_000)
    assert ask_at_once(gateway, [alice.key], {"model": offer.model_id, **QUESTION})[0].status_code == 200
    assert server.asked[-1].body["max_tokens"] == 5_000
    cheap = fakes.FakeServer(fakes.model())
    _, offer = factories.server(cheap.base_url, price_in=1, price_out=1, context_window=1_000)
    ask_at_once(gateway, [alice.key], {"model": offer.model_id, **QUESTION})
    assert 900 < cheap.asked[-1].body["max_tokens"] < 1_000  # context − prompt
    _, offer = factories.server(cheap.base_url + "/", price_in=1, price_out=1, context_window=100_000)
    ask_at_once(gateway, [alice.key], {"model": offer.model_id, **QUESTION})
    assert cheap.asked[-1].body["max_tokens"] == 16_384


def test_a_suspension_acts_on_the_next_request(gateway: RunningGateway):
    alice = factories.person()
    _, bob = factories.hoster()
    server = fakes.FakeServer(fakes.model())
    _, offer = factories.server(server.base_url, of=bob)
    body = {"model": offer.model_id, **QUESTION}
    assert ask_at_once(gateway, [alice.key], body)[0].status_code == 200
    Hoster.objects.filter(pk=bob.pk).update(status="suspended")
    answer = ask_at_once(gateway, [alice.key], body)[0]
    assert (answer.status_code, len(server.asked)) == (503, 1)
    assert answer.headers["retry-after"]


def test_the_order_of_refusals(gateway: RunningGateway):
    poor = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model()).base_url, price_out=10**9)

    def status(key: str | None, **body: object) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers).status_code

    unknown = "ngk_" + "0" * 40
    assert status(None, model=3) == 401
    assert status(unknown, model=3) == 401
    assert status(poor.key, model=3) == 400
    assert status(poor.key, model="nope", messages=[]) == 400
    assert status(poor.key, model="nope", **QUESTION) == 404
    assert status(poor.key, model=offer.model_id, max_tokens=10**6, **QUESTION) == 402


def test_what_the_hoster_sees_of_the_customer(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model())
    _, offer = factories.server(server.base_url, upstream_name="its-own-name")
    body = {
        "model": offer.model_id, "user": "alice@example.org", "api_base": "http://evil", "headers": {"x": "y"},
        "tier": "cheapest", "privacy_mode": True, "min_p": 0.1, "x_vendor": {"deep": [1, 2]}, **QUESTION,
    }  # fmt: skip
    assert ask_at_once(gateway, [alice.key], body)[0].status_code == 200
    seen = server.asked[-1]
    assert seen.body["model"] == "its-own-name"
    assert (seen.body["min_p"], seen.body["x_vendor"]) == (0.1, {"deep": [1, 2]})
    assert seen.body["user"] != "alice@example.org"
    assert not {"api_base", "headers", "tier", "privacy_mode"} & set(seen.body)
    assert seen.headers["authorization"] == "Bearer server-token-of-tests"
    everything = f"{seen.headers} {seen.body}"
    assert alice.key not in everything
    assert "alice@" not in everything
    assert ApiKey.objects.get(pk=alice.api_key.pk).last_used_at is not None
