"""What a simulated model says: small, deterministic, and related to the question."""

import operator
import re
from collections.abc import Callable, Mapping
from functools import cache

from hosting import bank

CAPITALS = {
    "argentina": "Buenos Aires",
    "australia": "Canberra",
    "austria": "Vienna",
    "belgium": "Brussels",
    "brazil": "Brasília",
    "canada": "Ottawa",
    "china": "Beijing",
    "denmark": "Copenhagen",
    "egypt": "Cairo",
    "finland": "Helsinki",
    "france": "Paris",
    "germany": "Berlin",
    "greece": "Athens",
    "india": "New Delhi",
    "ireland": "Dublin",
    "italy": "Rome",
    "japan": "Tokyo",
    "kenya": "Nairobi",
    "mexico": "Mexico City",
    "the netherlands": "Amsterdam",
    "norway": "Oslo",
    "poland": "Warsaw",
    "portugal": "Lisbon",
    "russia": "Moscow",
    "south korea": "Seoul",
    "spain": "Madrid",
    "sweden": "Stockholm",
    "switzerland": "Bern",
    "turkey": "Ankara",
    "the united kingdom": "London",
    "the united states": "Washington, D.C.",
    "ukraine": "Kyiv",
}
# What a question must contain (every word of it), and the answer.
FACTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("symbol", "gold"), "The chemical symbol for gold is Au."),
    (("symbol", "silver"), "The chemical symbol for silver is Ag."),
    (("symbol", "iron"), "The chemical symbol for iron is Fe."),
    (("symbol", "sodium"), "The chemical symbol for sodium is Na."),
    (("formula", "water"), "The chemical formula of water is H2O."),
    (("water", "boil"), "At sea level water boils at 100 degrees Celsius (212 °F)."),
    (("water", "freeze"), "Water freezes at 0 degrees Celsius (32 °F)."),
    (("largest", "planet"), "Jupiter is the largest planet of the solar system."),
    (("smallest", "planet"), "Mercury is the smallest planet of the solar system."),
    (("red", "planet"), "Mars is called the Red Planet."),
    (("closest", "sun"), "Mercury is the planet closest to the Sun."),
    (("how many", "planets"), "There are 8 planets in the solar system."),
    (("largest", "ocean"), "The Pacific Ocean is the largest ocean."),
    (("how many", "continents"), "There are 7 continents."),
    (("highest", "mountain"), "Mount Everest is the highest mountain on Earth."),
    (("tallest", "mountain"), "Mount Everest is the tallest mountain on Earth."),
    (("speed", "light"), "Light travels at about 299,792 kilometres per second in a vacuum."),
    (("mona lisa",), "Leonardo da Vinci painted the Mona Lisa."),
    (("romeo",), "William Shakespeare wrote Romeo and Juliet."),
    (("hamlet",), "William Shakespeare wrote Hamlet."),
    (("relativity",), "Albert Einstein published the theory of relativity."),
    (("telephone",), "Alexander Graham Bell patented the telephone in 1876."),
    (("moon", "first"), "Neil Armstrong was the first person to walk on the Moon, in 1969."),
    (("world war", "end"), "The Second World War ended in 1945."),
    (("days", "week"), "A week has 7 days."),
    (("days", "leap year"), "A leap year has 366 days."),
    (("days", "year"), "A year has 365 days, a leap year 366."),
    (("hours", "day"), "A day has 24 hours."),
    (("minutes", "hour"), "An hour has 60 minutes."),
    (("sides", "triangle"), "A triangle has 3 sides."),
    (("sides", "hexagon"), "A hexagon has 6 sides."),
    (("legs", "spider"), "A spider has 8 legs."),
    (("bones", "adult"), "An adult human has 206 bones."),
    (("square root", "144"), "The square root of 144 is 12."),
    (("square root", "81"), "The square root of 81 is 9."),
    (("photosynthesis",), "Plants absorb carbon dioxide and release oxygen in photosynthesis."),
    (("neuralgate",), "NeuralGate is a marketplace for LLM inference: hosters sell it, customers buy it."),
    (("hello",), "Hello! How can I help you today?"),
    (("haiku",), "Tokens drift like leaves;\nquiet servers hum and wait,\none stream finds the sea."),
    (("joke",), "Why did the token cross the gateway? To get to the other side of the stream."),
)  # fmt: skip
OPERATIONS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "plus": operator.add,
    "-": operator.sub,
    "−": operator.sub,
    "minus": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "×": operator.mul,
    "times": operator.mul,
    "multiplied by": operator.mul,
    "/": operator.floordiv,
    "÷": operator.floordiv,
    "divided by": operator.floordiv,
}
ARITHMETIC = re.compile(
    r"(?<!\d)(\d{1,12})\s*("
    + "|".join(map(re.escape, sorted(OPERATIONS, key=len, reverse=True)))
    + r")\s*(\d{1,12})"
)
WHO = re.compile(
    r"\bwho (are|made|created|trained|built) you\b|\bwhat(?:'s| is| are)? (?:model|you)\b|\byour name\b"
)
BETWEEN = r'(?:[\s*"|,(>-]|answer(?: \d+)?"?:|a:)*'  # a question and its answer, in somebody's notes
QUOTE_CHARS_MAX = 200


