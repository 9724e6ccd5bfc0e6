"""What looks wrong with an answer: bits without a word of it, and a warning when there are many."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from django.utils import timezone

from hosting import errors
from hosting.models import Hoster, ModerationAction, ServerMinute
from routing import calls, oddities, suspicion
from routing.metering import Meter
from routing.models import InferenceRequest
from routing.suspicion import Memory
from tests import factories, fakes
from tests.gateway import RunningGateway

CALL = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "function"}]}


def metered(message: dict, *, finish: str = "stop", usage: int | None = None) -> Meter:
    meter = Meter(calls.parse(calls.CHAT, json.dumps(CALL).encode(), calls.Limits(64, 100, 8)))
    meter.see({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
    meter.claimed_output = usage
    return meter


def tool(arguments: str) -> dict:
    return {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("meter", "writing_ms", "found"),
    [
        (metered({"content": "Paris."}), 0, []),
        (metered({"content": "x" * 8_000}), 100, ["too_fast"]),
        (metered({"content": "x" * 8_000}), 500, []),
        (metered({"content": "x" * 2_000}), 0, []),
        (metered({"content": "HelloĠworldĊ"}), 10, ["odd_text"]),
        (metered({"content": "caf\ufffd"}), 10, ["odd_text"]),
        (metered({"content": "Schöne Grüße aus 東京 🎉"}), 10, []),
        (metered({"content": "Well,"}, finish="length", usage=2), 10, ["cut_short"]),
        (metered({"content": "x" * 600}, finish="length", usage=150), 10, []),
        (metered({"content": "Well,"}, finish="length", usage=190), 10, []),
        (metered(tool('{"city": "Par')), 10, ["broken_tools"]),
        (metered(tool('{"city": "' + "x" * 600), finish="length"), 10, []),
        (metered(tool('{"city": "Paris"}')), 10, []),
        (metered(tool("")), 10, []),
    ],
)
def test_each_sign_has_a_name_and_ordinary_answers_have_none(
    meter: Meter, writing_ms: float, found: list[str]
) -> None:
    bits = suspicion.flags(meter, output_told=200, writing_ms=writing_ms, bytes_per_token=4.0)
    assert suspicion.names(bits) == found


def test_a_changed_name_and_a_repeated_long_answer_are_remembered_for_each_offer() -> None:
    memory = Memory()
    long, other, short = (metered({"content": text}) for text in ("word " * 40, "other " * 40, "Yes."))

    def seen(
        meter: Meter, *, offer: int = 1, prompt: int = 1, called: str = "m", fingerprint: str = "f"
    ) -> list:
        return suspicion.names(
            memory.flags((offer, "chat"), prompt=prompt, meter=meter, called=called, fingerprint=fingerprint)
        )

    assert seen(long) == []
    assert seen(long) == [], "to the same prompt"
    assert seen(long, prompt=2) == ["repeated_answer"]
    assert seen(other, prompt=2) == []
    assert seen(short, prompt=3) == seen(short, prompt=4) == []
    assert seen(long, offer=2, prompt=5) == [], "another offer's"
    assert seen(other, prompt=2, called="n") == ["changed_model"]
    assert seen(other, prompt=2, called="n", fingerprint="g") == ["changed_model"]
    assert seen(other, prompt=2, called="n", fingerprint="g") == []


def test_a_server_with_many_odd_answers_warns_its_hoster_once(gateway: RunningGateway) -> None:
    alice = factories.person()

    async def parrot(request: fakes.Request) -> AsyncIterator[bytes]:
        async for piece in fakes.model("I am a very helpful assistant and say the same to all. " * 4)(
            request
        ):
            yield piece

    fake = fakes.FakeServer(parrot)
    row, offer = factories.server(fake.base_url)
    gateway.wait_for(row)
    with httpx.Client() as client:
        for n in range(oddities.REQUESTS_MIN):
            messages = [{"role": "user", "content": f"Question {n}"}]
            client.post(
                f"{gateway.url}/v1/chat/completions", headers=alice.headers,
                json={"model": offer.model_id, "messages": messages},
            ).raise_for_status()  # fmt: skip
    flags = list(InferenceRequest.objects.filter(server=row).order_by("id").values_list("flags", flat=True))
    assert flags == [0] + [suspicion.REPEATED] * (oddities.REQUESTS_MIN - 1)
    assert oddities.watch() >= 1
    hoster = Hoster.objects.get(pk=row.hoster_id)
    action = ModerationAction.objects.get(hoster=hoster)
    assert (hoster.status, action.rule) == ("warned", "odd-answers")
    assert action.evidence == {"requests": 50, "odd": 49, "repeated_answer": 49}
    oddities.watch()
    assert ModerationAction.objects.filter(hoster=hoster).count() == 1, "only what came since counts"


@pytest.mark.parametrize(("served", "failed", "told"), [(79, 21, 1), (80, 20, 0), (14, 5, 0), (15, 5, 1)])
def test_above_a_fifth_of_errors_in_half_an_hour_the_hoster_is_told(
    served: int, failed: int, told: int
) -> None:
    row, _ = factories.server()
    minute = timezone.now().replace(second=0, microsecond=0)
    ServerMinute.objects.create(server=row, minute=minute, served=served, failed=failed)
    for _ in range(2):
        errors.tell()
    actions = ModerationAction.objects.filter(hoster=row.hoster)
    assert [action.kind for action in actions] == ["notice"] * told
    row.hoster.refresh_from_db()
    assert row.hoster.status == "active"
