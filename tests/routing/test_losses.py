"""Why a hoster's servers were not asked, counted from the decisions that were kept."""

import httpx
import pytest

from routing import booking, losses
from tests import factories, fakes
from tests.gateway import RunningGateway

ROW = {"server": 1, "owner": "bob", "trust": 0.9, "health": 1.0, "consistency": 1.0, "expected_ms": 100,
       "expected_cost_nanos": 1_000, "share": 0.5}  # fmt: skip


def decision(first: int, *rows: dict, filters: dict | None = None) -> dict:
    return {"factors": list(rows), "filters": filters or {}, "draw": {"servers": [first]}}


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ({"trust": 0.5}, "trust"),
        ({"health": 0.6}, "health"),
        ({"consistency": 0.7}, "consistency"),
        ({"expected_ms": 300}, "speed"),
        ({"expected_cost_nanos": 1_500}, "price"),
        ({"expected_ms": 120, "expected_cost_nanos": 3_000}, "price"),
        ({}, "the draw"),
    ],
)
def test_the_factor_that_stood_worst_beside_the_winner_is_named(worse: dict, reason: str) -> None:
    found = losses.count([decision(2, {**ROW, **worse}, {**ROW, "server": 2})], {1})
    assert (found.decisions, found.asked_first, found.ranked) == (1, 0, [(reason, 1)])


def test_filters_count_by_their_name_and_decisions_of_others_not_at_all() -> None:
    kept = [
        decision(2, {**ROW, "server": 2}, filters={"1": "draining"}),
        decision(1, ROW, {**ROW, "server": 2}),
        decision(2, {**ROW, "server": 2}),
        {"factors": [ROW], "filters": {}, "draw": {"servers": []}},
    ]
    found = losses.count(kept, {1})
    assert (found.decisions, found.asked_first, found.ranked) == (2, 1, [("draining", 1)])


def test_the_portal_says_what_spoke_against_a_server(
    gateway: RunningGateway, client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(booking, "EXPLAINED_ONE_IN", 1)
    alice, name = factories.person(), factories.unique("model")
    owner, bob = factories.hoster()
    dear, _ = factories.server(
        fakes.FakeServer(fakes.model()).base_url, of=bob, model=name, price_in=9_000, price_out=9_000
    )
    cheap, _ = factories.server(fakes.FakeServer(fakes.model()).base_url, model=name)
    for row in (dear, cheap):
        gateway.wait_for(row)
    body = {"model": name, "tier": "cheapest", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(3):
        httpx.post(f"{gateway.url}/v1/chat/completions", headers=alice.headers, json=body).raise_for_status()
    found = losses.of_servers(set(bob.servers.values_list("pk", flat=True)))
    assert (found.decisions, found.asked_first, found.ranked) == (3, 0, [("price", 3)])
    client.force_login(owner.customer.user)
    page = client.get("/hosters/portal").content.decode()
    assert "sample of 3 requests" in page
    assert "price: 3" in page
