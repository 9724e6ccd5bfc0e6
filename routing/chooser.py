"""The servers for one call, from what is for sale now and what this process sees of it.

Weighing fifty servers takes longer than all the rest of a request, so calls without wishes of their own draw from a
field that was weighed at most FIELD_S ago; whether a server that was drawn takes a request is looked up now.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import betavariate
from typing import Any, NamedTuple

from accounts import envelope
from accounts.envelope import ApiError, Problem
from hosting.offers import LiveOffer
from routing import choice, complexity, fitness, metering
from routing.calls import CHAT, EMBEDDINGS, Call
from routing.choice import Draw, Field
from routing.directory import AUTO, Directory
from routing.load import Load
from routing.weights import Beta, Need

FIELD_S = 0.1
FIELDS_MAX = 1_000  # models × tiers × sizes that are kept
KINDS = ("hoster", "local", "cloud")
PREFIX_BYTES_MIN = 1_024  # a prompt at least this long begins with something worth finding in a cache
PREFIX_CHARS = 2_048
CANDIDATES_SHOWN_MAX = 20


class Pool(NamedTuple):
    """Offers that stand for each other: those of one model, or all that `auto` may draw from."""

    name: str
    offers: Sequence[LiveOffer]
    kinds: tuple[str, ...] = KINDS


@dataclass(slots=True)
class Choice:
    """The servers to try, in order; free_local: the operator's own serve this call free of charge.

    fields and reasons are what it was chosen from, for whoever wants to know why.
    """

    offers: list[LiveOffer] = field(default_factory=list)
    free_local: bool = False
    seed: int = 0
    is_test: bool = False  # of ours, for one server
    fields: list[Field] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(offer.model for offer in self.offers))

    def explanation(self) -> dict[str, Any]:
        """{filters, factors, draw}: why these servers, as it is kept with the request and shown to the customer."""
        candidates: list[dict[str, Any]] = [
            {
                "server": offer.server_id,
                "owner": offer.owner,
                "model": offer.model,
                "trust": round(factors.trust, 3),
                "health": round(factors.health, 3),
                "consistency": round(factors.consistency, 3),
                "expected_ms": round(factors.time_ms),
                "expected_cost_nanos": factors.cost_nanos,
                "share": round(share / one.total, 4) if one.total else 0.0,
            }
            for one in self.fields
            for offer, factors, share in zip(one.offers, one.factors, one.shares, strict=True)
        ]
        candidates.sort(key=lambda row: -row["share"])
        return {
            "filters": {str(server): reason for server, reason in sorted(self.reasons.items())},
            "factors": candidates[:CANDIDATES_SHOWN_MAX],
            "draw": {"seed": f"{self.seed:016x}", "servers": [offer.server_id for offer in self.offers]},
        }


class NobodyFits(ApiError):
    """Every server was left out; `choice` says why."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(nobody(set(choice.reasons.values())))
        self.choice = choice


