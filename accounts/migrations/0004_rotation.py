"""A key may have had another string before, which works for a while; keys of the playground are known as such."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


CURRENT_DIGESTS = """
-- What the admission looks keys up by: a string that a rotation replaced stands for its key's own one, in its place,
-- while it may (by the clock of accounts.auth). Finds both by their indexes; the others are left as they are.
CREATE FUNCTION accounts_current_digests(digests text[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT coalesce(encode(k.digest, 'hex'), u.digest)
          FROM unnest(digests) WITH ORDINALITY AS u (digest, n)
          LEFT JOIN accounts_replacedkey r ON r.digest = decode(u.digest, 'hex') AND r.works_until > now()
          LEFT JOIN accounts_apikey k ON k.id = r.key_id
         ORDER BY u.n)
$$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_weeks'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='is_playground',
            field=models.BooleanField(db_default=False, default=False, editable=False, help_text='made by the playground for a few minutes'),
        ),
        migrations.CreateModel(
            name='ReplacedKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.BinaryField(editable=False, max_length=32, unique=True)),
                ('visible_part', models.CharField(editable=False, max_length=20)),
                ('replaced_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('works_until', models.DateTimeField()),
                ('key', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='replaced', to='accounts.apikey')),
            ],
        ),
        migrations.RunSQL(CURRENT_DIGESTS, "DROP FUNCTION accounts_current_digests(text[])"),
    ]
