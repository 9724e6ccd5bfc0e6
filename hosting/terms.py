"""The terms of a model on a server: id, prices, context window, as a hoster or the operator writes them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hosting import identity
from hosting.models import PRICE_MAX, TOKENS_MAX

MODELS_MAX = 100  # of one server
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}", re.ASCII)
UPSTREAM_NAME = re.compile(r"[!-~]{1,200}", re.ASCII)
INTEGER = re.compile(r"[0-9]{1,19}", re.ASCII)
RESERVED_IDS = frozenset({"auto"})


class TermsRefused(Exception):
    """Models cannot be offered on these terms; the words say what and why."""


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """A model on a server. Prices are nanodollars per token, the context window is tokens.

    upstream_name: the server's own name for it, when it differs. chats: false for a model that only embeds.
    """

    model_id: str
    price_in: int
    price_out: int
    context_window: int
    upstream_name: str = ""
    chats: bool = True

    @property
    def asked_as(self) -> str:
        """The name under which the server itself knows the model."""
        return self.upstream_name or self.model_id


def parse(text: str, *, context_default: int) -> ModelTerms:
    """`ID:IN:OUT[:CONTEXT]`, read from the right because ids may hold `:`.

    Three integers at the end are IN, OUT and CONTEXT, two are IN and OUT: `qwen2.5:7b:50:100` is the model
    `qwen2.5:7b`. context_default: tokens, when CONTEXT is not written. Raises TermsRefused.
    """
    parts = text.split(":")
    numbers = 3 if len(parts) > 3 and all(map(INTEGER.fullmatch, parts[-3:])) else 2
    if len(parts) <= numbers or not all(map(INTEGER.fullmatch, parts[-numbers:])):
        raise TermsRefused(
            f"The model {text!r} is not understood. Write ID:IN:OUT or ID:IN:OUT:CONTEXT, "
            "prices in nanodollars per token, like qwen2.5:7b:50:100."
        )
    price_in, price_out, *context = map(int, parts[-numbers:])
    model = ModelTerms(
        model_id=":".join(parts[:-numbers]),
        price_in=price_in,
        price_out=price_out,
        context_window=context[0] if context else context_default,
    )
    check([model])
    return model


def with_upstream_names(models: Sequence[ModelTerms], names: Mapping[str, str]) -> list[ModelTerms]:
    """The models, with the server's own names of some. Raises TermsRefused for an id not among them."""
    for unknown in names.keys() - {model.model_id for model in models}:
        raise TermsRefused(f"There is an upstream name for {unknown!r}, which is not among the models.")
    return [replace(model, upstream_name=names.get(model.model_id, model.upstream_name)) for model in models]


def without_chat(models: Sequence[ModelTerms], ids: Sequence[str]) -> list[ModelTerms]:
    """The models, of which these embed and do not chat. Raises TermsRefused for an id not among them."""
    for unknown in set(ids) - {model.model_id for model in models}:
        raise TermsRefused(f"{unknown!r} is for embeddings, and is not among the models.")
    return [replace(model, chats=model.model_id not in ids) for model in models]


def check_hosters(models: Sequence[ModelTerms]) -> None:
    """As `check`, for a hoster: only the operator, as a vendor's customer, sells a commercial model by its name."""
    check(models)
    for model in models:
        if identity.commercial_model(model.model_id):
            raise TermsRefused(
                f"{model.model_id!r} is the name of a commercial model that only its vendor serves. "
                "Offer yours under its own name, like mistral-7b-instruct."
            )


def check(models: Sequence[ModelTerms]) -> None:
    """Raises TermsRefused unless these models can stand together on one server."""
    if not 1 <= len(models) <= MODELS_MAX:
        raise TermsRefused(f"A server has between 1 and {MODELS_MAX} models.")
    if len({model.model_id for model in models}) < len(models):
        raise TermsRefused("A model is listed twice.")
    for model in models:
        if MODEL_ID.fullmatch(model.model_id) is None or model.model_id in RESERVED_IDS:
            raise TermsRefused(f"{model.model_id!r} cannot be the id of a model.")
        if model.upstream_name and UPSTREAM_NAME.fullmatch(model.upstream_name) is None:
            raise TermsRefused(f"The upstream name of {model.model_id} may not hold spaces or accents.")
        if not (0 <= model.price_in <= PRICE_MAX and 0 <= model.price_out <= PRICE_MAX):
            raise TermsRefused(
                f"Prices of {model.model_id} must be whole nanodollars per token from 0 to {PRICE_MAX:,}."
            )
        if not 1 <= model.context_window <= TOKENS_MAX:
            raise TermsRefused(
                f"The context window of {model.model_id} must be between 1 and {TOKENS_MAX:,} tokens."
            )
