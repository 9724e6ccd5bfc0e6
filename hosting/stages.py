"""What a server must show before its models are chosen: five stages, one after the other, in words for its owner."""

from dataclasses import dataclass
from typing import Any

import orjson

from hosting import connector
from hosting.connector import AskFailed, ConnectRefused
from hosting.models import TOKENS_MAX
from hosting.terms import MODELS_MAX, UPSTREAM_NAME
from hosting.verification import START_WITH_TOKEN, Asked, NotPassed, Probe

MODELS_PATH = "/v1/models"
MODELS_TRIED_MAX = 3  # a server may list embedding models first, which cannot chat
ANY_MODEL = "any"  # strangers are refused before the model is looked up
CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window")  # vLLM's, and others'


@dataclass(frozen=True, slots=True)
class Stage:
    """does: what is asked. advice: what to do when it fails, beside what was seen."""

    name: str
    title: str
    does: str
    advice: str


STAGES = (
    Stage(
        "reach",
        "It can be reached",
        "We connect to the address from the internet.",
        "Is the server running, on this port? Is the port open in the firewall, and forwarded by the router? "
        "With https, is the certificate valid for this name?",
    ),
    Stage(
        "health",
        "It is well",
        "GET /health answers 200; where there is no such route, GET /v1/models does.",
        "A server that still loads its model answers 503: wait until its log says that it is ready.",
    ),
    Stage(
        "strangers",
        "It refuses strangers",
        "Without the token, and with a wrong one, it answers 401. Only its owner can make it do that.",
        "Start it with the line that was shown with the token. Ollama needs the proxy before it.",
    ),
    Stage(
        "models",
        "It takes the token and lists its models",
        "GET /v1/models with the token names what can be offered.",
        "Was it started with another token? Make a new one here, and start it with that.",
    ),
    Stage(
        "answers",
        "It answers, and is what it says",
        "A chat completion in OpenAI's shape, by a model that does not call itself a commercial one.",
        "Try the same request by hand, and look into the server's log.",
    ),
)
NAMES = tuple(stage.name for stage in STAGES)


@dataclass(frozen=True, slots=True)
class Found:
    """A model that the server lists, by its own name for it. context_tokens: None where it does not say."""

    name: str
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """error: what was wrong, empty when nothing was; never with the token. models: what the server lists."""

    error: str = ""
    models: tuple[Found, ...] = ()


async def look(name: str, *, base_url: str, token: str, models: tuple[Found, ...] = ()) -> Seen:
    """One stage by its name; models: what an earlier stage found. Bounded in time and size."""
    try:
        client = await connector.open_client(base_url, guarded=True)
    except ConnectRefused as refusal:
        return Seen(str(refusal), models)
    async with client:
        probe = Probe(client, base_url, token)
        try:
            match name:
                case "reach":
                    await connector.ask(client, "GET", base_url + "/health")
                case "health":
                    return Seen(" ".join(await probe.reachable()), models)
                case "strangers":
                    asked = models[0].name if models else ANY_MODEL
                    return Seen(" ".join(await probe.refuses_strangers(asked)), models)
                case "models":
                    return await _listed(client, base_url, token)
                case "answers":
                    return Seen(await _one_answers(probe, models), models)
        except AskFailed as failure:
            return Seen(f"There is {failure}." if name == "reach" else f"{failure}.".capitalize(), models)
    return Seen("", models)


async def _listed(client: connector.Client, base_url: str, token: str) -> Seen:
    answer = await connector.ask(client, "GET", base_url + MODELS_PATH, token=token)
    if answer.status in {401, 403}:
        return Seen(f"The server does not accept the token (it answers {answer.status}). {START_WITH_TOKEN}")
    if answer.status != 200:
        return Seen(f"GET {MODELS_PATH} answers {answer.status} instead of 200.")
    models = read(answer.body)
    return Seen("" if models else f"GET {MODELS_PATH} lists no model.", models)


async def _one_answers(probe: Probe, models: tuple[Found, ...]) -> str:
    """Words about the first model, unless one of the first answers as it should."""
    errors = []
    for model in models[:MODELS_TRIED_MAX]:
        try:
            await probe.examine(Asked(model.name, model.name))
        except NotPassed as failure:
            errors.append(str(failure))
        else:
            return ""
    return errors[0] if errors else "There is no model to ask."


def read(body: bytes) -> tuple[Found, ...]:
    """What GET /v1/models lists, without what cannot be the name of a model."""
    try:
        rows: Any = orjson.loads(body)["data"]
        named = {row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
    except (ValueError, LookupError, TypeError):
        return ()
    usable = [name for name in named if UPSTREAM_NAME.fullmatch(name)]
    return tuple(Found(name, _context(named[name])) for name in usable[:MODELS_MAX])


def _context(row: dict[str, Any]) -> int | None:
    stated = [row.get(field) for field in CONTEXT_FIELDS]
    return next((value for value in stated if isinstance(value, int) and 1 <= value <= TOKENS_MAX), None)
