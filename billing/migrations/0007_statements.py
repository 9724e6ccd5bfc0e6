"""What statements read without going through history: the balance at the start of each month, what a hoster was released
on each day, and the few bookings that are no request's.
"""

from functools import partial

import django.db.models.deletion
from django.db import migrations, models

OPENING = """
-- Keep a customer's balance as it was before the first booking of a calendar month (UTC). A transaction that began before
-- midnight may come to the row after one that began later: then it is put in where it belongs, before the later months.
CREATE FUNCTION billing_open_month() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    this_month timestamptz := date_trunc('month', app_now(), 'UTC');
BEGIN
    IF OLD.month_starts_at IS NULL OR OLD.month_starts_at < this_month THEN
        INSERT INTO billing_openingbalance (account_id, starts_at, posted_nanos, earned_nanos, bought_nanos)
        VALUES (OLD.id, this_month, OLD.posted_nanos, OLD.earned_nanos, OLD.bought_nanos);
        NEW.month_starts_at := this_month;
    ELSE
        INSERT INTO billing_openingbalance (account_id, starts_at, posted_nanos, earned_nanos, bought_nanos)
        SELECT o.account_id, this_month, o.posted_nanos, o.earned_nanos, o.bought_nanos FROM billing_openingbalance o
         WHERE o.account_id = OLD.id AND o.starts_at > this_month ORDER BY o.starts_at LIMIT 1
        ON CONFLICT (account_id, starts_at) DO NOTHING;
        UPDATE billing_openingbalance o
           SET posted_nanos = o.posted_nanos + NEW.posted_nanos - OLD.posted_nanos,
               earned_nanos = o.earned_nanos + NEW.earned_nanos - OLD.earned_nanos,
               bought_nanos = o.bought_nanos + NEW.bought_nanos - OLD.bought_nanos
         WHERE o.account_id = OLD.id AND o.starts_at > this_month;
    END IF;
    RETURN NEW;
END $$;
-- Holds pay nothing for it; for bookings, but the first of a month, the condition is all that it costs.
CREATE TRIGGER billing_ledgeraccount_month
    BEFORE UPDATE OF posted_nanos, earned_nanos, bought_nanos ON billing_ledgeraccount FOR EACH ROW
    WHEN (OLD.kind = 'customer' AND OLD.month_starts_at IS DISTINCT FROM date_trunc('month', app_now(), 'UTC')
          AND (OLD.posted_nanos, OLD.earned_nanos, OLD.bought_nanos)
              IS DISTINCT FROM (NEW.posted_nanos, NEW.earned_nanos, NEW.bought_nanos))
    EXECUTE FUNCTION billing_open_month();
"""

INDEXES = """
-- Of an account's bookings, what is neither a request nor a release: few, among millions.
CREATE INDEX billing_transfer_out ON billing_transfer (debit_id, created_at)
    WHERE kind NOT IN ('charge', 'fee', 'release', 'recovery');
CREATE INDEX billing_transfer_in ON billing_transfer (credit_id, created_at)
    WHERE kind NOT IN ('charge', 'fee', 'release', 'recovery');
ALTER TABLE billing_releaseday SET (fillfactor = 50);  -- a busy hoster's row of the day changes every minute
DROP INDEX billing_transfer_refund;  -- its rows are those of billing_transfer_out
"""

