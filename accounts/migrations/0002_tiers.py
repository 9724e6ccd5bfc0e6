"""The four tiers every installation starts with (edited in the admin afterwards), and the shared cache."""

from django.core.management import call_command
from django.db import migrations

TIERS = """
INSERT INTO accounts_tier (name, requests_per_minute, tokens_per_minute, requests_per_day) VALUES
    ('free', 60, 100000, 5000),
    ('pro', 600, 1000000, 50000),
    ('enterprise', 6000, 10000000, NULL),
    ('internal', NULL, NULL, NULL);
"""


def make_cache_table(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunSQL(TIERS), migrations.RunPython(make_cache_table, migrations.RunPython.noop)]
