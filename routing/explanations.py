"""A stored explanation in plain words: who could serve the call, who was left out and why, what became of each try.

Pure; the explanation itself is routing.chooser's. docs/routing.md explains the reasons and the factors.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEFT_OUT = {
    "suspended": "their hoster is suspended",
    "deactivated": "this model is switched off there",
    "draining": "their owner paused them",
    "waiting": "they wait for a new token",
    "context": "the prompt does not fit into their context window",
    "privacy": "you asked for privacy, and they are a cloud provider's",
    "denied": "you ruled out their hoster",
    "not_allowed": "you allowed other hosters only",
    "not_trusted": "you asked for trusted servers only",
    "max_price": "they cost more than your max_price",
    "consistency_below_0.4": "they answer too many questions wrongly",
    "circuit_open": "they had just failed three times in a row",
    "health_below_0.3": "too many checks and requests failed there",
    "max_latency": "their first token usually takes longer than your max_latency_ms",
    "saturated": "all of their slots were taken",
}
SERVED = "served"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that could have served. share: its part of the draw, 0 to 1. Scores are 0 to 1."""

    owner: str
    model: str
    share: float
    trust: float
    health: float
    consistency: float
    expected_ms: int
    expected_cost_nanos: int
    served: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    owner: str
    words: str
    after_ms: int


@dataclass(frozen=True, slots=True)
class Why:
    """left_out: (how many servers, why), the most frequent reason first."""

    candidates: tuple[Candidate, ...]
    left_out: tuple[tuple[int, str], ...]
    attempts: tuple[Attempt, ...]

    @property
    def served(self) -> Candidate | None:
        return next((one for one in self.candidates if one.served), None)


def in_words(explanation: Mapping[str, Any], server_id: int | None) -> Why:
    """server_id: of the server that served, None when nobody did. Explanations of older releases may lack parts."""
    reasons: Counter[str] = Counter(explanation.get("filters", {}).values())
    return Why(
        candidates=tuple(
            Candidate(
                owner=row["owner"],
                model=row["model"],
                share=row["share"],
                trust=row["trust"],
                health=row["health"],
                consistency=row["consistency"],
                expected_ms=row["expected_ms"],
                expected_cost_nanos=row["expected_cost_nanos"],
                served=row["server"] == server_id,
            )
            for row in explanation.get("factors", ())
        ),
        left_out=tuple((count, LEFT_OUT.get(reason, reason)) for reason, count in reasons.most_common()),
        attempts=tuple(
            Attempt(
                row["owner"],
                "it answered" if row["outcome"] == SERVED else f"it failed: {row['outcome']}",
                row["after_ms"],
            )
            for row in explanation.get("attempts", ())
        ),
    )
