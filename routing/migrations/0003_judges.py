"""Requests say why their server was chosen and what looked wrong; who sends how much to whom is kept by day."""

from importlib import import_module

import django.db.models.deletion
from django.db import migrations, models

TRIPS = import_module("routing.migrations.0002_trips")


def changed(text: str, *changes: tuple[str, str]) -> str:
    """The SQL of 0002 with these passages replaced; each stands there once."""
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(f"not once in the SQL: {old}")
        text = text.replace(old, new)
    return text


REQUESTS = """
ALTER TABLE routing_inferencerequest ADD COLUMN flags smallint NOT NULL DEFAULT 0, ADD COLUMN explanation jsonb;
CREATE INDEX routing_inferencerequest_server ON routing_inferencerequest (server_id, id) WHERE server_id IS NOT NULL;
CREATE INDEX routing_inferencerequest_sampled ON routing_inferencerequest (id) WHERE success AND explanation IS NOT NULL;
ALTER TABLE routing_payerday SET (fillfactor = 50);
"""

# A call may fall back to other models: it then brings all it may go to, as an array literal, and its key must be
# allowed all of them. No model's id begins with a brace.
ADMIT = changed(
    TRIPS.ADMIT.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
    (
        "NOT models[n] = ANY (k_models[k]::text[])",
        "NOT (CASE WHEN models[n] LIKE '{%' THEN models[n]::text[] ELSE ARRAY[models[n]] END) <@ k_models[k]::text[]",
    ),
)

# The form without flags and explanations stays, for processes of the release before this one.
SETTLE = changed(
    TRIPS.SETTLE,
    (
        "latencies_ms int[], failed_servers text[]\n",
        "latencies_ms int[], failed_servers text[],\n    flags int[], explanations text[]\n",
    ),
    ("u.out_bytes, u.gross, u.ttft, u.latency\n", "u.out_bytes, u.gross, u.ttft, u.latency, u.flags, u.explanation::jsonb\n"),
    (
        "input_bytes, output_bytes, ttfts_ms, latencies_ms)\n",
        "input_bytes, output_bytes, ttfts_ms, latencies_ms, flags, explanations)\n",
    ),
    (
        "claimed_output, in_bytes, out_bytes, ttft, latency)\n",
        "claimed_output, in_bytes, out_bytes, ttft, latency, flags, explanation)\n",
    ),
    (
        "    INSERT INTO hosting_serverminute (server_id, minute, served, failed, ttft_ms_sum, latency_ms_sum)\n"
        "    SELECT o.server, this_minute, sum(o.served), sum(o.failed), sum(o.ttft), sum(o.latency)\n"
        "      FROM unnest(s.statuses, servers, successes, ttfts_ms, latencies_ms, failed_servers)\n"
        "           AS u (status, server, success, ttft, latency, failed),\n"
        "   LATERAL (SELECT u.server, 1, 0, coalesce(u.ttft, 0), u.latency WHERE u.success AND u.server IS NOT NULL\n"
        "            UNION ALL\n"
        "            SELECT f, 0, 1, 0, 0 FROM unnest(u.failed::bigint[]) AS f) AS o (server, served, failed, ttft, latency)\n",
        """    INSERT INTO routing_payerday (server_id, customer_id, day, requests, gross_nanos)
    SELECT u.server, u.customer, (app_now() AT TIME ZONE 'UTC')::date, count(*), sum(u.gross)
      FROM unnest(s.statuses, s.customers, servers, providers, s.grosses)
           AS u (status, customer, server, provider, gross)
     WHERE u.status = 'posted' AND u.provider = 'hoster'
     GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (server_id, day, customer_id) DO UPDATE
       SET requests = routing_payerday.requests + EXCLUDED.requests,
           gross_nanos = routing_payerday.gross_nanos + EXCLUDED.gross_nanos;

    INSERT INTO hosting_serverminute (server_id, minute, served, failed, ttft_ms_sum, latency_ms_sum, output_tokens)
    SELECT o.server, this_minute, sum(o.served), sum(o.failed), sum(o.ttft), sum(o.latency), sum(o.output)
      FROM unnest(s.statuses, servers, successes, ttfts_ms, latencies_ms, outputs, failed_servers)
           AS u (status, server, success, ttft, latency, output, failed),
   LATERAL (SELECT u.server, 1, 0, coalesce(u.ttft, 0), u.latency, u.output
             WHERE u.success AND u.server IS NOT NULL
            UNION ALL
            SELECT f, 0, 1, 0, 0, 0 FROM unnest(u.failed::bigint[]) AS f)
        AS o (server, served, failed, ttft, latency, output)
""",
    ),
    (
        "           latency_ms_sum = hosting_serverminute.latency_ms_sum + EXCLUDED.latency_ms_sum;\n",
        "           latency_ms_sum = hosting_serverminute.latency_ms_sum + EXCLUDED.latency_ms_sum,\n"
        "           output_tokens = hosting_serverminute.output_tokens + EXCLUDED.output_tokens;\n",
    ),
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_tiers"),
        ("hosting", "0003_judges"),
        ("routing", "0002_trips"),
    ]

    operations = [
        migrations.CreateModel(
            name="PayerDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("requests", models.BigIntegerField(default=0)),
                ("gross_nanos", models.BigIntegerField(default=0)),
                (
                    "customer",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="accounts.customer"),
                ),
                ("server", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hosting.server")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("server", "day", "customer"), name="routing_payerday_once")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="usagehour", index=models.Index(fields=["hour"], name="routing_usagehour_by_hour")
        ),
        migrations.RunSQL(REQUESTS),
        migrations.RunSQL(ADMIT),
        migrations.RunSQL(SETTLE),
    ]
