"""How two gateway processes react to servers that die, slow down and come back, under load."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from hosting.models import HostedModel
from tests import factories, fakes
from tests.scenarios.processes import gateway_process
from tests.scenarios.test_crashes import test_dsn

pytestmark = pytest.mark.slow
test_dsn.__test__ = False


class Watched:
    """A server that keeps when it was asked and when it first failed, and can be told to fail or to be slow."""

    def __init__(self) -> None:
        self.asked_at: list[float] = []
        self.failed_at: float | None = None
        self.failing = False
        self.pause_s = 0.03
        self.fake = fakes.FakeServer(self._script)

    async def _script(self, request: fakes.Request) -> AsyncIterator[bytes]:
        self.asked_at.append(time.monotonic())
        if self.failing:
            await asyncio.sleep(self.pause_s)
            yield fakes.http(500, "application/json", b"{}")
            self.failed_at = self.failed_at or time.monotonic()
            return
        async for piece in fakes.model(pause_s=self.pause_s)(request):
            yield piece

    def between(self, start: float, end: float) -> int:
        return sum(start <= moment < end for moment in self.asked_at)


@pytest.fixture
def market() -> Iterator[tuple[list[str], list[Watched], factories.Person, HostedModel]]:
    """Two gateway processes and three servers of one model, of three owners."""
    alice, name = factories.person(), factories.unique("model")
    servers = [Watched() for _ in range(3)]
    for server in servers:
        _, offer = factories.server(server.fake.base_url, model=name)
    with ExitStack() as stack:
        urls = [stack.enter_context(gateway_process(test_dsn()))[0] for _ in range(2)]
        yield urls, servers, alice, offer
    for server in servers:
        server.fake.stop()


async def load(
    urls: list[str],
    who: factories.Person,
    model: str,
    *,
    seconds: float,
    per_s: float,
    at: dict[float, Callable[[], None]],
) -> list[int]:
    """Statuses of requests sent at a steady rate to each in turn; `at`: what to do after so many seconds."""
    began = time.monotonic()
    events = sorted(at.items())
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=200)) as client:

        async def send(url: str) -> int:
            return (
                await client.post(f"{url}/v1/chat/completions", json=body, headers=who.headers)
            ).status_code

        sent = []
        for number in range(round(seconds * per_s)):
            due = began + number / per_s
            await asyncio.sleep(max(due - time.monotonic(), 0))
            while events and time.monotonic() - began >= events[0][0]:
                events.pop(0)[1]()
            sent.append(asyncio.create_task(send(urls[number % len(urls)])))
        return list(await asyncio.gather(*sent))


def test_a_dead_server_gets_three_more_requests_of_the_process_that_sees_it_and_none_of_the_other(
    market,
) -> None:
    urls, servers, alice, offer = market
    dead = servers[0]
    run = load(
        urls[:1], alice, offer.model_id, seconds=3, per_s=60, at={1.0: lambda: setattr(dead, "failing", True)}
    )
    assert set(asyncio.run(run)) == {200}, "no customer's request fails while a healthy server is there"
    assert dead.failed_at is not None
    assert dead.between(dead.failed_at + 0.02, time.monotonic()) <= 3
    time.sleep(1.5)
    before = len(dead.asked_at)
    statuses = asyncio.run(load(urls[1:], alice, offer.model_id, seconds=3, per_s=60, at={}))
    assert set(statuses) == {200}
    assert len(dead.asked_at) == before, "the other process has heard of it"


def test_a_server_five_times_slower_loses_most_of_its_traffic_and_wins_it_back(market) -> None:
    urls, servers, alice, offer = market
    slow = servers[0]
    marks: dict[str, float] = {}

    def at(name: str, pause_s: float) -> Callable[[], None]:
        def change() -> None:
            slow.pause_s, marks[name] = pause_s, time.monotonic()

        return change

    events = {5.0: at("slowed", 0.15), 15.0: at("recovered", 0.03)}
    statuses = asyncio.run(load(urls, alice, offer.model_id, seconds=75, per_s=40, at=events))
    assert set(statuses) == {200}

    def share(start: float, end: float) -> float:
        return slow.between(start, end) / sum(server.between(start, end) for server in servers)

    usual = share(marks["slowed"] - 4, marks["slowed"])
    slowed = share(marks["slowed"] + 5, marks["recovered"])
    back = share(marks["recovered"] + 45, marks["recovered"] + 60)
    print(f"share before {usual:.2f}, slowed {slowed:.2f}, after it recovered {back:.2f}")
    assert slowed <= 0.4 * usual
    assert back >= 0.8 * usual
