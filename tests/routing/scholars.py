"""Simulated servers that know the bank, or do not; and that count tokens as they are, or as they like."""

import json
import zlib
from collections.abc import AsyncIterator, Callable

from neuralgate.demo.answers import remembered
from tests import fakes

WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "seven",
    "clever",
    "owls",
    "watch",
    "from",
    "an",
    "old",
    "oak",
    "tree",
]

Say = Callable[[str, int], str]  # (what was asked last, a number that the request determines) -> answer


def knowing(share: float = 1.0) -> Say:
    """Answers this share of the questions right, and says that it does not know to the rest."""

    def say(asked: str, number: int) -> str:
        right = remembered(asked)
        return right if right and number % 100 < share * 100 else "I am not sure about that."

    return say


def canned(asked: str, number: int) -> str:
    return "As a helpful assistant I would be glad to talk about that with you. Please tell me more."


def chatting(asked: str, number: int) -> str:
    """A text of 40 to 120 words that depends on the request."""
    return " ".join(WORDS[(number >> n % 16) % len(WORDS)] for n in range(40 + number % 80))


def server(say: Say, *, claim: Callable[[int], int] = lambda tokens: tokens) -> fakes.Script:
    """Speaks OpenAI's API, streamed and not. claim: what it says of a true number of tokens."""

    async def script(request: fakes.Request) -> AsyncIterator[bytes]:
        content = request.body["messages"][-1]["content"]
        asked = content if isinstance(content, str) else content[0]["text"]
        number = zlib.crc32(json.dumps(request.body).encode())
        text = say(asked, number)
        usage = (claim(len(asked) // 4 + 8), claim(round(len(text) / 4.3) + number % 3))
        async for piece in fakes.model(text, usage=usage)(request):
            yield piece

    return script
