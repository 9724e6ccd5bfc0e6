"""Which servers are asked, and how often: filters with reasons, weights, draws that can be replayed."""

import dataclasses
import json

import pytest

from hosting.offers import LiveOffer
from routing import choice, wire
from routing.choice import IDLE, Reading

OFFER = LiveOffer(
    offer_id=1, server_id=1, server_version=1, kind="hoster", owner="bob", hoster_id=1, payee=1, model="m",
    upstream_name="m", base_url="http://127.0.0.1:9999", token="", token_version=1, price_in=100, price_out=300,
    context_window=8_192, slots=64, status="active", draining=False, trust=0.5, health=1.0, bytes_per_token=4.0,
)  # fmt: skip
DRAWS = 10_000


def offer(server_id: int, **fields: object) -> LiveOffer:
    return dataclasses.replace(OFFER, offer_id=server_id, server_id=server_id, **fields)  # type: ignore[arg-type]


def call(**fields: object) -> wire.Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    return wire.parse(wire.CHAT, json.dumps(body).encode(), wire.Limits(64, 2_048, 8))


def idle(server_id: int) -> Reading:
    return IDLE


def first_shares(offers: list[LiveOffer]) -> dict[int, float]:
    """How often each server stands first; 0 counts the draws in which nobody does."""
    asked = call()
    counts = dict.fromkeys([0, *(o.server_id for o in offers)], 0)
    for seed in range(DRAWS):
        chosen = choice.order(offers, asked, idle, prompt_tokens=10, seed=seed * 7_919, most=3)
        counts[chosen[0].server_id if chosen else 0] += 1
    return {server: count / DRAWS for server, count in counts.items()}


@pytest.mark.parametrize(
    ("fields", "wish", "reading", "reason"),
    [
        ({"status": "suspended"}, {}, IDLE, "suspended"),
        ({"status": "deactivated"}, {}, IDLE, "deactivated"),
        ({"draining": True}, {}, IDLE, "draining"),
        ({"context_window": 10}, {}, IDLE, "context"),
        ({"kind": "cloud"}, {"privacy_mode": True}, IDLE, "privacy"),
        ({}, {"deny_hosters": ["bob"]}, IDLE, "denied"),
        ({}, {"allow_hosters": ["carol"]}, IDLE, "not_allowed"),
        ({}, {"trusted_only": True}, IDLE, "not_trusted"),
        ({}, {"max_price": {"input": 99}}, IDLE, "max_price"),
        ({}, {"max_price": {"output": 299}}, IDLE, "max_price"),
        ({}, {}, Reading(circuit_open=True), "circuit_open"),
        ({"health": 0.29}, {}, IDLE, "health_below_0.3"),
        ({"slots": 4}, {}, Reading(in_flight=2), "saturated"),
        ({"slots": 4}, {}, Reading(in_flight=1), None),
    ],
)
def test_each_rule_names_itself(fields: dict, wish: dict, reading: Reading, reason: str | None):
    found = choice.unfit(offer(1, **fields), call(**wish), reading, prompt_tokens=10, share=2)
    assert found == reason


def test_equal_servers_share_equally_and_a_probationer_gets_half():
    assert first_shares([offer(1), offer(2)])[1] == pytest.approx(0.5, abs=0.02)
    assert first_shares([offer(1), offer(2, status="probation")])[2] == pytest.approx(0.25, abs=0.02)
    alone = first_shares([offer(1, status="probation")])
    assert alone[1] == pytest.approx(0.5, abs=0.02)


def test_cheaper_faster_and_healthier_servers_get_more():
    assert first_shares([offer(1, price_in=50, price_out=150), offer(2)])[1] > 0.6
    assert first_shares([offer(1), offer(2, health=0.5)])[1] > 0.7
    times = {1: Reading(expected_ms=100), 2: Reading(expected_ms=400)}
    weights = choice.weigh([offer(1), offer(2)], call(), times.__getitem__, prompt_tokens=10)
    assert weights[0] > 2 * weights[1]


def test_cheapest_means_the_cheapest_and_kinds_keep_their_order():
    offers = [offer(1), offer(2, price_in=1, price_out=1), offer(3, kind="cloud", price_in=0, price_out=0)]
    for seed in range(50):
        chosen = choice.order(offers, call(tier="cheapest"), idle, prompt_tokens=10, seed=seed, most=3)
        assert [o.server_id for o in chosen] == [2, 1, 3]


def test_a_draw_can_be_replayed_and_does_not_depend_on_the_order_of_the_offers():
    offers = [offer(n) for n in range(1, 8)]
    for seed in range(100):
        chosen = choice.order(offers, call(), idle, prompt_tokens=10, seed=seed, most=3)
        assert chosen == choice.order(offers[::-1], call(), idle, prompt_tokens=10, seed=seed, most=3)
        assert len(chosen) == 3
        assert set(chosen) <= set(offers)
