"""Why a hoster's servers were not asked: of the decisions that were kept, which factor spoke against them most."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection

DECISIONS_MAX = 500
WORDS = {
    "trust": "trust",
    "health": "health",
    "consistency": "consistency",
    "expected_ms": "speed",
    "expected_cost_nanos": "price",
}
LOWER_IS_BETTER = frozenset({"expected_ms", "expected_cost_nanos"})
CHANCE = "the draw"  # nothing spoke against it

DECISIONS = """
-- routing_inferencerequest_sampled, a day of it from its end: decisions on models that the hoster offers
SELECT r.explanation::text FROM routing_inferencerequest r
 WHERE r.success AND r.explanation IS NOT NULL
   AND r.id > (lpad(to_hex((extract(epoch FROM app_now() - interval '1 day') * 1000)::bigint), 12, '0')
               || repeat('0', 20))::uuid
   AND r.model_id IN (SELECT o.model_id FROM hosting_hostedmodel o WHERE o.server_id = ANY (%(servers)s))
 ORDER BY r.id DESC LIMIT %(most)s
"""


@dataclass(slots=True)
class Losses:
    """Of `decisions` that a hoster's servers could have had, `asked_first` were theirs; the others, by reason."""

    decisions: int = 0
    asked_first: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def ranked(self) -> list[tuple[str, int]]:
        return self.reasons.most_common()


def of_servers(servers: set[int]) -> Losses:
    """A sample of the last day's decisions, from the side of these servers of one hoster."""
    with connection.cursor() as cursor:
        cursor.execute(DECISIONS, {"servers": list(servers), "most": DECISIONS_MAX})
        decisions = [orjson.loads(explanation) for (explanation,) in cursor.fetchall()]
    return count(decisions, servers)


def count(decisions: list[dict[str, Any]], servers: set[int]) -> Losses:
    """decisions: explanations as they are kept with requests. servers: the hoster's."""
    found = Losses()
    for decision in decisions:
        factors = {row["server"]: row for row in decision["factors"]}
        filtered = {int(server): reason for server, reason in decision["filters"].items()}
        drawn = decision["draw"]["servers"]
        own = servers & (factors.keys() | filtered.keys())
        if not own or not drawn:
            continue
        found.decisions += 1
        if drawn[0] in servers:
            found.asked_first += 1
        elif weighed := own & factors.keys():
            best = max(weighed, key=lambda server: factors[server]["share"])
            found.reasons[against(factors[best], factors.get(drawn[0]))] += 1
        else:
            found.reasons[filtered[min(own)]] += 1
    return found


def against(own: Mapping[str, Any], winner: Mapping[str, Any] | None) -> str:
    """The factor by which a server stood worst beside the one that was drawn."""
    if winner is None:
        return CHANCE
    ratios = {
        name: (winner[name] or 1) / (own[name] or 1)
        if name in LOWER_IS_BETTER
        else (own[name] or 0.01) / (winner[name] or 0.01)
        for name in WORDS
    }
    worst = min(ratios, key=ratios.__getitem__)
    return WORDS[worst] if ratios[worst] < 0.99 else CHANCE
