"""Trust: how far a hoster has shown that it keeps its word. Slow to rise, quick to fall, and each part is shown.

    quality = success · consistency · honesty · disputes
    trust   = 0.5 + (quality − 0.5) · confidence

Confidence grows with requests of customers who pay with bought money, of which one counts for at most a fifth of what
is needed, and with age; what is bad needs less evidence than what is good. Pure: the same events give the same score.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

START = 0.5
VOLUME_FULL = 200  # requests of paying customers, for full confidence
CUSTOMER_SHARE_MAX = 0.2  # of VOLUME_FULL, from one customer
AGE_FULL_DAYS = 7.0
AGE_FLOOR = 0.5  # of the confidence, at the first day
DOUBT_FULL = 100  # outcomes and answers, for full confidence that something is bad
ANSWER_WORTH = 5  # outcomes that one answer to a question of ours counts for, in doubt
OUTCOMES_PRIOR = 20  # good ones, so that the first failure is not all that is known
DISPUTES_FACTOR = 10.0  # one request in ten disputed rightly: nothing is left of this part
NEW_QUALITY_MIN = 0.8
DAYS_REMEMBERED = 90


@dataclass(frozen=True, slots=True)
class Events:
    """What was recorded of a hoster. served and failed: of the last week. consistency: of its models, by traffic.

    answers: to questions of ours. claims_ratio: its token claims beside the others' (1: as they), None where nobody
    can be compared. disputes: upheld, of the last month's requests. payers: requests of each customer who has bought
    credit, without the hoster's own account.
    """

    served: int = 0
    failed: int = 0
    consistency: float = 1.0
    answers: int = 0
    claims_ratio: float | None = None
    disputes: int = 0
    payers: Mapping[int, int] | None = None
    age_days: float = 0.0


@dataclass(frozen=True, slots=True)
class Trust:
    """The score and its parts, each from 0 to 1."""

    score: float
    is_new: bool  # not enough is known, and nothing bad
    success: float
    consistency: float
    honesty: float
    disputes: float
    volume: float
    age: float

    def parts(self, events: Events) -> dict[str, dict[str, Any]]:
        """The parts with words for the hoster, as they are stored."""
        values = asdict(self)
        ratio = (
            "nobody to compare with"
            if events.claims_ratio is None
            else f"{events.claims_ratio:.2f} × the others'"
        )
        payers = events.payers or {}
        details = {
            "success": f"{events.served:,} requests served and {events.failed:,} failed in 7 days",
            "consistency": f"{events.answers:,} answers to our questions",
            "honesty": f"token claims: {ratio}",
            "disputes": f"{events.disputes:,} disputes upheld in 30 days",
            "volume": f"{sum(payers.values()):,} requests of {len(payers):,} paying customers in 30 days; "
            f"one counts for at most {VOLUME_FULL * CUSTOMER_SHARE_MAX:.0f} of {VOLUME_FULL}",
            "age": f"{events.age_days:.1f} days; full after {AGE_FULL_DAYS:.0f}",
        }
        return {name: {"value": round(values[name], 4), "detail": detail} for name, detail in details.items()}


def trust(events: Events) -> Trust:
    """Judge the events."""
    success = (events.served + OUTCOMES_PRIOR) / (events.served + events.failed + OUTCOMES_PRIOR)
    honesty = 1.0 if events.claims_ratio is None else min(1.0, 1 / max(events.claims_ratio, 1.0) ** 3)
    disputes = (
        max(0.0, 1 - DISPUTES_FACTOR * events.disputes / max(events.served, 1)) if events.disputes else 1.0
    )
    volume = counted(events.payers or {}) / VOLUME_FULL
    age = min(events.age_days / AGE_FULL_DAYS, 1.0)
    quality = success * events.consistency * honesty * disputes
    if quality >= START:
        confidence = volume * (AGE_FLOOR + (1 - AGE_FLOOR) * age)
    else:
        evidence = events.served + events.failed + ANSWER_WORTH * events.answers
        confidence = min(evidence / DOUBT_FULL, 1.0)
    return Trust(
        score=min(max(START + (quality - START) * confidence, 0.0), 1.0),
        is_new=volume < 1 and quality >= NEW_QUALITY_MIN,
        success=success,
        consistency=events.consistency,
        honesty=honesty,
        disputes=disputes,
        volume=volume,
        age=age,
    )


def counted(payers: Mapping[int, int]) -> float:
    """The requests that count, up to VOLUME_FULL: of each customer at most its share of that."""
    most = VOLUME_FULL * CUSTOMER_SHARE_MAX
    return min(sum(min(requests, most) for requests in payers.values()), float(VOLUME_FULL))


def remembered(days: Mapping[str, float], *, day: dt.date, score: float) -> dict[str, float]:
    """The history of a score, by ISO date, with this day's latest in it; DAYS_REMEMBERED days of it."""
    first = (day - dt.timedelta(days=DAYS_REMEMBERED - 1)).isoformat()
    kept = {date: value for date, value in days.items() if date >= first}
    return {**kept, day.isoformat(): round(score, 4)}
