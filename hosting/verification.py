"""What a server must show before it gets traffic: it is its owner's, it is well, it speaks OpenAI's API."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from hosting import connector, drift, health, identity, tokens
from hosting.connector import AskFailed, ConnectRefused
from hosting.drift import Fingerprint
from hosting.health import Target
from hosting.models import Server

CHAT_TIMEOUT_S = 60  # a server may load the model first
CHAT_TOKENS_MAX = 8
CHAT_PATH = "/v1/chat/completions"
# The first is also the proof that the model answers; never changed: they are compared with what was kept.
FIXED_PROMPTS = (
    "Say hello.",
    "Name three colours, nothing else.",
    "Continue: one, two, three,",
)
WHO_ARE_YOU = "Who are you? Name the model you are and the company that made you."
WHO_TOKENS_MAX = 48
BYTES_PER_TOKEN = 4  # of a server that states no usage

START_WITH_TOKEN = (
    "Start it with the token, so that only NeuralGate can use it: llama-server, vLLM and SGLang take "
    "`--api-key TOKEN`, llama-cpp-python `--api_key TOKEN`; "
    "put a server without such an option (Ollama) behind a proxy that checks `Authorization: Bearer TOKEN`."
)


class NotPassed(Exception):
    """A model does not do what it must; the sentence is for the server's owner and never holds the token."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A model by its public id and by the name under which the server itself knows it."""

    model_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found; `errors` are sentences for the server's owner and never hold the token.

    fingerprints: of the models that passed, by public id.
    """

    errors: tuple[str, ...] = ()
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.errors


@dataclass(frozen=True, slots=True)
class Said:
    """An answer in OpenAI's shape. A model that was cut off while it reasoned has no `content` yet.

    tokens: as the server counts them, or estimated.
    """

    content: str
    reasoning: str
    model: str
    system_fingerprint: str
    tokens: int
    took_ms: float = 0.0


async def verify(
    *, base_url: str, token: str, models: Sequence[Asked], resolver: connector.Resolver | None = None
) -> Verification:
    """Probe a hoster's server at its origin.

    It must be well (GET /health), refuse without the token and with a wrong one, accept the right one, and answer
    chat completions of each model in OpenAI's shape; no model may call itself a commercial one. Every probe is
    bounded in time and size.
    """
    try:
        client = await connector.open_client(base_url, guarded=True, resolver=resolver)
    except ConnectRefused as refusal:
        return Verification((str(refusal),))
    async with client:
        probe = Probe(client, base_url, token)
        errors = await probe.reachable()
        if errors:
            return Verification(tuple(errors))
        errors = await probe.refuses_strangers(models[0].name)
        seen: dict[str, Fingerprint] = {}
        for model in models:
            try:
                seen[model.model_id] = await probe.examine(model)
            except NotPassed as failure:
                errors.append(str(failure))
        return Verification(tuple(errors), seen)


@dataclass(frozen=True, slots=True)
class Probe:
    """Questions to one server. token: its own."""

    client: connector.Client
    base_url: str
    token: str

    async def reachable(self) -> list[str]:
        target = Target(0, Server.Kind.HOSTER, self.base_url, self.token)
        error = await health.check(self.client, target)
        return [f"The server is not well: {error}."] if error else []

    async def refuses_strangers(self, model: str) -> list[str]:
        """Only its owner can make a server refuse others: this is the proof of who registers it."""
        for stranger, token in (("without the token", ""), ("with a wrong token", tokens.make())):
            try:
                answer = await self._chat(model, token)
            except AskFailed as failure:
                return [f"POST {CHAT_PATH} {stranger}: {failure}."]
            if answer.status not in {401, 403}:
                found = f"POST {CHAT_PATH} {stranger} answers {answer.status} instead of 401."
                return [f"The server does not refuse strangers: {found} {START_WITH_TOKEN}"]
        return []

    async def examine(self, asked: Asked) -> Fingerprint:
        """The fingerprint of a model that answers and does not call itself a commercial one. Raises NotPassed."""
        said = [await self._says(asked.name, prompt) for prompt in FIXED_PROMPTS]
        who = await self._says(asked.name, WHO_ARE_YOU, tokens_max=WHO_TOKENS_MAX)
        if named := identity.foreign_name(who.content, model_id=asked.model_id):
            raise NotPassed(
                f"{asked.name} calls itself {named} when it is asked who it is. Offer a model under its own name; "
                "a vendor's API may not be resold here."
            )
        timed = [*said[1:], who]  # the first one may have loaded the model
        return drift.fingerprint(
            model=said[0].model,
            system_fingerprint=said[0].system_fingerprint,
            answers=[one.content or one.reasoning for one in said],
            ms_per_token=sum(one.took_ms for one in timed) / max(1, sum(one.tokens for one in timed)),
        )

    async def _says(self, model: str, prompt: str, *, tokens_max: int = CHAT_TOKENS_MAX) -> Said:
        """What a model answers at temperature 0. Raises NotPassed."""
        started = time.monotonic()
        try:
            answer = await self._chat(model, self.token, prompt, tokens_max)
        except AskFailed as failure:
            raise NotPassed(f"POST {CHAT_PATH} of {model}: {failure}.") from None
        if answer.status in {401, 403}:
            raise NotPassed(
                f"The server does not accept the token (it answers {answer.status}). {START_WITH_TOKEN}"
            )
        if answer.status != 200:
            raise NotPassed(
                f"POST {CHAT_PATH} of {model} answers {answer.status} instead of 200. Check the model's name."
            )
        said = read(answer.body)
        if said is None:
            raise NotPassed(
                f"POST {CHAT_PATH} of {model} does not answer in OpenAI's shape (choices[0].message.content)."
            )
        return replace(said, took_ms=(time.monotonic() - started) * 1000)

    async def _chat(
        self, model: str, token: str, prompt: str = FIXED_PROMPTS[0], tokens_max: int = CHAT_TOKENS_MAX
    ) -> connector.Answer:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": tokens_max,
            "temperature": 0,
        }
        return await connector.ask(
            self.client,
            "POST",
            self.base_url + CHAT_PATH,
            token=token,
            body=orjson.dumps(body),
            timeout_s=CHAT_TIMEOUT_S,
        )


def read(body: bytes) -> Said | None:
    """A chat completion, or None for anything else.

    `choices[0].message` has its text in `content`, or, cut off while reasoning, in `reasoning_content` or `reasoning`.
    """
    try:
        answer: Any = orjson.loads(body)
        message: Any = answer["choices"][0]["message"]
        texts = [message.get(name) for name in ("content", "reasoning_content", "reasoning")]
        told = [answer.get(name) for name in ("model", "system_fingerprint")]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if not any(isinstance(text, str) for text in texts):
        return None
    content, *reasoning = (text if isinstance(text, str) else "" for text in texts)
    model, system = (name if isinstance(name, str) else "" for name in told)
    return Said(content, "".join(reasoning), model, system, _tokens(answer, content + "".join(reasoning)))


def _tokens(answer: dict[str, Any], text: str) -> int:
    usage = answer.get("usage")
    stated = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return stated if isinstance(stated, int) and stated > 0 else -(-len(text.encode()) // BYTES_PER_TOKEN)
