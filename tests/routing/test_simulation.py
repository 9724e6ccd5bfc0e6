"""Beside simpler ways of choosing, on the same traffic: what the customers get from this one."""

import math
from statistics import mean

import pytest

from tests.routing import simulation
from tests.routing.simulation import Engine, Figures, Spell, World


@pytest.mark.slow
def test_customers_get_more_from_this_engine_than_from_simpler_ways_of_choosing() -> None:
    """200 servers, some of them bad, and thousands of requests, on a virtual clock; the table is printed."""
    compared = simulation.compare([1, 2, 3], servers=200, length_s=60, per_s=30)
    print("\n" + simulation.table(compared))
    figures = {name: Figures.over(runs) for name, runs in compared.items()}
    ours = figures.pop(Engine.name)
    for name, rival in figures.items():
        assert ours.goal > rival.goal + 0.01, name
        assert ours.good > rival.good, name
        assert ours.failed <= rival.failed + 0.005, name
        assert ours.p95_s <= 1.1 * rival.p95_s, name


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = (simulation.run(Engine, 7, servers=40, length_s=20, per_s=10) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["trust", "time", "price"])
def test_the_tuning_changes_what_it_says_and_puts_it_back(name: str) -> None:
    before = simulation.current(name)
    with simulation.changed(**{name: 5.0}):
        assert simulation.current(name) == 5.0
    assert simulation.current(name) == before


def share(world: World, begins: float, ends: float) -> float:
    """What the first server gets of the attempts that begin in this time; 1 is as much as the others."""
    servers = [attempt.server for attempt in world.attempts if begins <= attempt.at < ends]
    return servers.count(1) * len(world.hosts) / len(servers)


@pytest.mark.parametrize("servers", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_server_that_becomes_slow_loses_its_traffic_within_5_s_and_has_it_back_in_a_minute(servers: int):
    runs = [
        simulation.run_equals(servers, [Spell(40, 100, slowdown=5)], seed, length_s=180) for seed in (1, 2, 3)
    ]
    before, slow, back = (
        mean(share(world, *times) for world in runs) for times in ((20, 40), (45, 100), (160, 180))
    )
    assert slow < 0.4 * before
    assert mean(share(world, 45, 50) for world in runs) < 0.4 * before, "5 s after it became slow"
    assert back > 0.75 * before, "60 s after it became as fast as before"


@pytest.mark.parametrize("servers", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_flapping_server_is_left_alone_for_longer_and_longer(servers: int):
    """Up for 20 s and down for 20 s, for 8 minutes."""
    down = [Spell(begins, begins + 20, slowdown=math.inf) for begins in range(20, 480, 40)]
    world = simulation.run_equals(servers, down, 1, length_s=480)
    pauses = [seconds for _, server, seconds in world.openings if server == 1]
    assert pauses == sorted(pauses), "it grows"
    assert sorted(set(pauses)) == [30, 60, 120, 240], "twelve times down, and found out four times"
    failures = [attempt.at for attempt in world.attempts if not attempt.ok]
    early, late = sum(at < 160 for at in failures), sum(at >= 320 for at in failures)
    assert late < early / 2
    assert sum(not result.served for result in world.results) < 0.01 * len(world.results)
