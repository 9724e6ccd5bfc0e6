"""Is this query simple? For `model="auto"`: a simple one goes to the operator's own server, free of charge.

Simple is one short question for a fact, or a small rewrite: a single turn without code, tools, images or a long
context. Some signs exclude it; the others are weighed, and what does not clearly weigh enough goes to a hoster. A
hard query on a small model is a bad answer, a simple one on a hoster's costs a fraction of a cent.
"""

import re
from typing import Any

from routing.calls import CHAT, Call

CHARS_MAX = 300  # of the question
CONTEXT_BYTES_MAX = 1_600  # of everything, with a system prompt
SIMPLE_AT = 1.5  # the margin: between 0 and this a query is rather simple, and still not taken for it

WORD = re.compile(r"[^\W\d_]+")
FILLER = re.compile(
    r"['’]s\b|\bi(?: was|['’]?m| am)(?: just)? (?:wondering|curious)\b|\bi hope you are well\b|\bpor favor\b"
)
CODE = re.compile(
    r"```|[{}^]|;\s*$|=>|\(\)|\w\([\"'\d]|\\[.bdsw]|</\w+>|#include|--|\w\.[a-z]{2,4}\b|error:"
    r"|\bselect\b.+\bfrom\b|\b(?:def|class|import|select|function|var|const) \w+[^.?!]*[(*=:]",
    re.IGNORECASE | re.MULTILINE,
)
AND_MORE = re.compile(
    r"\b(?:and|then|und|et|y) (?:how(?! (?:many|much|old|tall|long|far|high|big)\b)|why|then|explain|wie|warum"
    r"|pourquoi)\b",
    re.IGNORECASE,
)
QUOTE = re.compile(r"\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»")
DIGIT = re.compile(r"\d")
CLAUSE = re.compile(r"[.,:;!?]\s+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


POLITE = _set(
    "please pls plz hi hello hey yo hiya ok okay so well um sorry excuse quick short dumb silly stupid random "
    "question but can could would will you u do does anyone know remind tell give me i need want just kindly "
    "forgot whether if wondering the a an another some one two three four five ten good morning evening "
    "afternoon hallo guten tag moin bitte kannst könntest können sie du mir sagen weißt mal kurze frage bonjour "
    "salut peux tu pouvez pourriez vous me dire svp s il te plaît hola buenas puedes podrías decirme"
)
FACT = _set(
    "what whats wat who whos whose when whens where wheres which wich name define wer wen wem wann wo woher welche "
    "welcher welches welchen welchem nenne quel quelle quels quelles qui où quand combien qu cuál cual cuáles "
    "cuántos cuántas cuánto cuánta cuantos cuantas cuanto quién quien quiénes dónde donde cuándo cuando qué que"
)
FACT_PAIRS = frozenset(
    {("was", verb) for verb in ("ist", "sind", "war", "heißt", "bedeutet", "kostet")}
    | {("list", "the"), ("c", "est")}
)
GREETING = _set("hello hi hey thanks thank thx hallo danke bonjour merci hola gracias")
BEFORE = _set("at in on from to of for by since im seit aus von auf à en de dans a")  # in which year
WHAT = _set("what whats was which welche quels quelles qué")
PLURAL = _set("are were sind sont son makes can kind kinds sort")  # what comes after it then
EDIT = _set(
    "fix correct rephrase reword paraphrase shorten simplify uppercase lowercase capitalize punctuate proofread "
    "spellcheck rewrite translate spell convert make put turn change replace remove add delete say swap conjugate "
    "korrigiere korrigier berichtige verbessere übersetze übersetz kürze formuliere setze corrige corrigez "
    "traduis traduisez traduire reformule mets raccourcis traduce traduzca traducir corrija reformula cambia pon"
)
EDIT_OF_A_WORD = _set(
    "translate spell convert uppercase lowercase capitalize conjugate übersetze traduis traduce"
)
HOW = _set("how hwo wie comment cómo como")
SAY = _set(
    "say spell pronounce pronounced spelled spelt called heißt sagt schreibt dit dire écrit dice escribe llama"
)
AMOUNT = _set(
    "many much old tall long far high big deep heavy fast large often wide hot cold small late early "
    "viel viele alt hoch lang weit heißt heißen groß oft "
    "schwer tief schnell lautet"
)
VALUE = _set(  # of what: a question without a verb
    "value meaning definition number atomic formula chemical scientific boiling freezing melting headquarters "
    "author date year symbol height distance length size weight age birthday birthplace area country dialing "
    "calling zip postal translation name inventor founder director writer painter singer composer winner "
    "president king queen ceo comparative superlative adjective noun verb past roman binary national official "
    "first last hauptstadt bedeutung einwohnerzahl übersetzung währung autor capitale monnaie date année "
    "traduction définition auteur capital moneda autor fecha traducción significado sinónimo"
)
OF = _set("of for in on to from between von für in auf de du des d en para")
SUM = _set(  # what arithmetic and conversions are made of
    "plus minus times x by divided over percent percentage of the square cube root sqrt squared cubed power "
    "factorial log round to in into as a an is are equals equal how many much what convert half double two three "
    "decimal decimals fraction places place number numeral numerals roman binary hex hexadecimal mal durch "
    "geteilt hoch prozent wurzel von aus sind ist gleich wie viel viele fois divisé par combien font de en por "
    "entre cuánto es km kilometers kilometres m meter meters metres cm mm mile miles mph kmh feet foot ft inch "
    "inches yard yards kg kilo kilos g gram grams gramm lb lbs pound pounds oz ounce ounces stone ton tons liter "
    "liters litre litres l ml gallon gallons pint pints cup cups tablespoon tablespoons teaspoon teaspoons tbsp "
    "tsp celsius fahrenheit kelvin c f degrees grad day days week weeks month months year years hour hours minute "
    "minutes min second seconds stunden minuten sekunden tage kb mb gb tb bits bytes usd eur dollar dollars euro "
    "euros cents acres hectares watts"
)
DICTIONARY = _set(
    "mean means synonym synonyms opposite antonym antonyms plural singular abbreviation acronym spell spelling "
    "spelled grammar punctuation commas tense called stand stands word polite politer passive formal sentence "
    "capital currency author wrote written painted invented discovered founded directed born died symbol "
    "population language date year rhymes pronounced bedeutet heißt hauptstadt geboren gestorben erfunden "
    "gegründet jahr capitale pluriel peint écrit mort né année escribió pintó capital nació murió año plural"
)
REASONING = _set(
    "why y how should shoud would could might würde right warum weshalb wieso pourquoi comment cómo por pros cons "
    "difference differences diff versus vs impact effect effects implications influence consequences causes "
    "reasons factors strategies tips idea ideas ways way benefits advantages disadvantages drawbacks importance "
    "important role achieve happen happens happened improve consider choose recommend recommendations vorteile "
    "nachteile unterschied avantages inconvénients différence idées diferencia ventajas desventajas opinion "
    "think believe opinas piensas penses meinst denkst hältst good better best greatest worst bad worth feel "
    "help wrong life love happiness justice truth consciousness society future universe god moral morality "
    "ethical less caused cause causing healthy harmful safe advice besser beste besten mejor peor meilleur "
    "meilleure mieux soll sollte sollten sollen dois devrais debería debo conviene halten consejos conseils just "
    "fair influential we our my your mein meine mon ma mes mi some main themes lessons learn key about under "
    "conditions makes work works blame responsible probability likely chance chances odds fit win if like suppose "
    "lead led invest suggestions names loss beginners decision choice significance significant argument "
    "theory philosophy decide decision faire hacer machen tun wir uns unser funktioniert fonctionne funciona"
)
# these say nothing in a sentence before the question
CALM = _set("good like if my mon ma mi we our some about right just work")
TASK = _set(
    "analyze analyse analyzing analysis summarize summarise summary explain explanation explane compare comparison "
    "contrast describe discuss evaluate assess critique review write draft compose create generate design develop "
    "build plan outline propose suggest brainstorm implement refactor debug optimize optimise prove proof derive "
    "derivative solve integral integrate eigenvalues argue imagine pretend act interpret estimate extract classify "
    "essay story poem song lyrics rap haiku rhyme email recipe report strategy overview detail details detailed "
    "depth step steps example examples script function query bug regex algorithm coding teach walk guide show "
    "arguments feedback quiz schedule table pitch article paragraph style thriller novel ad advert release "
    "blog post analysiere erkläre erklär schreibe schreib fasse vergleiche erstelle entwirf plane beweise "
    "aufsatz gedicht bewerbung geschichte zusammen explique rédige résume écris décris compare lettre poème "
    "histoire explica escribe analiza resume haz planifica compara ensayo cuento poema python java javascript rust "
    "sql css linux docker git excel json yaml"
)
NOT_MOST = _set("best worst latest easiest cheapest greatest honest test rest guest request interest contest")
NUMBER = _set(
    "three four five six seven eight nine ten twelve drei vier sieben trois quatre sept tres cuatro siete "
    "twice half doppelt"
)
REFERS = _set("i it its they them he she his her we this that my ich es sie er je il elle ils yo él ella")

# set by hand, like the words above, with the queries of tests/data/queries.tsv that are marked "tune" in view
BIAS = 0.2
WEIGHTS = (
    2.3,  # asks for a fact, or what comes out of a sum
    -1.1,  # asks for several things
    2.0,  # starts like a wish for a small change, of a text that is given
    0.7,  # has a word of such questions: capital, synonym, plural
    -3.0,  # each word that asks for reasons, an opinion or advice
    -2.5,  # each word that asks for more than a fact: analyze, summarize, write
    -1.0,  # each four words above ten
    -1.0,  # a second question: and why, and how
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


def score(text: str) -> float:
    """How simple a question is; above 0 rather simple."""
    if CODE.search(text):
        return float("-inf")
    return BIAS + sum(weight * sign for weight, sign in zip(WEIGHTS, signs(text), strict=True))


def signs(text: str) -> tuple[float, ...]:
    """What speaks for and against a simple query, in the order of WEIGHTS. What stands in quotes says nothing."""
    asked = QUOTE.sub(" ", FILLER.sub("", text.lower()))
    words = _after_politeness(WORD.findall(asked))
    before: list[str] = []
    fact = False
    edit = _is_edit(words, asked, text)
    a_sum = SUM.issuperset(words) and DIGIT.search(asked) is not None
    if edit:
        words = _after_politeness(WORD.findall(asked.partition(":")[0]))
    elif a_sum or _asks_fact(words):
        fact = True
    elif "?" in text:
        before, words, fact = _last_question(asked, words)
    start, after = _two(words)
    bag = frozenset(words)
    how = bag & HOW if a_sum else {start} & HOW if fact else ()  # how many asks for no reason
    return (
        fact,
        start in WHAT and after in PLURAL and NUMBER.isdisjoint(bag),
        edit,
        not DICTIONARY.isdisjoint(bag),
        len((bag & REASONING).difference(how)) + len(REASONING.intersection(before) - CALM),
        len(bag & TASK) + len(TASK.intersection(before)),
        max(0, len(words) - 10) / 4,
        AND_MORE.search(text) is not None,
    )


def _is_edit(words: list[str], asked: str, text: str) -> bool:
    """Whether it asks to change a text that is given: after a colon, in quotes, or as a word or a number."""
    start, after = _two(words)
    if start not in EDIT or (start == "make" and after in POLITE):  # make a plan, make me rich
        return False
    if asked.partition(":")[2].strip() or QUOTE.search(text):
        return True
    return start in EDIT_OF_A_WORD and (len(words) <= 4 or DIGIT.search(asked) is not None)


def _after_politeness(words: list[str]) -> list[str]:
    first = 0
    while first < len(words) - 1 and words[first] in POLITE:
        first += 1
    return words[first:]


def _two(words: list[str]) -> tuple[str, str]:
    return words[0] if words else "", words[1] if len(words) > 1 else ""


def _asks_fact(words: list[str]) -> bool:
    start, after = _two(words)
    if (start, after) == ("name", "for"):
        return False
    if start in HOW:
        return after in AMOUNT or not SAY.isdisjoint(words)
    if start in BEFORE:
        return after in FACT
    if start in VALUE or start in DICTIONARY or (start.endswith("est") and start not in NOT_MOST):
        return not OF.isdisjoint(words)
    return start in FACT or start in GREETING or (start, after) in FACT_PAIRS


def _last_question(asked: str, words: list[str]) -> tuple[list[str], list[str], bool]:
    """What stands before the last question for a fact, that question, and whether there is one.

    A question about what stands before it, or about numbers in it, is a riddle and none for a fact.
    """
    clauses = [_after_politeness(WORD.findall(clause)) for clause in CLAUSE.split(asked)]
    for index in range(len(clauses) - 1, 0, -1):
        clause = clauses[index]
        if clause and clause[0] not in GREETING and _asks_fact(clause):
            before = [word for each in clauses[:index] for word in each]
            if REFERS.isdisjoint(clause) and NUMBER.isdisjoint(before) and not DIGIT.search(asked):
                return before, clause, True
    return [], words, False
