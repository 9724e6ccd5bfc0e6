"""Requests through the running gateway, to fake servers, into the real books."""

import json
import os
import subprocess
import sys

import httpx

from billing.models import Charge
from tests import factories, fakes
from tests.gateway import RunningGateway

QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}


def test_an_answer_is_served_and_booked_to_the_nanodollar(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(usage=(10, 8)))
    _, offer = factories.server(server.base_url, price_in=100, price_out=300)
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": offer.model_id, **QUESTION},
        headers=alice.headers,
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == "Paris is the capital of France."
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18}
    assert body["model"] == offer.model_id
    assert alice.account.posted_nanos == 5_000_000_000 - 3_400
    assert alice.account.held_nanos == 0
    charge = Charge.objects.get(account=alice.account)
    assert (charge.gross_nanos, charge.fee_nanos, charge.net_nanos) == (3_400, 680, 2_720)


def test_a_stream_ends_with_done_after_it_is_booked(gateway: RunningGateway):
    alice = factories.person()
    server = fakes.FakeServer(fakes.model(usage=(10, 8)))
    _, offer = factories.server(server.base_url)
    body = {"model": offer.model_id, "stream": True, "stream_options": {"include_usage": True}, **QUESTION}
    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions", json=body, headers=alice.headers
    ) as answer:
        events = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text == "Paris is the capital of France."
    assert chunks[-1]["usage"] == {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18}
    assert alice.account.posted_nanos == 5_000_000_000 - 3_400


def test_the_application_can_be_imported_by_a_server_that_knows_nothing_of_django():
    """The gateway is imported before Django's apps are: it must not need their models for that."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", "import neuralgate.asgi"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
