"""What became spendable in a day: told to each hoster once, when the day is over."""

import datetime as dt

from django.db import connection, transaction

from accounts.models import Customer
from billing import notices

KIND = "release_summary"
HOSTERS_MAX = 1_000  # of one run; what is left is for the next one

YESTERDAYS = """
-- each hoster's pending account: yesterday's range of billing_transfer_debit, unless it was told (the notice's subject)
WITH yesterday AS (
    SELECT date_trunc('day', app_now(), 'UTC') - interval '1 day' AS day
), owner AS (
    SELECT p.id, p.customer_id, y.day,
           'release:' || p.customer_id || ':' || to_char(y.day AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS subject
      FROM billing_ledgeraccount p, yesterday y WHERE p.kind = 'hoster_pending'
)
SELECT o.customer_id, o.subject, (o.day AT TIME ZONE 'UTC')::date, t.amount
  FROM owner o CROSS JOIN LATERAL (
       SELECT sum(t.amount_nanos)::bigint AS amount FROM billing_transfer t
        WHERE t.debit_id = o.id AND t.kind = 'release'
          AND t.created_at >= o.day AND t.created_at < o.day + interval '1 day') AS t
 WHERE t.amount > 0 AND NOT EXISTS (SELECT FROM billing_notice n WHERE n.subject = o.subject)
 ORDER BY o.customer_id LIMIT %(most)s
"""


def tell_yesterdays() -> int:
    """Keep a notice of what was released yesterday (UTC) for each hoster who had something; how many. Safe twice."""
    with connection.cursor() as cursor:
        cursor.execute(YESTERDAYS, {"most": HOSTERS_MAX})
        found: list[tuple[int, str, dt.date, int]] = cursor.fetchall()
    told = 0
    for customer, subject, day, amount_nanos in found:
        facts = {"day": day.isoformat(), "amount_nanos": amount_nanos}
        with transaction.atomic():
            told += notices.tell(Customer(pk=customer), KIND, subject, facts)
    return told
