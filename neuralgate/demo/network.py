"""The demo's servers: three hosters and two providers of the operator's own."""

from collections.abc import Mapping
from dataclasses import dataclass

from hosting.models import Server
from neuralgate.demo.simulator import Spec

SHARED_MODEL = "llama-3.1-8b-instruct"  # two hosters have it: here routing has a choice
SMALL_MODEL = "llama-3.2-1b-instruct"
CODE_MODEL = "qwen2.5-coder-32b-instruct"
LARGE_MODEL = "mistral-large-2407"
EMBEDDING_MODEL = "nomic-embed-text-v1.5"


@dataclass(frozen=True, slots=True)
class Model:
    """Prices are nanodollars per token."""

    model_id: str
    price_in: int
    price_out: int
    context_window: int = 32_768
    embeds: bool = False


@dataclass(frozen=True, slots=True)
class Simulated:
    """One server: whose, how fast, and what it offers."""

    name: str
    kind: Server.Kind
    models: tuple[Model, ...]
    first_token_ms: int
    tokens_per_s: int
    slots: int = 16

    def spec(self, *, port: int, token: str) -> Spec:
        return Spec(
            port=port,
            token=token,
            models=tuple(model.model_id for model in self.models if not model.embeds),
            embedding_models=tuple(model.model_id for model in self.models if model.embeds),
            first_token_ms=self.first_token_ms,
            tokens_per_s=self.tokens_per_s,
        )


NETWORK = (
    Simulated("aurora", Server.Kind.HOSTER, (Model(SHARED_MODEL, 60, 120),), 60, 160),
    Simulated("borealis", Server.Kind.HOSTER, (Model(SHARED_MODEL, 30, 60),), 250, 50),
    Simulated("corona", Server.Kind.HOSTER, (Model(CODE_MODEL, 100, 300),), 120, 80),
    Simulated(
        "own-machine",
        Server.Kind.LOCAL,
        (Model(SMALL_MODEL, 0, 0, 8_192), Model(EMBEDDING_MODEL, 10, 0, 8_192, embeds=True)),
        30,
        200,
    ),
    Simulated("big-cloud", Server.Kind.CLOUD, (Model(LARGE_MODEL, 2_000, 6_000, 131_072),), 180, 100),
)


def address(ports: Mapping[str, int], name: str) -> str:
    return f"http://127.0.0.1:{ports[name]}"
