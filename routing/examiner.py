"""Ask servers questions of the bank, each at a random time, as a customer would: through the gateway.

The requests are those of a customer of the platform's own, paid from a daily budget of promotional credit, so what
they earn can be spent but never paid out. Only the gateway knows for which server one is (`hosting.targets`).
"""

import asyncio
import datetime as dt
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import connection, transaction
from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError

from hosting import connector, disguise, targets
from hosting.disguise import DEFAULT_SHAPES, Shape
from hosting.models import HostedModel, Question
from hosting.shapes import BadShape
from routing import tester, verdicts
from routing.wire import BadAnswer, EventReader

log = structlog.get_logger(__name__)

TICK_S = 15.0  # how far ahead one run takes on what is due
ROUND = 5  # questions
ANSWER_TIMEOUT_S = 45.0
ANSWER_BYTES_MAX = 256 * 1024
SHAPES_MAX = 500
SHAPES_MIN = 20  # fewer would make all tests look alike
CANDIDATES = 27  # questions of which the wording that fits best is taken
ASKED_LATELY = 60  # of an offer: not asked again so soon

DUE = """
-- small tables, read whole; what another worker claims at this moment is left to it
SELECT m.id, m.next_question_at FROM hosting_hostedmodel m
  JOIN hosting_server s ON s.id = m.server_id JOIN hosting_hoster h ON h.id = s.hoster_id
 WHERE m.enabled AND s.verified_at IS NOT NULL AND NOT s.draining AND s.waiting_since IS NULL
   AND h.status NOT IN ('suspended', 'deactivated') AND (m.deactivated_at IS NULL OR m.retest_at IS NOT NULL)
   AND (m.next_question_at IS NULL OR m.next_question_at < clock_timestamp() + make_interval(secs => %(tick_s)s))
 ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
"""
SHAPES = """
-- routing_inferencerequest_sampled backwards: how customers of other servers asked lately
SELECT explanation ->> 'shape' FROM routing_inferencerequest
 WHERE success AND explanation IS NOT NULL AND explanation ? 'shape' AND server_id <> %(server)s
   AND id > %(since)s::uuid
 ORDER BY id DESC LIMIT %(most)s
"""
BUSYNESS = """
-- routing_usagehour_by_hour, a day of it: requests in the last hour beside the mean of the day's hours
SELECT coalesce(sum(requests) FILTER (WHERE hour > app_now() - interval '2 hours'), 0) / 2.0,
       coalesce(sum(requests), 0) / 24.0
  FROM routing_usagehour WHERE hour > app_now() - interval '1 day'
"""


@dataclass(frozen=True, slots=True)
class Test:
    """One question to one model on one server. delay_s: from now until it is asked."""

    offer_id: int
    server_id: int
    question: Question
    payload: dict[str, Any]
    delay_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """text: None when no answer came, which says nothing about its truth; cut_off: it ended for its length."""

    text: str | None
    cut_off: bool = False
    request_id: str = ""


def examine() -> int:
    """Ask what is due within the next seconds, each at its time, and judge the answers; how many came."""
    return ask_offers(claim(tick_s=TICK_S))


def ask_offers(claimed: Sequence[tuple[int, float]]) -> int:
    """Ask each of these (offer, seconds from now) one question and judge the answers; how many came."""
    tests = prepare(claimed)
    if not tests:
        return 0
    tester.fund()
    replies = asyncio.run(ask_all(tests))
    for test, reply in zip(tests, replies, strict=True):
        try:
            verdicts.record(
                test.offer_id,
                test.question,
                text=reply.text,
                cut_off=reply.cut_off,
                request_id=reply.request_id,
            )
        except Exception:  # one that cannot be judged must not cost the others their judgement
            log.exception("answer.not_judged", offer=test.offer_id)
    return sum(reply.text is not None for reply in replies)


def claim(*, tick_s: float) -> list[tuple[int, float]]:
    """(offer, seconds until its question) of what is due, with the next time of each set. One winner each."""
    mean_s = settings.CONSISTENCY_EVERY_S / ROUND
    rng = random.SystemRandom()
    claimed = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(BUSYNESS)
        lately, usual = cursor.fetchone()
        busyness = float(lately / usual) if usual else 1.0
        cursor.execute(DUE, {"tick_s": tick_s})
        now = dt.datetime.now(dt.UTC)
        for offer_id, due_at in cursor.fetchall():
            asked_at = max(due_at, now) if due_at else None
            gap_s = disguise.next_gap_s(mean_s, rng, busyness=busyness)
            following = (asked_at or now) + dt.timedelta(seconds=gap_s)
            HostedModel.objects.filter(pk=offer_id).update(next_question_at=following)
            if asked_at is not None:  # one that is new begins at a random time, too
                claimed.append((offer_id, (asked_at - now).total_seconds()))
    return claimed


