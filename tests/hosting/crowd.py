"""Made-up customers with quite different habits, and what a server sees of their requests and of tests.

A server here knows everything but the words: times, parameters, sizes, and how long its own answers got.
"""

import math
import random
import re
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hosting import disguise, phrasing
from hosting.shapes import SAMPLERS, Shape

DAY_S = 86_400
Payload = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """One request as a server sees it."""

    at_s: float
    payload: Payload
    answer_tokens: int
    is_test: bool


@dataclass(frozen=True)
class Habit:
    """A kind of customers: how many requests a day, at which hours, and what they look like."""

    daily: int
    peak_hour: float
    concentration: float  # 0: at any hour alike
    make: Callable[[random.Random], tuple[Payload, float]]  # (payload, mean tokens of the answer)
    session: int = 1  # requests in a row, on average


def text(size: float) -> str:
    return "x" * max(1, round(size))


def around(rng: random.Random, median: float, sigma: float) -> float:
    return median * math.exp(rng.gauss(0, sigma))


def turns(rng: random.Random, count: int, user: float, assistant: float) -> list[Payload]:
    listed = []
    for _ in range(count):
        listed.append({"role": "user", "content": text(around(rng, user, 0.7))})
        listed.append({"role": "assistant", "content": text(around(rng, assistant, 0.6))})
    return [*listed, {"role": "user", "content": text(around(rng, user, 0.7))}]


def system(size: int) -> Payload:
    return {"role": "system", "content": text(size)}


def chat(rng: random.Random) -> tuple[Payload, float]:
    start = [system(28)] if rng.random() < 0.5 else []
    payload: Payload = {
        "model": "m",
        "messages": start + turns(rng, int(rng.expovariate(0.5)), 90, 600),
        "stream": True,
    }
    if rng.random() < 0.3:
        payload["stream_options"] = {"include_usage": True}
    if rng.random() < 0.4:
        payload["temperature"] = 0.7
    return payload, around(rng, 160, 0.7)


def classify(rng: random.Random) -> tuple[Payload, float]:
    messages = [system(640), {"role": "user", "content": text(around(rng, 380, 0.5))}]
    return {"messages": messages, "model": "m", "temperature": 0, "max_tokens": 64}, rng.choice(
        (2, 3, 3, 4, 5)
    )


def support(rng: random.Random) -> tuple[Payload, float]:
    messages = [system(rng.choice((1_140, 1_480))), *turns(rng, rng.choice((0, 0, 0, 1)), 2_600, 500)]
    payload = {"model": "m", "messages": messages, "stream": True, "temperature": 0.2, "max_tokens": 512}
    return payload, around(rng, 120, 0.4)


def code(rng: random.Random) -> tuple[Payload, float]:
    messages = [system(2_130), *turns(rng, rng.randint(0, 4), 420, 900)]
    payload = {"messages": messages, "model": "m", "max_completion_tokens": 2_048, "temperature": 0.1, "top_p": 0.95,
               "stream": True, "stream_options": {"include_usage": True}}  # fmt: skip
    return payload, around(rng, 320, 0.5)


def rewrite(rng: random.Random) -> tuple[Payload, float]:
    messages = [{"role": "user", "content": [{"type": "text", "text": text(around(rng, 260, 0.6))}]}]
    return {"model": "m", "messages": messages, "temperature": 0.3, "user": f"u{rng.randint(1, 30)}"}, around(
        rng, 70, 0.6
    )


def roleplay(rng: random.Random) -> tuple[Payload, float]:
    messages = [system(rng.choice((900, 1_320))), *turns(rng, rng.randint(2, 9), 150, 700)]
    payload = {"messages": messages, "model": "m", "temperature": 1.1, "top_p": 0.98, "top_k": 40, "min_p": 0.05,
               "repetition_penalty": 1.08, "max_tokens": 300, "stream": True, "stop": ["###"], "seed": 42}  # fmt: skip
    return payload, around(rng, 210, 0.3)


def facts(rng: random.Random) -> tuple[Payload, float]:
    payload: Payload = {"model": "m", "messages": [{"role": "user", "content": text(around(rng, 60, 0.4))}]}
    if rng.random() < 0.5:
        payload["temperature"] = rng.choice((0, 0.5, 1))
    return payload, around(rng, 25, 0.9)


def ping(rng: random.Random) -> tuple[Payload, float]:
    return {"model": "m", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}, 1


def tools(rng: random.Random) -> tuple[Payload, float]:
    payload, tokens = code(rng)
    return {**payload, "tools": [{"type": "function"}]}, tokens / 3


HABITS = (
    Habit(620, 20, 0.7, chat, session=3),
    Habit(420, 3, 0.8, classify),
    Habit(360, 11, 0.9, support),
    Habit(260, 15, 0.8, code, session=4),
    Habit(220, 10, 0.6, rewrite),
    Habit(260, 23, 0.8, roleplay, session=4),
    Habit(180, 14, 0.3, facts),
    Habit(35, 0, 0.0, ping),
    Habit(35, 15, 0.8, tools),
)


def moments(habit: Habit, days: int, rng: random.Random) -> Iterator[float]:
    """When such customers ask: sessions begin with the hour's rate, requests in one follow after a pause."""
    at_s, rate = 0.0, habit.daily / habit.session / DAY_S
    while at_s < days * DAY_S:
        at_s += rng.expovariate(rate * (1 + habit.concentration))
        hour = at_s % DAY_S / 3_600
        level = 1 + habit.concentration * math.cos((hour - habit.peak_hour) / 24 * math.tau)
        if rng.random() * (1 + habit.concentration) < level:
            moment = at_s
            for _ in range(1 + int(rng.expovariate(1 / habit.session)) if habit.session > 1 else 1):
                yield moment
                moment += around(rng, 90, 0.8)