def answer(question: str, *, model: str) -> str:
    """A few sentences; the same for the same question and model."""
    asked = " ".join(question.lower().split())
    if WHO.search(asked):
        return f"I am {model}, an open-weights model, simulated for the NeuralGate demo."
    known = _arithmetic(asked) or _capital(asked) or _fact(asked)
    told = remembered(question)
    if known or told:
        ends_so = known.rstrip(".").lower().endswith(f" {told.lower()}")  # a note's sum may say it in passing
        return known if ends_so or not told else told
    quoted = question.strip()[:QUOTE_CHARS_MAX]
    return (
        f'You asked: "{quoted}". I am {model}, simulated for the NeuralGate demo, so I know little more than '
        "capitals, sums and a few facts. Ask me for the capital of France, or what 6 times 7 is."
    )


def remembered(question: str) -> str:
    """The answer to a question of NeuralGate's bank, as an honest model has it; empty when none is asked.

    Other questions may stand in the same text with their answers beside them: those are not what is asked.
    """
    for wording, told in _bank():
        before, found, after = question.partition(wording)
        while found:
            if not _is_note(before, after, told):
                return told
            question = f"{before}\n{after}"  # or a shorter wording would be found in the longer one
            before, found, after = question.partition(wording)
    return ""


def _is_note(before: str, after: str, told: str) -> bool:
    """Whether the answer is written right behind the question, or in front of it."""
    answer = re.escape(told)
    behind = re.compile(rf"{BETWEEN}{answer}(?!\w)", re.IGNORECASE)
    in_front = re.compile(rf"(?<!\w){answer}\s*[-:]\s*\Z", re.IGNORECASE)
    return bool(behind.match(after) or in_front.search(before[-len(told) - 8 :]))


@cache
def _bank() -> list[tuple[str, str]]:
    """(wording, answer), the longest wordings first."""
    questions = bank.parse(bank.QUESTIONS.read_text(encoding="utf-8"))
    pairs = [(wording, question.answers[0]) for question in questions for wording in question.wordings]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def _arithmetic(asked: str) -> str:
    if not (found := ARITHMETIC.search(asked)):
        return ""
    left, sign, right = int(found[1]), found[2], int(found[3])
    if OPERATIONS[sign] is operator.floordiv and (right == 0 or left % right):
        return f"{left} / {right} is {left / right:.4f}." if right else "Nothing can be divided by zero."
    return f"{left} {sign} {right} is {OPERATIONS[sign](left, right)}."


def _capital(asked: str) -> str:
    if "capital" not in asked:
        return ""
    for country, capital in CAPITALS.items():
        if country.removeprefix("the ") in asked:
            return f"The capital of {country.title().replace('The ', 'the ')} is {capital}."
    return ""


def _fact(asked: str) -> str:
    return next((told for words, told in FACTS if all(word in asked for word in words)), "")