def prepare(claimed: Sequence[tuple[int, float]]) -> list[Test]:
    """Draw a question for each and dress it as a request that a customer might send to that server."""
    rng = random.SystemRandom()
    bank = list(Question.objects.filter(enabled=True))
    if not bank:
        return []
    tests = []
    offers = HostedModel.objects.select_related("server").in_bulk([offer_id for offer_id, _ in claimed])
    for offer_id, delay_s in claimed:
        offer = offers.get(offer_id)
        if offer is None:
            continue  # deleted meanwhile
        lately = set(
            offer.consistency_answers.order_by("-answered_at").values_list("question_id", flat=True)[
                :ASKED_LATELY
            ]
        )
        fresh = [question for question in bank if question.pk not in lately] or bank
        shape = rng.choice(shapes(offer.server_id) or DEFAULT_SHAPES)
        candidates = rng.sample(fresh, min(len(fresh), CANDIDATES))
        by_wording = {wording: question for question in candidates for wording in question.wordings}
        wording = disguise.fitting(list(by_wording), shape, rng)
        question = by_wording[wording]
        others = [(one.wordings[0], one.answers[0]) for one in bank if one.pk != question.pk]
        payload = disguise.dress(wording, shape, others=others, rng=rng)
        payload["model"] = offer.model_id
        tests.append(Test(offer_id, offer.server_id, question, payload, delay_s))
    return tests


def shapes(server_id: int) -> list[Shape]:
    """How customers of other servers asked in the last hour; empty when hardly anybody did."""
    since = f"{int((time.time() - 3_600) * 1_000):012x}{'0' * 20}"
    with connection.cursor() as cursor:
        cursor.execute(SHAPES, {"server": server_id, "since": since, "most": SHAPES_MAX})
        rows = cursor.fetchall()
    found = []
    for (text,) in rows:
        try:
            found.append(Shape.from_json(text))
        except BadShape:
            continue  # of another release
    return found if len(found) >= SHAPES_MIN else []


async def ask_all(tests: Sequence[Test]) -> list[Reply]:
    client = await connector.open_client(gateway_url(), guarded=False)
    async with client:
        return list(await asyncio.gather(*(ask(client, test) for test in tests)))


async def ask(client: Client, test: Test) -> Reply:
    """Wait for its time, send it, read the answer. Never raises for what the gateway or the server does."""
    await asyncio.sleep(test.delay_s)
    target = targets.sign(test.server_id, secret=settings.SECRET_KEY, now_s=time.time())
    request = (
        client.post(f"{gateway_url()}/v1/chat/completions")
        .timeout(dt.timedelta(seconds=ANSWER_TIMEOUT_S))
        .header("authorization", f"Bearer {tester.key()}", is_sensitive=True)
        .header("content-type", "application/json")
        .header(targets.HEADER, target)
        .body_bytes(orjson.dumps(test.payload))
    )
    received = bytearray()
    try:
        async with request.build_streamed() as response:
            request_id = response.get_header("x-request-id") or ""
            while len(received) < ANSWER_BYTES_MAX and (piece := await response.body_reader.read_chunk()):
                received += piece
            if response.status != 200:
                return Reply(None, request_id=request_id)
    except (PyreqwestError, TimeoutError):
        return Reply(None)
    try:
        text, cut_off = read(bytes(received), stream=bool(test.payload.get("stream")))
    except (BadAnswer, orjson.JSONDecodeError):  # longer than any answer to a question
        return Reply(None, request_id=request_id)
    return Reply(text, cut_off, request_id)


def read(body: bytes, *, stream: bool) -> tuple[str | None, bool]:
    """(text, whether it was cut off for its length) of an answer of the gateway; None without an answer."""
    events = EventReader(ANSWER_BYTES_MAX).feed(body) if stream else [body]
    pieces: list[str] = []
    finish = None
    for event in events:
        if event == b"[DONE]":
            break
        value = orjson.loads(event)
        for choice in value.get("choices") or []:
            message = choice.get("delta") or choice.get("message") or {}
            if isinstance(content := message.get("content"), str):
                pieces.append(content)
            finish = choice.get("finish_reason") or finish
    return ("".join(pieces), finish == "length") if finish else (None, False)


def gateway_url() -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.HOST, settings.HOST)
    return settings.GATEWAY_URL or f"http://{host}:{settings.PORT}"