HISTORY = """
-- What was booked before this migration; one pass over the transfers each.
INSERT INTO billing_openingbalance (account_id, starts_at, posted_nanos, earned_nanos, bought_nanos)
SELECT m.account, m.month, coalesce(sum(m.posted) OVER earlier, 0), coalesce(sum(m.earned) OVER earlier, 0),
       coalesce(sum(m.bought) OVER earlier, 0)
  FROM (SELECT s.account, date_trunc('month', s.created_at, 'UTC') AS month, sum(s.amount) AS posted,
               sum(s.earned) AS earned, sum(s.bought) AS bought
          FROM (SELECT credit_id, created_at, amount_nanos, earned_nanos, bought_nanos FROM billing_transfer
                UNION ALL
                SELECT debit_id, created_at, -amount_nanos, -earned_nanos, -bought_nanos FROM billing_transfer)
               AS s (account, created_at, amount, earned, bought)
          JOIN billing_ledgeraccount a ON a.id = s.account AND a.kind = 'customer'
         GROUP BY 1, 2) AS m
WINDOW earlier AS (PARTITION BY m.account ORDER BY m.month ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
UPDATE billing_ledgeraccount a SET month_starts_at = o.latest
  FROM (SELECT account_id, max(starts_at) AS latest FROM billing_openingbalance GROUP BY 1) AS o
 WHERE o.account_id = a.id;
INSERT INTO billing_releaseday (account_id, starts_at, releases, released_nanos, payable_nanos, kept_back_nanos)
SELECT t.debit_id, date_trunc('day', t.created_at, 'UTC'), count(*) FILTER (WHERE t.kind = 'release'),
       coalesce(sum(t.amount_nanos) FILTER (WHERE t.kind = 'release'), 0),
       coalesce(sum(t.earned_nanos) FILTER (WHERE t.kind = 'release'), 0),
       coalesce(sum(t.amount_nanos) FILTER (WHERE t.kind = 'recovery'), 0)
  FROM billing_transfer t WHERE t.kind IN ('release', 'recovery') GROUP BY 1, 2;
"""

