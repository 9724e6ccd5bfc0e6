"""Does a server count tokens as the others do? Its claims beside what was delivered, and beside other owners' claims.

A claim is compared per byte of text: every honest server of a model needs about as many tokens for a byte. The text of
single answers differs, so only many of them say something: from 20 on it is looked at, 200 decide.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any

from django.db import connection

from hosting import moderation
from hosting.models import HostedModel
from hosting.moderation import Kind
from routing import conviction, suspicion

RULE = "token-claims"
RATIO_MAX = 1.15
REQUESTS_MIN = 20
REQUESTS_FULL = 200
LOOKED_AT_MAX = 5_000  # of a server's last requests: a rare model of a busy server costs no more than this
OWNERS_MIN = 2
SIGMAS = 5.0  # before 200 requests the ratio must exceed the limit by so many standard errors
AGAIN_AFTER_H = 6
INPUT_BYTES_MIN = 2_000  # of shorter prompts the frame of a template is too large a part
ALLOWANCE = {"output": 1, "input": 8}  # tokens of a claim that no text shows: an end sign, a template's frame

CLAIMS = """
-- for each offer of hosters the latest claims since the rule acted on it last, by routing_inferencerequest_server;
-- without those of which the text does not show the tokens, and those whose customer chose the server
SELECT o.model_id, s.hoster_id, o.id, r.claimed_input_tokens, r.claimed_output_tokens, r.input_bytes, r.output_bytes
  FROM hosting_hostedmodel o JOIN hosting_server s ON s.id = o.server_id JOIN hosting_hoster h ON h.id = s.hoster_id,
 LATERAL (SELECT * FROM (SELECT * FROM routing_inferencerequest i
                          WHERE i.server_id = s.id AND i.id > %(after)s::uuid ORDER BY i.id DESC LIMIT %(looked_at)s) q
           WHERE q.model_id = o.model_id AND q.success AND q.created_at <= %(until)s
             AND q.endpoint <> 'embeddings' AND q.outcome = 'finished' AND q.output_bytes > 0
             AND q.claimed_output_tokens IS NOT NULL AND q.claimed_input_tokens IS NOT NULL
             AND q.claimed_output_tokens < 4 * q.output_bytes AND q.flags & %(uneven)s = 0
             AND q.created_at > coalesce((SELECT max(a.created_at) FROM hosting_moderationaction a
                                           WHERE a.hoster_id = h.id AND a.server_id = s.id AND a.rule = %(rule)s
                                             AND a.created_at <= %(until)s),
                                         '-infinity')
           ORDER BY q.id DESC LIMIT %(most)s) AS r
 WHERE NOT EXISTS (SELECT 1 FROM hosting_moderationaction a
                    WHERE a.hoster_id = h.id AND a.server_id = s.id AND a.rule = %(rule)s AND a.created_at <= %(until)s
                      AND a.created_at > %(until)s - make_interval(hours => %(again)s))
 ORDER BY o.model_id, s.hoster_id, o.id
"""
SINCE = """
-- hosting_moderationaction_last: a day ago, or when the rule acted on the server last; and the day's first UUIDv7
SELECT greatest(app_now() - interval '1 day', max(created_at)) FROM hosting_moderationaction
 WHERE hoster_id = %(hoster)s AND server_id = %(server)s AND rule = %(rule)s
"""
DAY_AGO = """
SELECT until, lpad(to_hex((extract(epoch FROM until - interval '1 day') * 1000)::bigint), 12, '0') || repeat('0', 20)
  FROM coalesce(%(until)s::timestamptz, app_now()) AS t (until)
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """Claims of many requests: tokens, the bytes that they are for, and how much single ones differ."""

    requests: int
    tokens: int
    size_bytes: int
    error: float  # standard error of tokens per byte

    @property
    def rate(self) -> float:
        """Tokens per byte."""
        return self.tokens / self.size_bytes if self.size_bytes else 0.0

    @classmethod
    def of(cls, claims: Sequence[tuple[int, int]], *, allowance: int = 0) -> "Sums":
        """claims: (tokens, bytes) of each request. allowance: tokens of each that are not looked at."""
        tokens = sum(max(claimed - allowance, 0) for claimed, _ in claims)
        size_bytes = sum(size for _, size in claims)
        rate = tokens / size_bytes if size_bytes else 0.0
        squares = sum((max(claimed - allowance, 0) - rate * size) ** 2 for claimed, size in claims)
        return cls(len(claims), tokens, size_bytes, math.sqrt(squares) / size_bytes if size_bytes else 0.0)


def ratio(own: Sequence[tuple[int, int]], others: Mapping[int, Sequence[tuple[int, int]]]) -> float | None:
    """The server's tokens per byte beside the others' median; None when too few can be compared.

    others: claims by owner. One owner is one vote, and needs 20 claims for it.
    """
    usual = usual_rate(others)
    if usual is None or len(own) < REQUESTS_MIN:
        return None
    return Sums.of(own).rate / usual


