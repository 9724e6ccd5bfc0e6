"""What judges a hoster: questions and answers, circuits, moderation, prices that wait; and the scores they lead to."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


VERSIONS = """
-- As in 0002, and a model that is deactivated or reinstated acts on the next request, too.
DROP TRIGGER hosting_hostedmodel_version ON hosting_hostedmodel;
CREATE TRIGGER hosting_hostedmodel_version AFTER UPDATE ON hosting_hostedmodel FOR EACH ROW
    WHEN ((OLD.model_id, OLD.upstream_name, OLD.price_per_input_token, OLD.price_per_output_token, OLD.context_window,
           OLD.enabled, OLD.deactivated_at) IS DISTINCT FROM (NEW.model_id, NEW.upstream_name,
           NEW.price_per_input_token, NEW.price_per_output_token, NEW.context_window, NEW.enabled, NEW.deactivated_at))
    EXECUTE FUNCTION hosting_hostedmodel_changed();

CREATE FUNCTION hosting_circuit_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY offers;
    RETURN NULL;
END $$;
CREATE TRIGGER hosting_circuit_heard AFTER INSERT OR UPDATE ON hosting_circuit FOR EACH STATEMENT
    EXECUTE FUNCTION hosting_circuit_changed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('hosting', '0002_versions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AutoModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model_id', models.CharField(max_length=200, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='Circuit',
            fields=[
                ('server', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, serialize=False, to='hosting.server')),
                ('open_until', models.DateTimeField(help_text='in the past: closed again')),
                ('openings', models.IntegerField(help_text='in a row; each doubles the pause')),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='ConsistencyAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('right', models.BooleanField()),
                ('counted', models.BooleanField(help_text='false: no answer came, or the question itself is doubtful')),
                ('answer', models.TextField(blank=True)),
                ('request_id', models.CharField(blank=True, max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='ModerationAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('notice', 'told'), ('warn', 'warned'), ('probation', 'put on probation'), ('suspend', 'suspended'), ('deactivate', 'deactivated'), ('reinstate', 'reinstated')], max_length=10)),
                ('rule', models.SlugField(blank=True, help_text='the published rule; empty when a person decided', max_length=40)),
                ('reason', models.TextField(help_text='what the hoster reads')),
                ('evidence', models.JSONField(blank=True, default=dict, help_text='figures and ids; no prompt, no answer of a customer')),
                ('status_before', models.CharField(max_length=11)),
                ('status_after', models.CharField(max_length=11)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('answer', models.TextField(blank=True, help_text='what the hoster says to it')),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Question',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=80, unique=True)),
                ('topic', models.CharField(max_length=20)),
                ('kind', models.CharField(choices=[('text', 'Text'), ('number', 'Number')], default='text', max_length=6)),
                ('wordings', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), help_text='ways to ask, one is drawn', size=None)),
                ('answers', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), help_text='every one that is right', size=None)),
                ('enabled', models.BooleanField(default=True)),
            ],
        ),
        migrations.AddField(
            model_name='healthcheck',
            name='excused',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='consistency',
            field=models.FloatField(default=1.0, editable=False),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='consistency_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='deactivated_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='deactivated_reason',
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='fingerprint',
            field=models.JSONField(default=dict, editable=False, help_text='what it looked like when it was checked'),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='latency_ms_p50',
            field=models.IntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='latency_ms_p95',
            field=models.IntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='next_price_per_input_token',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='next_price_per_output_token',
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='next_question_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='price_changes_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='retest_at',
            field=models.DateTimeField(editable=False, help_text='when its owner asked for a new test', null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='tokens_per_s',
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='ttft_ms_p50',
            field=models.IntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hostedmodel',
            name='ttft_ms_p95',
            field=models.IntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hoster',
            name='is_new',
            field=models.BooleanField(default=True, editable=False, help_text="has not served enough to be judged: gets the newcomers' share"),
        ),
        migrations.AddField(
            model_name='hoster',
            name='trust_at',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='hoster',
            name='trust_parts',
            field=models.JSONField(default=dict, editable=False),
        ),
        migrations.AddField(
            model_name='server',
            name='uptime',
            field=models.FloatField(editable=False, help_text="share of the last day's checks that passed", null=True),
        ),
        migrations.AddField(
            model_name='server',
            name='waiting_since',
            field=models.DateTimeField(editable=False, help_text='since when the server has not taken its new token yet', null=True),
        ),
        migrations.AddField(
            model_name='serverminute',
            name='output_tokens',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name='serverminute',
            index=models.Index(fields=['minute'], name='hosting_serverminute_recent'),
        ),
        migrations.AddConstraint(
            model_name='hostedmodel',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('next_price_per_input_token__isnull', True), ('next_price_per_output_token__isnull', True), ('price_changes_at__isnull', True)), models.Q(('next_price_per_input_token__gte', 0), ('next_price_per_input_token__lte', 1000000000), ('next_price_per_output_token__gte', 0), ('next_price_per_output_token__lte', 1000000000), ('price_changes_at__isnull', False)), _connector='OR'), name='hosting_hostedmodel_next_price'),
        ),
        migrations.AddConstraint(
            model_name='hostedmodel',
            constraint=models.CheckConstraint(condition=models.Q(('consistency__gte', 0), ('consistency__lte', 1)), name='hosting_hostedmodel_consistency_range'),
        ),
        migrations.AddField(
            model_name='consistencyanswer',
            name='offer',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='consistency_answers', to='hosting.hostedmodel'),
        ),
        migrations.AddField(
            model_name='moderationaction',
            name='actor',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='moderationaction',
            name='hoster',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='actions', to='hosting.hoster'),
        ),
        migrations.AddField(
            model_name='moderationaction',
            name='offer',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='hosting.hostedmodel'),
        ),
        migrations.AddField(
            model_name='moderationaction',
            name='server',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='hosting.server'),
        ),
        migrations.AddField(
            model_name='consistencyanswer',
            name='question',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='hosting.question'),
        ),
        migrations.AddIndex(
            model_name='moderationaction',
            index=models.Index(fields=['hoster', '-created_at'], name='hosting_moderationaction_last'),
        ),
        migrations.AddConstraint(
            model_name='moderationaction',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='hosting_moderationaction_says_why'),
        ),
        migrations.AddConstraint(
            model_name='moderationaction',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('actor__isnull', False), ('rule', '')), models.Q(('actor__isnull', True), models.Q(('rule', ''), _negated=True)), _connector='OR'), name='hosting_moderationaction_says_who'),
        ),
        migrations.AddIndex(
            model_name='consistencyanswer',
            index=models.Index(fields=['offer', '-answered_at'], name='hosting_consistencyanswer_last'),
        ),
        migrations.AddIndex(
            model_name='consistencyanswer',
            index=models.Index(fields=['question', '-answered_at'], name='hosting_consistencyanswer_of'),
        ),
        migrations.RunSQL(VERSIONS),
    ]
