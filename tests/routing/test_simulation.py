"""Beside simpler ways of choosing, on the same traffic: what the customers get from this one."""

import pytest

from tests.routing import simulation
from tests.routing.simulation import Engine, Figures


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
