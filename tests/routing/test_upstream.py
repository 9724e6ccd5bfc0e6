"""What the HTTP client does with a cancellation, which is how time limits and hang-ups reach it."""

import asyncio

import pytest

from routing.calls import CHAT
from routing.upstream import Upstreams
from tests import fakes
from tests.routing import hostile, offers

TRIES = 80  # of which the client alone loses every fifth


@pytest.fixture
def flood():
    """A stream without pauses, so that a piece is often there at the moment of the cancellation."""
    server = hostile.endless(hostile.STREAM_HEAD, fakes.chunked(b": on my way\n\n"), pause_s=0.0005)()
    yield offers.offer(1, kind="local", base_url=f"{server.base_url}/v1", token=server.token)
    server.stop()


def test_no_limit_of_time_is_lost_in_a_flood_of_pieces(flood):
    async def read_for_ever(limit: asyncio.Timeout) -> None:
        answer = await upstreams.ask(flood, CHAT, b"{}", stream=True)
        try:
            while not limit.expired():
                await answer.read()
        finally:
            await answer.close()

    async def run() -> int:
        kept = 0
        for number in range(TRIES):
            try:
                async with asyncio.timeout(0.005 + number % 10 / 1_000) as limit:
                    await read_for_ever(limit)
            except TimeoutError:
                kept += 1
        return kept

    upstreams = Upstreams()
    assert asyncio.run(run()) == TRIES


def test_no_hang_up_is_lost_before_the_headers_either(flood):
    async def run() -> int:
        cancelled = 0
        for number in range(TRIES):
            task = asyncio.create_task(upstreams.ask(flood, CHAT, b"{}", stream=True))
            await asyncio.sleep(number % 20 / 10_000)
            if task.cancel():
                await asyncio.wait([task])
                cancelled += task.cancelled()
            else:
                cancelled += 1
                await task.result().close()
        return cancelled

    upstreams = Upstreams()
    assert asyncio.run(run()) == TRIES
