"""What a process sees of a server: its circuit, its times, what it forgets and what it hears from the others."""

import pytest

from routing.load import CircuitChange, Load, Shared

SLOTS = 64


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """One server under one load, with the clock in hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[int, float, int]] = []
        self.load = Load(self.clock, lambda *change: self.told.append(change))

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.load.begin(1)
            self.load.failed(1)
            self.load.end(1)

    def serve(self, latency_ms: float = 100, output_tokens: int = 10, ttft_ms: float | None = 10) -> None:
        self.load.begin(1)
        self.load.served(1, latency_ms=latency_ms, output_tokens=output_tokens, ttft_ms=ttft_ms)
        self.load.end(1)

    @property
    def takes(self) -> bool:
        return self.load.takes(1, SLOTS)


def test_three_failures_in_a_row_open_the_circuit_for_30_s_and_twice_as_long_each_time_up_to_5_minutes():
    server = Server()
    server.fail(2)
    server.serve()
    server.fail(2)
    assert server.takes, "not in a row"
    server.fail()
    pauses = []
    for _ in range(6):
        assert not server.takes
        began = server.clock.now
        while not server.takes:
            server.clock.now += 1
        pauses.append(server.clock.now - began)
        server.fail()
    assert pauses == [30, 60, 120, 240, 300, 300]
    assert [open_s for _, open_s, _ in server.told] == [30, 60, 120, 240, 300, 300, 300]


def test_after_its_first_failure_a_server_gets_two_more_requests_until_one_succeeds():
    server = Server()
    server.fail()
    for _ in range(2):
        assert server.takes
        server.load.begin(1)
    assert not server.takes
    assert server.load.can_try(1, SLOTS), "when nobody else is left"
    server.load.served(1, latency_ms=10, output_tokens=1)
    assert server.takes


def test_two_requests_that_end_without_an_outcome_make_room_for_others():
    server = Server()
    server.fail()
    for _ in range(2):
        server.load.begin(1)
    for _ in range(2):
        server.load.end(1)
    assert server.takes


def test_after_the_pause_one_probe_decides_and_the_server_returns_over_a_minute():
    server = Server()
    server.fail(3)
    server.clock.now += 30
    assert server.takes
    server.load.begin(1)
    assert not server.takes, "one probe at a time"
    server.load.served(1, latency_ms=10, output_tokens=1)
    server.load.end(1)
    assert server.takes
    ramps = []
    for _ in range(4):
        ramps.append(round(server.load.reading(1).ramp, 2))
        server.clock.now += 20
    assert ramps == [0.1, 0.4, 0.7, 1.0]
    assert server.told[-1] == (1, 0.0, 1)


def test_a_probe_that_nobody_waits_for_any_more_is_followed_by_another():
    server = Server()
    server.fail(3)
    server.clock.now += 30
    server.load.begin(1)
    server.load.end(1)
    assert server.takes


def test_a_flapping_server_is_out_for_longer_each_time_until_it_was_well_for_ten_minutes():
    server = Server()
    for _ in range(3):
        server.fail(3)
        server.clock.now += server.told[-1][1]
        server.serve()
        server.clock.now += 20
    assert [change[1] for change in server.told if change[1]] == [30, 60, 120]
    server.clock.now += 601
    server.fail(3)
    assert server.told[-1][1] == 30


def test_answers_and_failures_of_requests_from_before_the_opening_change_nothing():
    server = Server()
    for _ in range(5):
        server.load.begin(1)
    for _ in range(4):
        server.load.failed(1)
    server.load.served(1, latency_ms=10, output_tokens=1)
    assert not server.takes
    assert len(server.told) == 1


def test_a_server_that_refuses_our_token_is_out_at_once_and_one_that_is_busy_just_pauses():
    server = Server()
    server.load.failed(1, at_once=True)
    assert not server.takes
    other = Server()
    other.load.paused(1, 7)
    assert not other.takes
    assert other.load.reading(1).failed == 0
    other.clock.now += 7
    assert other.takes
    assert not other.told


def test_most_servers_out_makes_a_probe_due_every_five_seconds():
    server = Server()
    server.fail(3)
    due = []
    for _ in range(12):
        reading = server.load.reading(1)
        due.append(reading.probe_due)
        if reading.probe_due:
            server.load.begin(1)
            server.load.end(1)
        server.clock.now += 1
    assert due == [False] * 5 + [True] + [False] * 4 + [True] + [False]


def test_times_rise_at_once_and_fall_slowly_and_are_forgotten():
    server = Server()
    server.serve(latency_ms=110, output_tokens=11, ttft_ms=10)
    assert server.load.reading(1).token_ms == pytest.approx(10)
    server.serve(latency_ms=510, output_tokens=11, ttft_ms=10)
    assert server.load.reading(1).token_ms == pytest.approx(50)
    server.serve(latency_ms=110, output_tokens=11, ttft_ms=10)
    assert server.load.reading(1).token_ms == pytest.approx(50, rel=0.01)
    for _ in range(10):
        server.clock.now += 2
        server.serve(latency_ms=110, output_tokens=11, ttft_ms=10)
    assert server.load.reading(1).token_ms == pytest.approx(10 + 40 * 2.718**-2, rel=0.02)
    server.clock.now += 31
    assert server.load.reading(1).token_ms is None


def test_a_whole_answer_says_how_fast_the_server_is_too():
    server = Server()
    server.serve(latency_ms=400, output_tokens=20, ttft_ms=None)
    reading = server.load.reading(1)
    assert (reading.ttft_ms, reading.token_ms) == (200, 10)


def test_outcomes_of_a_minute_ago_count_a_third():
    server = Server()
    server.serve()
    server.clock.now += 60
    assert server.load.reading(1).ok == pytest.approx(0.368, abs=0.001)


def test_what_other_processes_saw_counts_and_our_own_part_of_it_not_twice():
    server = Server()
    server.serve(latency_ms=400, output_tokens=20, ttft_ms=None)
    server.load.adopt([], {1: Shared(50, 5, 30_000, 0), 2: Shared(10, 0, 6_000, 100)})
    assert (server.load.reading(1).ok, server.load.reading(1).failed) == (50, 5)
    assert server.load.reading(1).token_ms == 10, "our own times come first"
    assert server.load.reading(2).token_ms == pytest.approx(20)
    server.clock.now += 31
    assert server.load.reading(1).token_ms == pytest.approx(30)


def test_circuits_of_other_processes_are_adopted_once():
    server = Server()
    server.load.adopt([CircuitChange(1, 5.0, 20.0, 2)], {})
    assert not server.takes
    server.clock.now += 21
    assert server.takes
    server.fail()
    assert server.told == [(1, 120.0, 3)], "goes on where the others were"
    server.load.adopt([CircuitChange(1, 5.0, -1.0, 2)], {})
    assert not server.takes, "old news"
    server.load.adopt([CircuitChange(1, 6.0, 0.0, 3)], {})
    assert server.takes
    assert server.load.reading(1).ramp == pytest.approx(0.1)


def test_a_server_that_stays_dead_for_months_breaks_nothing():
    server = Server()
    server.fail(3)
    for _ in range(2_000):
        server.clock.now += 300
        server.fail()
    assert server.told[-1][1:] == (300, 10)


def test_one_route_that_is_not_offered_is_forgotten_after_a_minute():
    server = Server()
    server.load.not_offered(1, "embeddings")
    assert 1 in server.load.lacking("embeddings")
    assert not server.load.lacking("chat.completions")
    server.clock.now += 61
    assert not server.load.lacking("embeddings")