def customers(days: int, rng: random.Random) -> list[Seen]:
    seen = []
    for habit in HABITS:
        for at_s in moments(habit, days, rng):
            payload, mean_tokens = habit.make(rng)
            limit = payload.get("max_tokens") or payload.get("max_completion_tokens") or 4_096
            seen.append(Seen(at_s, payload, max(1, min(limit, round(mean_tokens))), is_test=False))
    return sorted(seen, key=lambda one: one.at_s)


def answer_tokens(payload: Payload, rng: random.Random) -> int:
    """How long a model's answer to a dressed question gets: it follows what is asked for, not exactly."""
    content = payload["messages"][-1]["content"]
    asked = content if isinstance(content, str) else content[0]["text"]
    limit = payload.get("max_tokens") or payload.get("max_completion_tokens") or 4_096
    if wished := re.findall(r"(\d+) words", asked):
        tokens = around(rng, int(wished[-1]) * 1.33, 0.25)
    elif any(wish in asked for wish in phrasing.SENTENCE_WISHES):
        tokens = around(rng, 28, 0.3)
    elif phrasing.is_brief(asked) or any(wish in asked for wish in phrasing.BRIEF_WISHES):
        tokens = rng.choice((2, 3, 3, 4, 5))
    else:
        tokens = around(rng, 14, 0.4)
    return max(1, min(limit, round(tokens)))


def shapes_of(crowd: list[Seen]) -> list[tuple[float, Shape]]:
    found = ((one.at_s, Shape.of(one.payload, answer_tokens=one.answer_tokens)) for one in crowd)
    return [(at_s, shape) for at_s, shape in found if shape is not None]


def disguised(
    crowd: list[Seen],
    elsewhere: list[Seen],
    pairs: list[tuple[str, str]],
    *,
    days: int,
    mean_s: float,
    rng: random.Random,
) -> list[Seen]:
    """Tests from the second day on, with shapes of the last hour of another server's traffic."""
    shapes, times = shapes_of(elsewhere), [one.at_s for one in crowd]
    shape_times = [moment for moment, _ in shapes]
    at_s, seen = float(DAY_S), []
    while True:
        recent = [shape for _, shape in shapes[bisect(shape_times, at_s - 3_600) : bisect(shape_times, at_s)]]
        now, hour_ago, day_ago = (bisect(times, at_s - back_s) for back_s in (0, 3_600, DAY_S))
        busyness = 24 * (now - hour_ago) / max(1, now - day_ago)
        at_s += disguise.next_gap_s(mean_s, rng, busyness=busyness)
        if at_s >= days * DAY_S:
            return seen
        shape = rng.choice(recent or list(disguise.DEFAULT_SHAPES))
        wording = disguise.fitting([wording for wording, _ in rng.sample(pairs, 80)], shape, rng)
        payload = disguise.dress(wording, shape, others=rng.sample(pairs, 150), rng=rng)
        seen.append(Seen(at_s, payload, answer_tokens(payload, rng), is_test=True))


def naive(pairs: list[tuple[str, str]], *, days: int, every_s: float, rng: random.Random) -> list[Seen]:
    """Tests as one writes them first: in a rhythm, alone in their request, always with the same parameters."""
    seen = []
    for number in range(int(DAY_S / every_s), int(days * DAY_S / every_s)):
        wording, answer = rng.choice(pairs)
        payload = {
            "model": "m",
            "messages": [{"role": "user", "content": wording}],
            "temperature": 0,
            "max_tokens": 100,
        }
        seen.append(Seen(number * every_s, payload, len(answer) // 4 + 3, is_test=True))
    return seen


def features(seen: list[Seen]) -> list[list[float]]:
    """What can be told from each request of a server's traffic, in order, without reading its text."""
    rows: list[list[float]] = []
    known: dict[tuple[object, ...], int] = {}
    for n, one in enumerate(seen):
        payload, before = one.payload, seen[max(0, n - 5) : n]
        sizes = [
            len(m["content"] if isinstance(m["content"], str) else m["content"][0]["text"])
            for m in payload["messages"]
        ]
        has_system = payload["messages"][0]["role"] == "system"
        numbers = [float(payload.get(name) if payload.get(name) is not None else -1) for name in SAMPLERS]
        limit = payload.get("max_tokens") or payload.get("max_completion_tokens") or 0
        after = seen[n + 1].at_s if n + 1 < len(seen) else one.at_s + 60
        manner = (*payload, *numbers, limit, len(sizes), sizes[0] if has_system else 0)
        rows.append([
            one.at_s % DAY_S / 3_600, one.at_s - (before[-1].at_s if before else one.at_s - 60), after - one.at_s,
            one.at_s - (before[0].at_s if before else one.at_s), one.at_s % 600, one.at_s % 60,
            len(sizes), has_system, sizes[0] if has_system else 0, sizes[-1], sum(sizes), one.answer_tokens,
            one.answer_tokens / (sizes[-1] + 1), limit, payload.get("stream", False), "stream_options" in payload,
            "max_completion_tokens" in payload, "seed" in payload, payload.get("seed", -1), "user" in payload,
            "stop" in payload, "tools" in payload, isinstance(payload["messages"][-1]["content"], list),
            list(payload).index("model"), known.get(manner, 0), known.get((*manner, *sizes), 0), *numbers,
        ])  # fmt: skip
        for key in (manner, (*manner, *sizes)):
            known[key] = known.get(key, 0) + 1
    return rows
