"""Who may serve a call: every rule that says no has a name, and half a market out means that we are."""

import pytest

from routing import fitness
from routing.fitness import IDLE, Reading
from tests.routing.offers import Seen, call, offer


@pytest.mark.parametrize(
    ("fields", "wish", "reading", "reason"),
    [
        ({"status": "suspended"}, {}, IDLE, "suspended"),
        ({"status": "deactivated"}, {}, IDLE, "deactivated"),
        ({"status": "warned"}, {}, IDLE, None),
        ({"status": "probation"}, {}, IDLE, None),
        ({"draining": True}, {}, IDLE, "draining"),
        ({"waiting": True}, {}, IDLE, "waiting"),
        ({"context_window": 10}, {}, IDLE, "context"),
        ({"kind": "cloud"}, {"privacy_mode": True}, IDLE, "privacy"),
        ({}, {"deny_hosters": ["bob"]}, IDLE, "denied"),
        ({}, {"allow_hosters": ["carol"]}, IDLE, "not_allowed"),
        ({"trust": 0.8}, {"trusted_only": True}, IDLE, "not_trusted"),
        ({"trust": 0.81}, {"trusted_only": True}, IDLE, None),
        ({}, {"max_price": {"input": 99}}, IDLE, "max_price"),
        ({}, {"max_price": {"output": 299}}, IDLE, "max_price"),
        ({}, {"max_price": {"input": 100, "output": 300}}, IDLE, None),
        ({}, {}, Reading(circuit_open=True), "circuit_open"),
        ({"health": 0.29}, {}, IDLE, "health_below_0.3"),
        ({"health": 0.3}, {}, IDLE, None),
        ({"consistency": 0.39}, {}, IDLE, "consistency_below_0.4"),
        ({"consistency": 0.4}, {}, IDLE, None),
        ({}, {"max_latency_ms": 500}, Reading(ttft_ms=501), "max_latency"),
        ({}, {"max_latency_ms": 500}, IDLE, None),
        ({"slots": 4}, {}, Reading(in_flight=2), "saturated"),
        ({"slots": 4}, {}, Reading(in_flight=1), None),
    ],
)
def test_each_rule_names_itself(fields: dict, wish: dict, reading: Reading, reason: str | None):
    found = fitness.unfit(offer(1, **fields), call(**wish), reading, prompt_tokens=10, share=2)
    assert found == reason


def fit(offers: list, seen: Seen) -> tuple[list[int], dict[int, str]]:
    usable, reasons = fitness.fit(offers, call(), seen.reading, prompt_tokens=10, share=1)
    return [one.server_id for one in usable], reasons


def test_when_most_servers_are_out_by_statistics_the_healthiest_come_back():
    offers = [offer(1), *(offer(n, health=n / 100) for n in range(2, 6))]
    usable, reasons = fit(offers, Seen())
    assert usable == [1, 5, 4]
    assert reasons == {2: "health_below_0.3", 3: "health_below_0.3"}
    assert fit([offer(1, health=0.1)], Seen())[0] == [], "one server alone says nothing about us"
    assert fit([offer(1), offer(2, health=0.1)], Seen())[0] == [1]


def test_an_open_circuit_lets_in_a_probe_only_when_most_servers_are_out():
    due = Reading(circuit_open=True, probe_due=True)
    shut = Reading(circuit_open=True)
    assert fit([offer(1), offer(2)], Seen({2: due}))[0] == [1]
    assert fit([offer(1), offer(2)], Seen({1: shut, 2: due}))[0] == [2]
    assert fit([offer(1), offer(2)], Seen({1: shut, 2: shut}))[0] == []
