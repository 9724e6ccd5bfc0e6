"""What a server must show before it gets traffic: it is its owner's, it is well, it speaks OpenAI's API."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from hosting import connector, health, tokens
from hosting.connector import AskFailed, ConnectRefused
from hosting.health import Target
from hosting.models import Server

CHAT_TIMEOUT_S = 60  # a server may load the model first
CHAT_TOKENS_MAX = 8
CHAT_PATH = "/v1/chat/completions"

START_WITH_TOKEN = (
    "Start it with the token, so that only NeuralGate can use it: llama-server, vLLM and SGLang take "
    "`--api-key TOKEN`, llama-cpp-python `--api_key TOKEN`; "
    "put a server without such an option (Ollama) behind a proxy that checks `Authorization: Bearer TOKEN`."
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found; `errors` are sentences for the server's owner and never hold the token."""

    errors: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.errors


async def verify(
    *, base_url: str, token: str, models: Sequence[str], resolver: connector.Resolver | None = None
) -> Verification:
    """Probe a hoster's server.

    base_url: its origin. models: the names under which the server itself knows them.
    It must be well (GET /health), refuse without the token and with a wrong one, accept the right one, and
    answer a chat completion of each model in OpenAI's shape. Every probe is bounded in time and size.
    """
    try:
        client = await connector.open_client(base_url, guarded=True, resolver=resolver)
    except ConnectRefused as refusal:
        return Verification((str(refusal),))
    async with client:
        probe = _Probe(client, base_url, token)
        errors = await probe.reachable()
        if errors:
            return Verification(tuple(errors))
        errors = await probe.refuses_strangers(models[0])
        for model in models:
            errors += await probe.chats(model)
        return Verification(tuple(errors))


@dataclass(frozen=True, slots=True)
class _Probe:
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

    async def chats(self, model: str) -> list[str]:
        try:
            answer = await self._chat(model, self.token)
        except AskFailed as failure:
            return [f"POST {CHAT_PATH} of {model}: {failure}."]
        if answer.status in {401, 403}:
            return [f"The server does not accept the token (it answers {answer.status}). {START_WITH_TOKEN}"]
        if answer.status != 200:
            return [
                f"POST {CHAT_PATH} of {model} answers {answer.status} instead of 200. Check the model's name."
            ]
        if not is_chat_completion(answer.body):
            return [
                f"POST {CHAT_PATH} of {model} does not answer in OpenAI's shape (choices[0].message.content)."
            ]
        return []

    async def _chat(self, model: str, token: str) -> connector.Answer:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": CHAT_TOKENS_MAX,
        }
        return await connector.ask(
            self.client,
            "POST",
            self.base_url + CHAT_PATH,
            token=token,
            body=orjson.dumps(body),
            timeout_s=CHAT_TIMEOUT_S,
        )


def is_chat_completion(body: bytes) -> bool:
    """Whether an answer has `choices[0].message.content` as text.

    A model that was cut off while it reasoned has its text in `reasoning_content` or `reasoning` instead.
    """
    try:
        message: Any = orjson.loads(body)["choices"][0]["message"]
        texts = [message.get(name) for name in ("content", "reasoning_content", "reasoning")]
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    return any(isinstance(text, str) for text in texts)