RELEASE = """
-- Release matured earnings to the customers they belong to: one transfer for each maturity, and the row is gone. What
-- a hoster owes is kept back first, paid-for money before the rest. `amount` is all that left the pending accounts.
CREATE OR REPLACE FUNCTION billing_release(rows_max int) RETURNS TABLE (released int, amount bigint) LANGUAGE plpgsql AS $$
DECLARE
    due_ids bigint[] := ARRAY(SELECT m.id FROM billing_maturity m WHERE m.matures_at <= app_now()
                               ORDER BY m.matures_at LIMIT rows_max);
    loss_account bigint := (SELECT l.id FROM billing_ledgeraccount l WHERE l.kind = 'platform_loss');
BEGIN
    -- Two releases for one hoster wait for each other here, so that a debt is not kept back twice.
    PERFORM 1 FROM billing_ledgeraccount a WHERE a.kind = 'customer' AND a.customer_id IN (
        SELECT p.customer_id FROM billing_maturity m JOIN billing_ledgeraccount p ON p.id = m.account_id
         WHERE m.id = ANY (due_ids)) ORDER BY a.id FOR UPDATE;
    RETURN QUERY
    WITH due AS (
        SELECT m.* FROM billing_maturity m WHERE m.id = ANY (due_ids) ORDER BY m.id FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM billing_maturity m USING due WHERE m.id = due.id
        RETURNING m.id, m.account_id, m.matures_at, m.amount_nanos, m.payable_nanos
    ), owned AS (
        SELECT g.*, a.id AS customer_account,
               greatest(least(g.amount_nanos, coalesce(d.owed_nanos, 0) - coalesce(sum(g.amount_nanos) OVER (
                   PARTITION BY g.account_id ORDER BY g.matures_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)), 0
               )::bigint AS kept
          FROM gone g JOIN billing_ledgeraccount p ON p.id = g.account_id
          JOIN billing_ledgeraccount a ON a.customer_id = p.customer_id AND a.kind = 'customer'
          LEFT JOIN billing_debt d ON d.account_id = g.account_id
    ), split AS (
        SELECT o.id, o.account_id, o.customer_account, o.amount_nanos, o.kept, o.amount_nanos - o.kept AS freed,
               least(o.kept, o.payable_nanos) AS kept_payable,
               o.payable_nanos - least(o.kept, o.payable_nanos) AS freed_payable
          FROM owned o
    ), transferred AS (
        INSERT INTO billing_transfer (id, kind, debit_id, credit_id, amount_nanos, earned_nanos, bought_nanos)
        SELECT encode(substring(sha256(convert_to('release:' || s.id, 'UTF8')) FOR 16), 'hex')::uuid, 'release',
               s.account_id, s.customer_account, s.freed, s.freed_payable, 0 FROM split s WHERE s.freed > 0
        UNION ALL
        SELECT encode(substring(sha256(convert_to('recovery:' || s.id, 'UTF8')) FOR 16), 'hex')::uuid, 'recovery',
               s.account_id, loss_account, s.kept, s.kept_payable, 0 FROM split s WHERE s.kept > 0
    ), repaid AS (
        UPDATE billing_debt d SET owed_nanos = d.owed_nanos - r.kept
          FROM (SELECT s.account_id, sum(s.kept)::bigint AS kept FROM split s GROUP BY 1) AS r
         WHERE d.account_id = r.account_id AND r.kept > 0
    ), counted AS (
        -- each hoster's row of the day is written under the lock of its customer's account, above
        INSERT INTO billing_releaseday AS r (account_id, starts_at, releases, released_nanos, payable_nanos,
                                             kept_back_nanos)
        SELECT s.account_id, date_trunc('day', app_now(), 'UTC'), count(*) FILTER (WHERE s.freed > 0), sum(s.freed),
               sum(s.freed_payable), sum(s.kept)
          FROM split s GROUP BY s.account_id
        ON CONFLICT (account_id, starts_at) DO UPDATE
           SET releases = r.releases + EXCLUDED.releases,
               released_nanos = r.released_nanos + EXCLUDED.released_nanos,
               payable_nanos = r.payable_nanos + EXCLUDED.payable_nanos,
               kept_back_nanos = r.kept_back_nanos + EXCLUDED.kept_back_nanos
    ), credited AS (
        UPDATE billing_ledgeraccount a
           SET posted_nanos = a.posted_nanos + d.amount, earned_nanos = a.earned_nanos + d.payable
          FROM (SELECT s.customer_account, sum(s.freed)::bigint AS amount, sum(s.freed_payable)::bigint AS payable
                  FROM split s GROUP BY s.customer_account) AS d
         WHERE a.id = d.customer_account
    )
    SELECT count(*)::int, coalesce(sum(s.amount_nanos), 0)::bigint FROM split s;
END $$;
"""


OF_ACCOUNT = [
    ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
    ("account", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="billing.ledgeraccount")),
    ("starts_at", models.DateTimeField()),
]
ONCE = partial(models.UniqueConstraint, fields=("account", "starts_at"))


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_idempotent_start")]
    operations = [
        migrations.AddField(
            "ledgeraccount",
            "month_starts_at",
            models.DateTimeField(help_text="the latest month with an opening balance", null=True),
        ),
        migrations.CreateModel(
            "OpeningBalance",
            fields=[
                *OF_ACCOUNT,
                ("posted_nanos", models.BigIntegerField()),
                ("earned_nanos", models.BigIntegerField()),
                ("bought_nanos", models.BigIntegerField()),
            ],
            options={"constraints": [ONCE(name="billing_openingbalance_once")]},
        ),
        migrations.CreateModel(
            "ReleaseDay",
            fields=[
                *OF_ACCOUNT,
                ("releases", models.BigIntegerField()),
                ("released_nanos", models.BigIntegerField()),
                (
                    "payable_nanos",
                    models.BigIntegerField(help_text="the part of released that somebody had paid for"),
                ),
                ("kept_back_nanos", models.BigIntegerField()),
            ],
            options={"constraints": [ONCE(name="billing_releaseday_once")]},
        ),
        *(migrations.RunSQL(part) for part in (INDEXES, RELEASE, OPENING, HISTORY)),
    ]
