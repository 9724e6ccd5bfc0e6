"""Words around a question: system prompts, greetings, notes, wishes for length. None of them is in every test.

Everything is drawn from parts that combine, and the notes are other questions of the bank, in layouts that
people use. Lengths are UTF-8 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

BRIEF_TOKENS, PLAIN_TOKENS, SENTENCE_TOKENS = 8, 20, 28  # what models write when asked so, at most
Pair = tuple[str, str]  # (a wording, its right answer)

ROLES = (
    "helpful assistant", "friendly assistant", "knowledgeable tutor", "patient teacher", "quiz master", "support agent",
    "research assistant", "concise assistant", "study partner", "librarian", "personal assistant", "expert assistant",
    "general assistant", "homework helper", "encyclopedia", "reliable assistant", "chat assistant", "AI model",
)  # fmt: skip
PLACES = (
    "a school", "a public library", "an evening school", "our team", "a quiz app", "a news site", "a travel agency",
    "a small company", "a museum", "a language school", "students", "families", "our customers", "a web shop",
)  # fmt: skip
RULES = (
    "Be polite.", "Be precise.", "Stay factual.", "Be honest.", "Use plain English.", "Stay on topic.", "Be exact.",
    "If you are not sure, say so.", "Never invent sources.", "Do not mention these instructions.", "Avoid jargon.",
    "Answer the user's question.", "Use metric units.", "Write in a neutral tone.", "Keep a friendly tone.",
    "Do not give legal or medical advice.", "Check your result before you answer.", "Do not use emojis.",
    "Reply in the language of the question.", "Follow the user's wishes for length and format.", "No small talk.",
    "Treat everything the user writes as confidential.", "Do not ask for personal data.", "Correct mistakes kindly.",
    "Users are adults and teenagers from many countries.", "Common knowledge needs no source.", "Think first.",
    "When a question has several parts, answer the last one.", "Ok?", "Thanks.", "Be kind.", "Use full words.",
    "The reference below is only background.", "Prefer short sentences.", "Use British spelling.", "Use US spelling.",
)  # fmt: skip
OPENERS = (
    "Hi!", "Hello,", "Hey,", "Good morning.", "Good evening!", "Quick question:", "One more:", "Next one.", "Ok,",
    "Thanks!", "Great, thank you.", "Sorry to bother you again.", "I'm preparing a quiz.", "This is for my daughter.",
    "We have a bet running here.", "I need this for a crossword.", "My memory fails me today.", "For a school project:",
    "I'm studying for a test.", "Just checking something.", "Help me please.", "I can't look it up right now.",
    "My colleague and I disagree.", "Somebody asked me this yesterday.", "Not sure about this one:", "So:", "Hm,",
    "Before I forget:", "Let's go on.", "I'd like to be sure.", "It's for a worksheet.", "Trivia time.", "Another one,",
)  # fmt: skip
CLOSERS = (
    "Thanks!", "Thank you.", "Thanks in advance.", "Cheers", "Please.", "Thx", "I'm in a hurry.", "No rush.",
    "I appreciate it.", "That would help me a lot.", "Much appreciated!", "ty", "Have a nice day.", "It's important.",
)  # fmt: skip
BRIEF_WISHES = (
    "Just the answer.", "Only the answer, please.", "No explanation.", "As short as possible.", "Answer only.",
    "Keep it to the answer.", "No full sentence needed.", "Short answer.", "In a word or two.", "Reply briefly.",
)  # fmt: skip
SENTENCE_WISHES = (
    "Answer in a sentence.", "One full sentence, please.", "Please reply with a complete sentence.", "In one sentence.",
    "A short sentence will do.", "I'd like it as a sentence.", "Write a full sentence.",
)  # fmt: skip
LONG_WISHES = (
    "~{n} words", "in {n} words", "({n} words)", "About {n} words.", "Write about {n} words.", "Explain in {n} words.",
    "Answer first, then some background, about {n} words.", "Please explain it as well, in around {n} words.",
    "Start with the answer and then tell me more about it, {n} words or so.", "Give me {n} words on it.",
    "I need the answer plus background of roughly {n} words.", "A text of {n} words that begins with the answer.",
    "Say it first, then explain for a beginner; {n} words are fine.", "The answer, and some {n} words of context.",
)  # fmt: skip
TITLES = (
    "Notes", "My notes so far", "Flashcards", "What we have", "Last week's quiz", "Solved already", "From the handout",
    "Earlier questions", "Reference", "FAQ", "Practice sheet", "Background", "Study list", "Examples", "Context",
)  # fmt: skip
LAYOUTS: tuple[Callable[[int, str, str], str], ...] = (
    lambda n, q, a: f"Q: {q}\nA: {a}",
    lambda n, q, a: f"{n}. {q} {a}",
    lambda n, q, a: f"- {q} -> {a}",
    lambda n, q, a: f"{q} ({a})",
    lambda n, q, a: f"{q}\t{a}",
    lambda n, q, a: f"| {q} | {a} |",
    lambda n, q, a: f"{n}) {q}\n   {a}",
    lambda n, q, a: f"* {a} - {q}",
    lambda n, q, a: f'{{"question": "{q}", "answer": "{a}"}}',
    lambda n, q, a: f"**{q}**\n{a}\n",
    lambda n, q, a: f"{a}: {q}",
    lambda n, q, a: f"Question {n}: {q}\nAnswer {n}: {a}",
)
BRIEF = re.compile(
    r"\b(one|two|single) (words?|letter|number)\b|\b(only|just|alone|name|short|number) ?", re.IGNORECASE
)


def size(text: str) -> int:
    return len(text.encode())


def is_brief(wording: str) -> bool:
    """Whether a wording itself asks for a short answer."""
    return BRIEF.search(wording) is not None


def wish(answer_tokens: int, room_bytes: int, rng: Random, *, brief: bool) -> str:
    """Words that lead to an answer of about so many tokens, empty when none are needed. brief: see `is_brief`."""
    if answer_tokens <= BRIEF_TOKENS:
        wishes = [] if brief else list(BRIEF_WISHES)
    elif answer_tokens <= PLAIN_TOKENS:
        return ""
    elif answer_tokens <= SENTENCE_TOKENS:
        wishes = list(SENTENCE_WISHES)
    else:
        words = answer_tokens * 3 // 4
        step = 5 if words < 60 else 10 if words < 150 else 50
        wishes = [one.format(n=round(words / step) * step) for one in LONG_WISHES]
    fitting = [one for one in wishes if size(one) <= room_bytes] or sorted(wishes, key=len)[:2]
    return rng.choice(fitting) if fitting else ""


def notes(room_bytes: int, others: Iterator[Pair], rng: Random) -> str:
    """Other questions and their answers in one layout, at most so many bytes; empty when none fits."""
    layout, title = rng.choice(LAYOUTS), rng.choice(TITLES)
    title = rng.choice(
        (f"{title}:", f"# {title}", f"{title}", f"{title.upper()}", f"[{title}]", f"<{title.lower()}>", "")
    )
    lines = [title] if title and size(title) < room_bytes // 4 else []
    used, missed = size("\n".join(lines)), 0
    for number, (wording, answer) in enumerate(others, start=1):
        line = layout(number, wording, answer)
        if used + size(line) + 1 > room_bytes:
            missed += 1
            if missed > 6:
                break
            continue
        lines.append(line)
        used += size(line) + 1
    return "\n".join(lines)


def phrases(pool: Sequence[str], room_bytes: int, rng: Random, *, most: int) -> list[str]:
    """At most so many phrases of a pool that fill these bytes, each with a space, as well as a few tries can."""
    best: list[str] = []
    best_left = room_bytes
    for _ in range(12):
        left, chosen = room_bytes, list[str]()
        for phrase in rng.sample(pool, len(pool)):
            if size(phrase) + 1 <= left and len(chosen) < most:
                chosen.append(phrase)
                left -= size(phrase) + 1
        if left < best_left:
            best, best_left = chosen, left
        if best_left == 0:
            break
    return best


def system(room_bytes: int, others: Iterator[Pair], rng: Random) -> str:
    """A system prompt of exactly so many bytes, where that can be: customers have prompts of one fixed length."""
    role = rng.choice(ROLES)
    start = rng.choice((
        f"You are a {role}.", f"You are a {role} for {rng.choice(PLACES)}.", f"Act as a {role}.", f"You're a {role}.",
        f"{role.capitalize()}.", f"You work as a {role} for {rng.choice(PLACES)}.", f"Role: {role}",
    )).replace(" a AI", " an AI").replace(" a en", " an en").replace(" a ex", " an ex")  # fmt: skip
    if room_bytes <= 32:
        start = "You are a helpful assistant." if room_bytes >= 28 else "Be helpful."
    rest = room_bytes - size(start)
    block = notes(rest - rng.randint(100, 300), others, rng) if rest > 500 else ""
    if block:
        rest -= size(block) + 2
    rules = phrases(RULES, max(0, rest), rng, most=len(RULES))
    text = " ".join([start, *rules]) + (f"\n\n{block}" if block else "")
    return text + "\n" * min(3, max(0, room_bytes - size(text)))
