"""Trust of every hoster, from what was recorded: `hosting.trust` judges, this reads the events and keeps the score."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db import connection

from hosting import trust
from hosting.models import HostedModel, Hoster
from hosting.trust import Events
from routing import claims, verdicts

SETTLED_AFTER = dt.timedelta(seconds=70)  # by then what was booked in a minute can be seen
CLOCK = "SELECT date_trunc('minute', app_now())"
OUTCOMES = """
-- hosting_serverminute_once for each server: a week of minutes that no request can be added to any more
SELECT coalesce(sum(m.served), 0)::bigint, coalesce(sum(m.failed), 0)::bigint
  FROM hosting_server s JOIN hosting_serverminute m ON m.server_id = s.id
 WHERE s.hoster_id = %(hoster)s AND m.minute > %(as_of)s - interval '7 days'
   AND m.minute <= %(as_of)s - interval '70 seconds'
"""
PAYERS = """
-- routing_payerday_once for each server: a month of whole days; only customers who bought credit, and not the hoster
SELECT p.customer_id, sum(p.requests)::bigint
  FROM hosting_server s JOIN routing_payerday p ON p.server_id = s.id
  JOIN billing_ledgeraccount a ON a.customer_id = p.customer_id AND a.kind = 'customer'
 WHERE s.hoster_id = %(hoster)s AND p.customer_id <> %(own)s
   AND p.day >= (%(as_of)s - interval '30 days')::date AND p.day < (%(as_of)s AT TIME ZONE 'UTC')::date
   AND EXISTS (SELECT 1 FROM billing_transfer t WHERE t.credit_id = a.id AND t.kind = 'sale'
                                                  AND t.created_at < %(as_of)s)
 GROUP BY p.customer_id ORDER BY p.customer_id
"""
DISPUTES = """
-- billing_dispute_payee: upheld within a month, of requests that this hoster served
SELECT count(*)::int FROM billing_dispute d
 WHERE d.payee_id = %(own)s AND d.state = 'upheld' AND d.decided_at > %(as_of)s - interval '30 days'
   AND d.decided_at <= %(as_of)s
"""
ANSWERS = """
-- hosting_consistencyanswer_last for each offer: counted answers of a week
SELECT o.id, count(*)::int
  FROM hosting_server s JOIN hosting_hostedmodel o ON o.server_id = s.id
  JOIN hosting_consistencyanswer c ON c.offer_id = o.id
 WHERE s.hoster_id = %(hoster)s AND c.counted AND c.answered_at > %(as_of)s - interval '7 days'
   AND c.answered_at <= %(as_of)s
 GROUP BY o.id ORDER BY o.id
"""


def judge_all() -> int:
    """Compute every hoster's trust anew; how many changed."""
    with connection.cursor() as cursor:
        cursor.execute(CLOCK)
        (now,) = cursor.fetchone()
    latest = claims.latest(until=now - SETTLED_AFTER)
    hosters = Hoster.objects.order_by("pk")
    return sum(keep(hoster, events_of(hoster, as_of=now, latest=latest), as_of=now) for hoster in hosters)


def keep(hoster: Hoster, events: Events, *, as_of: dt.datetime) -> bool:
    """Store the score of these events with its parts, and in its history; whether it changed."""
    found = trust.trust(events)
    parts: dict[str, Any] = found.parts(events)
    changed = (hoster.trust, hoster.is_new) != (found.score, found.is_new)
    # trust belongs to no trigger: no version rises, and the directories see it within a second
    days = trust.remembered(hoster.trust_days, day=as_of.astimezone(dt.UTC).date(), score=found.score)
    Hoster.objects.filter(pk=hoster.pk).update(
        trust=found.score, is_new=found.is_new, trust_parts=parts, trust_at=as_of, trust_days=days
    )
    return changed


def events_of(hoster: Hoster, *, as_of: dt.datetime, latest: list[claims.Claims] | None = None) -> Events:
    """What was recorded of a hoster before that moment.

    latest: everybody's claims until then, for a caller who has read them.
    """
    if latest is None:
        latest = claims.latest(until=as_of - SETTLED_AFTER)
    asked: Mapping[str, Any] = {"hoster": hoster.pk, "own": hoster.customer_id, "as_of": as_of}
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES, asked)
        served, failed = cursor.fetchone()
        cursor.execute(PAYERS, asked)
        payers = dict(cursor.fetchall())
        cursor.execute(DISPUTES, asked)
        (disputed,) = cursor.fetchone()
        cursor.execute(ANSWERS, asked)
        answers = dict(cursor.fetchall())
    offers = HostedModel.objects.select_related("server").filter(pk__in=answers).order_by("pk")
    scores = [(verdicts.judge(offer, as_of=as_of).score, answers[offer.pk]) for offer in offers]
    total = sum(weight for _, weight in scores)
    return Events(
        served=served,
        failed=failed,
        consistency=sum(score * weight for score, weight in scores) / total if total else 1.0,
        answers=total,
        claims_ratio=worst_ratio(hoster, latest),
        disputes=disputed,
        payers=payers,
        age_days=max((as_of - hoster.created_at).total_seconds() / 86_400, 0.0),
    )


def worst_ratio(hoster: Hoster, latest: list[claims.Claims]) -> float | None:
    """The highest ratio of token claims among the hoster's models; None where nobody can be compared."""
    ratios = []
    for own in latest:
        if own.hoster_id != hoster.pk:
            continue
        peers = [one for one in latest if one.model == own.model]
        for side in ("input", "output"):
            found = claims.ratio(getattr(own, side), claims.others_of(own, peers, side))
            if found is not None:
                ratios.append(found)
    return max(ratios, default=None)
