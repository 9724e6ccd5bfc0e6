"""Is this query simple? For `model="auto"`: a simple one goes to the operator's own server, free of charge.

Simple is one short question for a fact, or a small rewrite: a single turn without code, tools, images or a long
context. Some signs exclude it; the others are weighed, and what does not clearly weigh enough goes to a hoster. A
hard query on a small model is a bad answer, a simple one on a hoster's costs a fraction of a cent.
"""

import re
from typing import Any

from routing.wire import CHAT, Call

CHARS_MAX = 300  # of the question
CONTEXT_BYTES_MAX = 1_600  # of everything, with a system prompt
SIMPLE_AT = 1.5  # the margin: between 0 and this a query is rather simple, and still not taken for it

WORD = re.compile(r"[^\W\d_]+")
ARITHMETIC = re.compile(r"[\d\s.,+\-*/x×÷%()=?]*\d[\d\s.,+\-*/x×÷%()=?]*")
CODE = re.compile(
    r"```|[{}^]|;\s*$|=>|\(\)|\\[.bdsw]|</\w+>|#include|--|\w\.\w{2,4}\b|error:|\bselect\b.+\bfrom\b"
    r"|\b(?:def|class|import|select|function|var|const) \w+[^.?!]*[(*=:]",
    re.IGNORECASE | re.MULTILINE,
)
AND_MORE = re.compile(
    r"\b(?:and|then|und|et|y) (?:what|how|why|who|when|then|explain|wie|warum|pourquoi)\b", re.IGNORECASE
)
QUOTED = re.compile(r"[:\"“”„«»\d]")  # what a small change is to be made to


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


POLITE = _set(
    "please hi hello hey ok okay so well quick question can could would you tell give me i forgot the an bitte "
    "kannst du mir sagen por favor puedes decirme"
)
FACT = _set(
    "what whats who whos whose when where wheres which name define is are was were does did do at in on wer "
    "wann wo welche welcher welches ist sind hat nenne quel quelle quels quelles qui où quand combien est cuál "
    "cuántos cuántas cuánto quién dónde cuándo qué en hello hi thanks thank thx"
)
YES_NO = _set("is are was were does did do ist sind hat est")
WHAT = _set("what was which welche quels quelles qué")
PLURAL = _set("are were sind sont son makes kind kinds sort")  # what comes after it then
EDIT = _set(
    "fix correct rephrase reword shorten uppercase lowercase capitalize rewrite translate spell convert make "
    "put turn change remove replace say korrigiere übersetze corrige traduis traduce"
)
HOW = _set("how wie comment cómo")
AMOUNT = _set(
    "many much old tall long far high big deep heavy fast large often viele viel alt hoch lang weit heißt groß "
    "oft"
)
DICTIONARY = _set(
    "mean means synonym opposite antonym plural singular abbreviation spell spelling grammar tense called stand "
    "stands word polite passive sentence capital currency author wrote painted invented discovered born died "
    "symbol population language date bedeutet heißt hauptstadt geboren capitale pluriel peint escribió"
)
REASONING = _set(
    "why how should would could würde right warum weshalb wieso pourquoi comment cómo por pros cons difference "
    "differences versus vs impact effect effects implications influence consequences causes reasons factors "
    "strategies tips ideas ways benefits advantages disadvantages drawbacks importance role achieve happen "
    "happened improve consider choose recommend vorteile nachteile unterschied avantages idées ventajas opinion "
    "think believe opinas penses meinst denkst good better best bad worth feel help wrong life love happiness "
    "society future universe god moral ethical more most less caused cause causing healthy harmful safe advice "
    "halten consejos just fair influential we us our my your mein meine mon ma mes mi some main key about under "
    "conditions makes work works"
)
TASK = _set(
    "analyze analyse analyzing analysis summarize summarise summary explain explanation compare comparison "
    "describe discuss evaluate critique review write draft compose create generate design develop build plan "
    "outline propose suggest brainstorm implement refactor debug optimize optimise prove derive solve integral "
    "argue imagine pretend act interpret estimate extract essay story poem song rap haiku speech email recipe "
    "report strategy overview detail detailed depth steps examples script function query bug regex teach walk "
    "guide show argument arguments feedback quiz schedule list pitch article paragraph style analysiere erkläre "
    "schreibe schreib fasse vergleiche erstelle entwirf aufsatz gedicht bewerbung zusammen explique rédige "
    "résume écris décris lettre explica escribe analiza resume haz compara ensayo cuento python java javascript "
    "rust sql css html linux docker"
)

# a logistic regression on the queries of tests/data/queries.tsv that are marked for it, rounded
BIAS = 0.2
WEIGHTS = (
    2.3,  # starts like a question for a fact
    -1.1,  # is a question for yes or no, or for several things
    1.7,  # starts like a wish for a small change, of a text that is given
    0.7,  # has a word of such questions: capital, synonym, plural
    -3.0,  # each word that asks for reasons, an opinion or advice
    -2.5,  # each word that asks for more than a fact: analyze, summarize, write
    -1.5,  # each four words above eight
    -0.4,  # a second question: and why, and how
)


def is_simple(call: Call) -> bool:
    """Whether a small model surely answers this call well. In doubt: no."""
    if (
        call.endpoint != CHAT
        or call.choices > 1
        or call.prompt_bytes > CONTEXT_BYTES_MAX
        or call.payload.get("tools")
        or call.payload.get("functions")
        or call.payload.get("response_format")
    ):
        return False
    asked = [
        message for message in call.payload["messages"] if message["role"] not in ("system", "developer")
    ]
    if len(asked) != 1 or asked[0]["role"] != "user":
        return False
    text: Any = asked[0].get("content")
    return isinstance(text, str) and 0 < len(text) <= CHARS_MAX and score(text) >= SIMPLE_AT


def signs(text: str) -> tuple[float, ...]:
    """What speaks for and against a simple query, in the order of WEIGHTS."""
    words = WORD.findall(text.lower())
    first = 0
    while first < len(words) - 1 and words[first] in POLITE:
        first += 1
    start, after = words[first] if words else "", words[first + 1] if first + 1 < len(words) else ""
    bag = set(words)
    amount = start in HOW and (after in AMOUNT or "say" in bag or "spell" in bag)
    return (
        amount or start in FACT or start in DICTIONARY or ARITHMETIC.fullmatch(text) is not None,
        start in YES_NO or (start in WHAT and after in PLURAL),
        start in EDIT and (len(words) <= 4 or QUOTED.search(text) is not None),
        not DICTIONARY.isdisjoint(bag),
        len(bag & REASONING) - (start in REASONING and amount),
        len(bag & TASK),
        max(0, len(words) - 8) / 4,
        AND_MORE.search(text) is not None,
    )


def score(text: str) -> float:
    """How simple a question is, in log odds; above 0 rather simple."""
    if CODE.search(text):
        return float("-inf")
    return BIAS + sum(weight * sign for weight, sign in zip(WEIGHTS, signs(text), strict=True))