class Chooser:
    """Keeps the fields of one process."""

    def __init__(
        self,
        directory: Directory,
        load: Load,
        *,
        auto_max_price: int,
        attempts_max: int,
        clock: Callable[[], float],
        beta: Beta = betavariate,
    ) -> None:
        """auto_max_price: nanodollars per token. clock: monotonic seconds. beta: draws the health factors."""
        self._directory = directory
        self._load = load
        self._auto_max_price = auto_max_price
        self._attempts_max = attempts_max
        self._clock = clock
        self._beta = beta
        self._fields: dict[tuple[object, ...], tuple[Field, int, float, int, dict[int, str]]] = {}

    def choose(self, call: Call, seed: int, *, tried: frozenset[int] = frozenset()) -> Choice:
        """Raises NobodyFits, or ApiError where there is nothing to choose from. tried: servers that failed with it."""
        self._load.share = self._directory.processes
        prompt_tokens = metering.prompt_estimate(call, metering.BYTES_PER_TOKEN_PRIOR)
        need = Need.of(call, prompt_tokens)
        found = Choice(seed=seed)
        pools = self._pools(call, found)
        prefix = prefix_of(call)
        for pool in pools:
            for kind in pool.kinds:
                missing = self._attempts_max - len(found.offers)
                if missing and self._directory.has(pool.name, kind):
                    by = Draw(seed, missing, self._load, need, prefix)
                    found.offers += self._draw(pool, kind, call, by, found, tried)
        if not found.offers:
            raise NobodyFits(found)
        return found

    def choose_target(self, call: Call, server_id: int, price_max: int) -> Choice:
        """The one server that a test is for, at the lowest of its price, its rivals' median and price_max.

        Raises ApiError when it does not offer the model now.
        """
        offers = self._directory.offers(call.model)
        target = next((offer for offer in offers if offer.server_id == server_id), None)
        if target is None or target.draining or target.waiting:
            raise ApiError(envelope.NO_SERVER)
        if not self._load.can_try(server_id, target.slots):
            raise ApiError(envelope.NO_SERVER)
        rivals = [offer for offer in offers if offer.owner != target.owner] or [target]
        price_in = min(target.price_in, fair_price([offer.price_in for offer in rivals]), price_max)
        price_out = min(target.price_out, fair_price([offer.price_out for offer in rivals]), price_max)
        return Choice([replace(target, price_in=price_in, price_out=price_out)], is_test=True)

    def _with_route(self, pool: Pool, call: Call) -> Sequence[LiveOffer]:
        """Those of a pool that have the call's route, as far as it is known; `auto` has chat models only."""
        offers = pool.offers
        if call.endpoint != EMBEDDINGS and pool.name != AUTO:
            offers = self._directory.chat_offers(pool.name)
        if lacking := self._load.lacking(call.endpoint):
            offers = [offer for offer in offers if offer.offer_id not in lacking]
        return offers

    def _pools(self, call: Call, found: Choice) -> list[Pool]:
        """What the call may go to, in order of preference."""
        if call.model == AUTO and call.endpoint != EMBEDDINGS:
            found.free_local = complexity.is_simple(call)
            kinds = ("local", "hoster", "cloud") if found.free_local else ("hoster", "cloud")
            pools = [Pool(AUTO, self._directory.auto_offers(self._auto_max_price), kinds)]
        else:
            pools = [Pool(call.model, self._directory.offers(call.model))]
        for model in call.preferences.fallback_models:
            pools.append(Pool(model, self._directory.offers(model)))
        if not any(pool.offers for pool in pools):
            raise ApiError(envelope.MODEL_NOT_FOUND)
        offered = [pool._replace(offers=self._with_route(pool, call)) for pool in pools]
        if not any(pool.offers for pool in offered):
            raise ApiError(envelope.UNSUPPORTED)
        return offered

    def _draw(
        self, pool: Pool, kind: str, call: Call, by: Draw, found: Choice, tried: frozenset[int]
    ) -> list[LiveOffer]:
        if not tried and call.preferences.are_plain:
            kept, context_min, reasons = self._kept_field(pool, kind, call, by.need)
            if by.need.prompt_tokens < context_min and (drawn := choice.draw(kept, by)):
                found.fields.append(kept)
                found.reasons |= reasons
                return drawn
        offers = [offer for offer in pool.offers if offer.kind == kind and offer.server_id not in tried]
        usable, reasons = fitness.fit(
            offers,
            call,
            self._load.reading,
            prompt_tokens=by.need.prompt_tokens,
            share=self._load.share,
        )
        fresh = Field(usable, by.need, self._load.reading, tier=call.preferences.tier, beta=self._beta)
        found.fields.append(fresh)
        found.reasons |= reasons
        return choice.draw(fresh, by)

    def _kept_field(self, pool: Pool, kind: str, call: Call, need: Need) -> tuple[Field, int, dict[int, str]]:
        """The field for calls of about this size, its smallest context window, and who is not in it and why."""
        tier = call.preferences.tier
        sizes = need.prompt_tokens.bit_length(), need.output_tokens.bit_length()
        key = (pool.name, kind, tier, sizes, call.endpoint)
        now = self._clock()
        kept = self._fields.get(key)
        if kept is not None:
            one, context_min, until, state, reasons = kept
            if now < until and state == self._load.epoch + self._directory.epoch:
                return one, context_min, reasons
        usual = Need(*(3 << size >> 2 for size in sizes))
        usable, reasons = fitness.fit(
            (offer for offer in pool.offers if offer.kind == kind),
            call,
            self._load.reading,
            prompt_tokens=0,
            share=self._load.share,
        )
        one = Field(usable, usual, self._load.reading, tier=tier, beta=self._beta)
        context_min = min((offer.context_window for offer in usable), default=0)
        if len(self._fields) >= FIELDS_MAX:
            self._fields.clear()
        self._fields[key] = (
            one,
            context_min,
            now + FIELD_S,
            self._load.epoch + self._directory.epoch,
            reasons,
        )
        return one, context_min, reasons


def fair_price(prices: Sequence[int]) -> int:
    """The median of the prices, rounded down."""
    ranked = sorted(prices)
    return ranked[(len(ranked) - 1) // 2]


def prefix_of(call: Call) -> int:
    """A hash of what a conversation begins with: its system prompt and first question; 0 for short single questions."""
    if call.endpoint != CHAT:
        return 0
    messages = call.payload["messages"]
    if call.prompt_bytes < PREFIX_BYTES_MIN and len(messages) < 3:
        return 0
    begin = "".join(content for message in messages[:2] if isinstance(content := message.get("content"), str))
    return zlib.crc32(begin[:PREFIX_CHARS].encode("utf-8", "surrogatepass")) or 1


def nobody(reasons: set[str]) -> Problem:
    """The problem when no server fits; it names the customer's own filter when that is what emptied the set."""
    if reasons == {"context"}:
        return envelope.MALFORMED.because(
            "The prompt is longer than any server's context window.", param="messages"
        )
    own = {
        "privacy": "`privacy_mode`",
        "denied": "`deny_hosters`",
        "not_allowed": "`allow_hosters`",
        "not_trusted": "`trusted_only`",
        "max_price": "`max_price`",
        "max_latency": "`max_latency_ms`",
    }
    wishes = sorted(own[reason] for reason in reasons if reason in own)
    if wishes:
        return envelope.NO_SERVER.because(
            f"No server is left after {' and '.join(wishes)}. Loosen that, or try again later."
        )
    return envelope.NO_SERVER