def usual_rate(others: Mapping[int, Sequence[tuple[int, int]]]) -> float | None:
    """The median of other owners' tokens per byte; None with fewer than two owners."""
    rates = [Sums.of(claims).rate for claims in others.values() if len(claims) >= REQUESTS_MIN]
    usual = median(rates) if len(rates) >= OWNERS_MIN else 0.0
    return usual or None


def is_inflated(
    own: Sequence[tuple[int, int]], others: Mapping[int, Sequence[tuple[int, int]]], *, allowance: int
) -> bool:
    """Whether the claims exceed the others' median by more than 15 %, and not by chance."""
    usual = usual_rate(others)
    if usual is None or len(own) < REQUESTS_MIN:
        return False
    sums = Sums.of(own, allowance=allowance)
    margin = 0.0 if len(own) >= REQUESTS_FULL else SIGMAS * sums.error
    return sums.rate - margin > RATIO_MAX * usual


@dataclass(frozen=True, slots=True)
class Claims:
    """The latest claims of one offer, (tokens, bytes) of each request, for both sides of it."""

    offer_id: int
    hoster_id: int
    model: str
    input: tuple[tuple[int, int], ...]
    output: tuple[tuple[int, int], ...]


def watch() -> int:
    """Put hosters on probation whose servers claim too much, and give the excess back; of how many servers."""
    found = 0
    for _model, group in groupby(latest(), key=lambda claims: claims.model):
        offers = list(group)
        for own in offers:
            sides = {side: _inflation(own, offers, side) for side in ("input", "output")}
            if any(sides.values()):
                _act(own, sides)
                found += 1
    return found


def latest(*, until: dt.datetime | None = None) -> list[Claims]:
    """The claims of a day, at most 200 of each offer, by model. until: now, unless given."""
    with connection.cursor() as cursor:
        cursor.execute(DAY_AGO, {"until": until})
        until, after = cursor.fetchone()
        cursor.execute(
            CLAIMS,
            {
                "until": until,
                "after": after,
                "most": REQUESTS_FULL,
                "looked_at": LOOKED_AT_MAX,
                "rule": RULE,
                "again": AGAIN_AFTER_H,
                "uneven": suspicion.CHOSEN | suspicion.UNEVEN,
            },
        )
        rows = cursor.fetchall()
    return [
        Claims(
            offer_id=offer,
            hoster_id=hoster,
            model=model,
            input=tuple((row[3], row[5]) for row in listed if row[5] >= INPUT_BYTES_MIN),
            output=tuple((row[4], row[6]) for row in listed),
        )
        for (model, hoster, offer), group in groupby(rows, key=lambda row: row[:3])
        for listed in [list(group)]
    ]


def others_of(own: Claims, offers: Sequence[Claims], side: str) -> dict[int, list[tuple[int, int]]]:
    """The claims of the model's other owners."""
    found: dict[int, list[tuple[int, int]]] = {}
    for claims in offers:
        if claims.hoster_id != own.hoster_id:
            found.setdefault(claims.hoster_id, []).extend(getattr(claims, side))
    return found


def _inflation(own: Claims, offers: Sequence[Claims], side: str) -> float | None:
    """By how much the claims of one side exceed the others'; None when they do not, or not provably."""
    others = others_of(own, offers, side)
    if not is_inflated(getattr(own, side), others, allowance=ALLOWANCE[side]):
        return None
    return ratio(getattr(own, side), others)


def _act(own: Claims, sides: dict[str, float | None]) -> None:
    offer = HostedModel.objects.select_related("server__hoster__customer__user").get(pk=own.offer_id)
    hoster = offer.server.hoster
    assert hoster is not None
    excess = ", ".join(f"{value:.2f} times as many {side} tokens" for side, value in sides.items() if value)
    with connection.cursor() as cursor:
        cursor.execute(SINCE, {"hoster": hoster.pk, "server": offer.server_id, "rule": RULE})
        (since,) = cursor.fetchone()
    evidence: dict[str, Any] = {
        "requests": len(own.output),
        "ratio": {side: round(value, 4) for side, value in sides.items() if value},
        **conviction.reversal(
            server_id=offer.server_id,
            model=offer.model_id,
            since=since,
            keep_input=1 / (sides["input"] or 1.0),
            keep_output=1 / (sides["output"] or 1.0),
        ),
    }
    reason = (
        f"{offer.server.name} claims {excess} for the same text as the other servers of {offer.model_id} "
        f"(over {len(own.output)} requests). You get half of your traffic, and the excess that was not released yet "
        "goes back to the customers. Check how your server counts, then answer on your portal."
    )
    # Who is treated as strictly already is told, and gives back as well.
    for kind in (Kind.PROBATION, Kind.NOTICE):
        action = moderation.act(
            kind, hoster, server=offer.server, rule=RULE, reason=reason, evidence=evidence
        )
        if action is not None:
            conviction.carry_out(action)
            return
