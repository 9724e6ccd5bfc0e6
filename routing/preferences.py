"""The routing fields of a request: what a customer may wish of the servers. Pure; docs/routing.md explains them."""

from dataclasses import dataclass
from typing import Any

from accounts.envelope import MALFORMED, ApiError
from routing.parameters import boolean, names, whole

ROUTING_FIELDS = frozenset(
    {"tier", "max_latency_ms", "privacy_mode", "trusted_only", "fallback_models", "allow_hosters", "deny_hosters",
     "max_price"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preferences:
    """The routing fields of a request. Prices are nanodollars per token; None means no wish."""

    tier: str = "balanced"
    max_latency_ms: int | None = None
    privacy_mode: bool = False
    trusted_only: bool = False
    fallback_models: tuple[str, ...] = ()
    allow_hosters: frozenset[str] = frozenset()
    deny_hosters: frozenset[str] = frozenset()
    max_price_in: int | None = None
    max_price_out: int | None = None

    @property
    def are_plain(self) -> bool:
        """Nothing in them needs more than a draw by weight."""
        return self is NO_PREFERENCES or (
            self.tier != "cheapest"
            and self == Preferences(tier=self.tier, fallback_models=self.fallback_models)
        )


NO_PREFERENCES = Preferences()


def read(payload: dict[str, Any]) -> Preferences:
    if not ROUTING_FIELDS.intersection(payload):
        return NO_PREFERENCES
    tier = payload.get("tier") or "balanced"
    if tier not in ("cheapest", "balanced", "fastest"):
        raise ApiError(MALFORMED.because("`tier` must be cheapest, balanced or fastest.", param="tier"))
    price = payload.get("max_price")
    if price is not None and not isinstance(price, dict):
        raise ApiError(
            MALFORMED.because(
                '`max_price` must be an object: {"input": …, "output": …} in nanodollars per token.',
                param="max_price",
            )
        )
    return Preferences(
        tier=tier,
        max_latency_ms=whole(payload, "max_latency_ms", 1, 10**9),
        privacy_mode=boolean(payload, "privacy_mode"),
        trusted_only=boolean(payload, "trusted_only"),
        fallback_models=tuple(names(payload, "fallback_models")),
        allow_hosters=frozenset(names(payload, "allow_hosters")),
        deny_hosters=frozenset(names(payload, "deny_hosters")),
        max_price_in=whole(price, "input", 0, 10**9, inside="max_price") if price else None,
        max_price_out=whole(price, "output", 0, 10**9, inside="max_price") if price else None,
    )
