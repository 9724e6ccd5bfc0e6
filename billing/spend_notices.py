"""Told in time: a key has used half, four fifths or all of its spending limit in the running period."""

from django.db import connection

from accounts.models import Customer
from billing import notices
from billing.models import Notice

PERCENTS = (100, 80, 50)

REACHED = """
-- billing_spendwindow_once for each key with a limit; only windows of the running period, from 50 % on.
-- Whole percents, rounded: what is left of 99.5 % and more is too little for most requests.
SELECT k.id, k.customer_id, k.name, k.visible_part, k.spend_period, k.spend_limit_nanos, w.starts_at, w.spent_nanos,
       round(w.spent_nanos::numeric * 100 / k.spend_limit_nanos)::int
  FROM accounts_apikey k
  JOIN billing_spendwindow w ON w.key_id = k.id AND w.starts_at = billing_spend_window(k.spend_period)
 WHERE k.spend_limit_nanos > 0 AND k.revoked_at IS NULL
   AND w.spent_nanos::numeric * 200 >= k.spend_limit_nanos * 99::numeric
 ORDER BY k.id
"""


def tell_all() -> int:
    """Tell every customer once of each step that a key reached, the highest only; how many were told.

    A limit that is changed is another limit: its steps are told anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(REACHED)
        rows = cursor.fetchall()
    steps = {}
    for key, customer, name, visible_part, period, limit_nanos, starts_at, spent_nanos, percent in rows:
        step = next((step for step in PERCENTS if percent >= step), None)
        if step is not None:
            facts = {
                "key": name, "visible_part": visible_part, "percent": percent, "period": period,
                "spent_nanos": spent_nanos, "limit_nanos": limit_nanos, "since": starts_at.isoformat(),
            }  # fmt: skip
            subject = f"spending:{key}:{starts_at:%Y%m%d}:{period}:{limit_nanos}:{step}"
            steps[subject] = Customer(pk=customer), f"spending_{step}", facts
    told = set(Notice.objects.filter(subject__in=steps).values_list("subject", flat=True))
    untold = [(subject, *steps[subject]) for subject in steps.keys() - told]
    return sum(notices.tell(customer, kind, subject, facts) for subject, customer, kind, facts in untold)
