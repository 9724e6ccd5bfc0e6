"""Dress a question of the bank as a customer's request, so that no server can tell the two apart.

What a server can compare are parameters, sizes, times and how long its answers get. All of them are taken from
customers: `Shape` keeps them, without a word of what was said. For this to hold, the caller

- takes shapes at random from the last hour's traffic (of other servers: an exact repetition would be a sign), since
  what customers do changes with the hour, and `DEFAULT_SHAPES` only where there is no traffic;
- sends single tests after `next_gap_s`, with the hour's `busyness`, never a round at once or in a rhythm;
- sends them on the normal path, and puts the name of the model into the payload.

A server can still tell a customer's request from a test where no test can look like it (`Shape.of` is None), and
one that reads the text itself may learn the bank: the operator's own questions are the answer to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hosting import phrasing
from hosting.phrasing import Pair
from hosting.shapes import DRAWN, SEED_MAX
from hosting.shapes import Shape as Shape

if TYPE_CHECKING:
    from random import Random

FRAME_BYTES_MAX = 120  # above, a message is filled with notes
BUSYNESS_MIN, BUSYNESS_MAX = 0.1, 10.0
CHOICE_OF = 5  # wordings that fit best

DEFAULT_SHAPES: tuple[Shape, ...] = tuple(
    Shape(sizes, ("model", "messages", *given), **values)
    for sizes, given, values in (
        ((60,), (), {"answer_tokens": 30}),
        ((140,), ("stream",), {"stream": True, "answer_tokens": 180}),
        ((28, 75), ("temperature",), {"system": True, "temperature": 0.7, "answer_tokens": 60}),
        ((28, 90), ("stream",), {"system": True, "stream": True, "answer_tokens": 120}),
        ((28, 55, 210, 60), ("stream", "temperature"),
         {"system": True, "stream": True, "temperature": 0.7, "answer_tokens": 90}),
        ((45, 160, 40, 320, 80), ("stream",), {"stream": True, "answer_tokens": 150}),
        ((420, 260), ("temperature", "max_tokens"),
         {"system": True, "temperature": 0, "limit_field": "max_tokens", "max_tokens": 256, "answer_tokens": 12}),
        ((700, 1_900), ("max_tokens", "temperature"),
         {"system": True, "temperature": 0.2, "limit_field": "max_tokens", "max_tokens": 512, "answer_tokens": 110}),
        ((1_200, 4_100), ("temperature", "stream", "stream_options"),
         {"system": True, "temperature": 0.1, "stream": True, "include_usage": True, "answer_tokens": 160}),
        ((300, 90, 450, 120), ("temperature", "top_p", "max_tokens", "stream"),
         {"system": True, "temperature": 0.8, "top_p": 0.95, "limit_field": "max_tokens", "max_tokens": 1_024,
          "stream": True, "answer_tokens": 200}),
        ((110,), ("max_completion_tokens",),
         {"limit_field": "max_completion_tokens", "max_tokens": 1_000, "answer_tokens": 70}),
        ((85,), ("temperature", "seed"), {"temperature": 0, "seed": 42, "answer_tokens": 10}),
    )
)  # fmt: skip


def fitting(wordings: Sequence[str], shape: Shape, rng: Random) -> str:
    """One of the wordings that suit a shape best: the length of its last message and of its answer.

    Give it the wordings of many questions: a request of 20 bytes is imitated by a question of 20 bytes.
    """
    wants_brief = shape.answer_tokens is not None and shape.answer_tokens <= phrasing.BRIEF_TOKENS
    wants_long = shape.answer_tokens is not None and shape.answer_tokens > phrasing.SENTENCE_TOKENS
    room = shape.sizes[-1] - (30 if wants_long else 0)

    def misfit(wording: str) -> float:
        length = phrasing.size(wording)
        off = length - room if length > room else min(room - length, 40) / 4
        brief = phrasing.is_brief(wording)
        return off + (25 if brief and not wants_brief else 10 if wants_brief and not brief else 0)

    return rng.choice(sorted(rng.sample(wordings, len(wordings)), key=misfit)[:CHOICE_OF])


def dress(wording: str, shape: Shape, *, others: Sequence[Pair], rng: Random) -> dict[str, Any]:
    """A chat payload like the shape that asks this question in its last message; `model` is left empty.

    others: (wording, right answer) of other questions, of which earlier turns and background are made; at
    least 100 for prompts of 16 KiB. Sizes come within a tenth where the text allows, a system prompt's exactly.
    """
    # only ASCII in what is made up, so that characters, bytes and tokens keep their usual proportions
    usable = [pair for pair in others if pair[0] != wording and "".join(pair).isascii()]
    supply = _endless(usable or [("1 + 1 = ?", "2")], rng)
    messages = []
    turns = list(shape.sizes)
    if shape.system:
        messages.append(("system", phrasing.system(turns.pop(0), _some(supply), rng)))
    for user_bytes, assistant_bytes in zip(turns[:-1:2], turns[1::2], strict=True):
        asked, answered = _exchange(user_bytes, assistant_bytes, supply, rng)
        messages += [("user", asked), ("assistant", answered)]
    messages.append(("user", _last(wording, shape, supply, rng)))
    dressed = [{"role": role, "content": _content(text, shape)} for role, text in messages]
    values = {
        "model": "",
        "messages": dressed,
        "stream": shape.stream,
        "stream_options": {"include_usage": shape.include_usage},
        "seed": rng.randrange(SEED_MAX, 2**31) if shape.seed == DRAWN else shape.seed,
        "user": f"user-{rng.randint(1, 40)}",
        "stop": shape.stop[0] if len(shape.stop) == 1 else list(shape.stop),
        "n": 1,
        shape.limit_field: shape.max_tokens,
    }
    return {field: values[field] if field in values else getattr(shape, field) for field in shape.fields}


def next_gap_s(mean_s: float, rng: Random, *, busyness: float = 1.0) -> float:
    """Seconds to the next test of a server: exponential, so that no rhythm and no pause tells anything.

    busyness: requests of the last hour divided by the mean of the day's hours. Tests come when customers do;
    at a steady rate most requests of a quiet night would be tests.
    """
    return rng.expovariate(1 / mean_s) / min(BUSYNESS_MAX, max(BUSYNESS_MIN, busyness))


def _last(wording: str, shape: Shape, supply: Iterator[Pair], rng: Random) -> str:
    target = _near(shape.sizes[-1], rng)
    text = wording
    if shape.answer_tokens is not None:
        room = target - phrasing.size(wording) - 1
        was_cut = shape.max_tokens is not None and shape.answer_tokens >= shape.max_tokens
        tokens = 2 * shape.answer_tokens if was_cut else shape.answer_tokens
        wish = phrasing.wish(tokens, room, rng, brief=phrasing.is_brief(wording))
        text = f"{wording} {wish}".strip()
    return _fill(text, target, supply, rng)


def _exchange(user_bytes: int, assistant_bytes: int, supply: Iterator[Pair], rng: Random) -> tuple[str, str]:
    """An earlier question and its answer, of about these lengths."""
    asked, answer = min(_some(supply, 12), key=lambda pair: abs(phrasing.size(pair[0]) - user_bytes))
    target = _near(assistant_bytes, rng)
    sentence = rng.choice(("{}", "{}.", "It's {}.", "The answer is {}.", "That's {}.", "**{}**")).format(
        answer
    )
    room = target - phrasing.size(sentence)
    if room > 60:
        sentence += "\n\n" + phrasing.notes(room - 2, _some(supply), rng)
    return _fill(asked, _near(user_bytes, rng), supply, rng), sentence.strip()


def _fill(text: str, target: int, supply: Iterator[Pair], rng: Random) -> str:
    """A question with words before, after or around it, up to about so many bytes."""
    room = target - phrasing.size(text)
    if room > FRAME_BYTES_MAX:
        block = phrasing.notes(room - rng.randint(20, 90), _some(supply), rng)
        text = f"{block}\n\n{text}" if rng.random() < 0.85 else f"{text}\n\n{block}"
        room = target - phrasing.size(text)
    before = phrasing.phrases(phrasing.OPENERS, room, rng, most=2)
    room -= sum(phrasing.size(one) + 1 for one in before)
    return " ".join([*before, text, *phrasing.phrases(phrasing.CLOSERS, room, rng, most=1)])


def _content(text: str, shape: Shape) -> str | list[dict[str, str]]:
    return [{"type": "text", "text": text}] if shape.parts else text


def _near(size_bytes: int, rng: Random) -> int:
    return round(size_bytes * rng.uniform(0.93, 1.07))


def _endless(pairs: Sequence[Pair], rng: Random) -> Iterator[Pair]:
    """Each pair once in a random order, and again."""
    while True:
        yield from rng.sample(pairs, len(pairs))


def _some(supply: Iterator[Pair], count: int = 400) -> Iterator[Pair]:
    return (next(supply) for _ in range(count))
