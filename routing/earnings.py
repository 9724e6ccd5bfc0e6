"""Reads for /v1/earnings: what a hoster's servers earned (hourly sums), where that money is (the ledger)."""

import datetime as dt
from dataclasses import dataclass, field

from accounts.models import Customer
from billing import lifetime
from billing.lifetime import Lifetime
from routing import periods, usage
from routing.usage import SUMS, Group, ModelSums, PeriodSums, rows

PROVIDER = "hoster"

STANDING = """
-- one hoster (unique by customer), its pending account (customer, kind) and that account's maturities
-- (billing_maturity_once), one for each minute of the last 24 hours at most, and its refunds (billing_transfer_out)
SELECT h.name, coalesce(sum(m.amount_nanos), 0)::bigint, min(m.matures_at),
       coalesce(max(a.posted_nanos - a.held_nanos), 0),
       (SELECT coalesce(sum(t.amount_nanos), 0)::bigint FROM billing_transfer t
         WHERE t.debit_id IN (SELECT l.id FROM billing_ledgeraccount l WHERE l.customer_id = h.customer_id
                               AND l.kind IN ('hoster_pending', 'hoster_disputed'))
           AND t.kind = 'refund' AND t.created_at >= %(since)s)
  FROM hosting_hoster h
  LEFT JOIN billing_ledgeraccount a ON a.customer_id = h.customer_id AND a.kind = 'customer'
  LEFT JOIN billing_ledgeraccount p ON p.customer_id = h.customer_id AND p.kind = 'hoster_pending'
  LEFT JOIN billing_maturity m ON m.account_id = p.id
 WHERE h.customer_id = %(customer)s GROUP BY h.id, p.id
"""
# Each reads a range of routing_offerhour_once (server, hour, model) for each of the hoster's servers.
OF_HOSTER = """
  FROM routing_offerhour u
  JOIN hosting_server s ON s.id = u.server_id JOIN hosting_hoster h ON h.id = s.hoster_id
 WHERE h.customer_id = %(customer)s AND u.hour >= %(since)s
"""
BY_MODEL = f"""
SELECT u.model_id, {SUMS} {OF_HOSTER}
 GROUP BY u.model_id ORDER BY sum(u.net_nanos) DESC, sum(u.requests) DESC, u.model_id
"""
OVER_TIME = f"""
SELECT u.model_id, date_trunc(%(interval)s, u.hour, 'UTC'), {SUMS} {OF_HOSTER} GROUP BY 1, 2
"""
BREAKDOWN = f"""
-- by model and by day in one snapshot, so that both add up to the same
SELECT u.model_id, date_trunc('day', u.hour, 'UTC') AS day, {SUMS} {OF_HOSTER}
 GROUP BY GROUPING SETS ((u.model_id), (day)) ORDER BY sum(u.net_nanos) DESC, sum(u.requests) DESC, u.model_id
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A hoster's money. For a customer who hosts nothing: hoster None, zeros, empty lists.

    total_earned is net of the fee, over the period, as it was booked; reversed is what was taken back of
    earnings in the period. pending waits for its 24 hours, frozen for the verdict of a dispute. available is what the
    linked customer account can spend now (posted − held): released earnings and other credit are one balance.
    `billing.lifetime` says where everything is that was ever earned.
    """

    hoster: str | None = None
    total_earned_nanos: int = 0
    reversed_nanos: int = 0
    pending_nanos: int = 0
    available_nanos: int = 0
    lifetime: Lifetime = field(default_factory=Lifetime)
    next_release_at: dt.datetime | None = None
    daily: list[PeriodSums] = field(default_factory=list)
    by_model: list[ModelSums] = field(default_factory=list)


def statement(customer_id: int, *, days: int) -> Statement:
    """The earnings of the hoster linked to this customer, over the last `days` calendar days."""
    until = usage.now()
    hoster = {"customer": customer_id, "since": periods.since(until, days)}
    standing = rows(STANDING, hoster)
    if not standing:
        return Statement()
    name, pending_nanos, next_release_at, available_nanos, reversed_nanos = standing[0]
    found = rows(BREAKDOWN, hoster)
    models = [ModelSums(*row[2:], model_id=row[0], provider=PROVIDER) for row in found if row[1] is None]
    by_day = {row[1]: PeriodSums(*row[2:], period=row[1]) for row in found if row[1] is not None}
    return Statement(
        hoster=name,
        total_earned_nanos=sum(model.net_nanos for model in models),
        reversed_nanos=reversed_nanos,
        pending_nanos=pending_nanos,
        lifetime=lifetime.of(Customer(pk=customer_id)),
        available_nanos=available_nanos,
        next_release_at=next_release_at,
        daily=usage.without_gaps(by_day, periods.series(until, days, "day")),
        by_model=models,
    )


def over_time(
    customer_id: int, *, now: dt.datetime, days: int, interval: str, groups_max: int
) -> list[Group]:
    """The earnings of each model by period, without gaps; what exceeds groups_max is added up as the last."""
    asked = {"customer": customer_id, "since": periods.since(now, days), "interval": interval}
    return usage.arranged(rows(OVER_TIME, asked), periods.series(now, days, interval), groups_max)


def by_model(customer_id: int, *, days: int) -> list[ModelSums]:
    """One entry for each model of the hoster's servers, the best earning first."""
    found = rows(BY_MODEL, {"customer": customer_id, "since": periods.since(usage.now(), days)})
    return [ModelSums(*row[1:], model_id=row[0], provider=PROVIDER) for row in found]
