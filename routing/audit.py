"""Invariants between requests, hourly sums and the books, in the form of `billing.invariants`; and what was found."""

import datetime as dt
from collections.abc import Mapping, Sequence

from django.utils import timezone

from billing.audit import Difference
from billing.invariants import Invariant
from routing.models import AuditRun

FOUND_KEPT_MAX = 20  # differences of a run that are kept in words
RUNS_KEPT = dt.timedelta(days=30)

USAGE_HOURS = Invariant(
    "a key's hourly sums are the sums of its posted charges",
    """
    SELECT 'customer ' || coalesce(u.customer_id, c.customer_id),
           format('key %s at %s: hours say %s, charges say %s (requests, input, output, gross, fee, net)',
                  coalesce(u.key_id, c.key_id), coalesce(u.hour, c.hour), u.sums, c.sums)
      FROM (SELECT customer_id, key_id, hour,
                   ARRAY[sum(requests), sum(input_tokens), sum(output_tokens), sum(gross_nanos),
                         sum(fee_nanos), sum(net_nanos)] AS sums
              FROM routing_usagehour GROUP BY customer_id, key_id, hour) AS u
      FULL JOIN (SELECT a.customer_id, c.key_id, date_trunc('hour', c.settled_at, 'UTC') AS hour,
                        ARRAY[count(*), sum(c.input_tokens), sum(c.output_tokens), sum(c.gross_nanos),
                              sum(c.fee_nanos), sum(c.net_nanos)] AS sums
                   FROM billing_charge c JOIN billing_ledgeraccount a ON a.id = c.account_id
                  WHERE c.state = 'posted' GROUP BY 1, 2, 3) AS c
             ON (c.customer_id, c.key_id, c.hour) = (u.customer_id, u.key_id, u.hour)
     WHERE u.sums IS DISTINCT FROM c.sums
    """,
)
OFFER_HOURS = Invariant(
    "a hoster's hourly sums are the sums of the charges paid to it",
    """
    SELECT 'customer ' || coalesce(o.customer_id, c.customer_id),
           format('as a hoster, at %s: hours say %s, charges say %s (gross, fee, net)',
                  coalesce(o.hour, c.hour), o.sums, c.sums)
      FROM (SELECT h.customer_id, o.hour,
                   ARRAY[sum(o.gross_nanos), sum(o.fee_nanos), sum(o.net_nanos)] AS sums
              FROM routing_offerhour o JOIN hosting_server s ON s.id = o.server_id
              JOIN hosting_hoster h ON h.id = s.hoster_id GROUP BY 1, 2) AS o
      FULL JOIN (SELECT a.customer_id, date_trunc('hour', c.settled_at, 'UTC') AS hour,
                        ARRAY[sum(c.gross_nanos), sum(c.fee_nanos), sum(c.net_nanos)] AS sums
                   FROM billing_charge c
                   JOIN billing_ledgeraccount a ON a.id = c.payee[c.quote] AND a.kind = 'hoster_pending'
                  WHERE c.state = 'posted' GROUP BY 1, 2) AS c
             ON (c.customer_id, c.hour) = (o.customer_id, o.hour)
     WHERE o.sums IS DISTINCT FROM c.sums
    """,
)
REQUESTS = Invariant(
    "every posted charge was served, and every request costs what was charged for it",
    """
    SELECT 'charge ' || coalesce(c.id, r.id),
           CASE WHEN r.id IS NULL THEN format('posted with gross %s, but there is no request', c.gross_nanos)
                WHEN c.id IS NULL THEN 'there is a request, but no charge'
                ELSE format('request: cost %s, tokens %s + %s, customer %s; '
                            'charge (%s): %s, %s + %s, customer %s',
                            r.cost_nanos, r.input_tokens, r.output_tokens, r.customer_id, c.state,
                            c.gross_nanos, c.input_tokens, c.output_tokens, a.customer_id) END
      FROM billing_charge c JOIN billing_ledgeraccount a ON a.id = c.account_id
      FULL JOIN routing_inferencerequest r ON r.id = c.id
     WHERE r.id IS NULL AND c.state = 'posted' OR c.id IS NULL
        OR r.id IS NOT NULL AND (c.state = 'held' OR r.cost_nanos <> coalesce(c.gross_nanos, 0)
           OR r.customer_id <> a.customer_id OR r.key_id <> c.key_id
           OR c.state = 'posted' AND (r.input_tokens, r.output_tokens) <> (c.input_tokens, c.output_tokens))
    """,
)

INVARIANTS = (USAGE_HOURS, OFFER_HOURS, REQUESTS)


def keep(
    started_at: dt.datetime, differences: Sequence[Difference], sums: Mapping[str, int] | None = None
) -> AuditRun:
    """Write down what a run found, for the dashboard and /metrics; forget the runs of more than a month ago.

    sums: nanodollars by kind of account (`billing.audit.sums`).
    """
    AuditRun.objects.filter(finished_at__lt=timezone.now() - RUNS_KEPT).delete()
    found = [str(difference) for difference in differences[:FOUND_KEPT_MAX]]
    return AuditRun.objects.create(
        started_at=started_at, differences=len(differences), found=found, sums=dict(sums or {})
    )
