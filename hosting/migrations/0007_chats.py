"""Whether a model chats: one that only embeds is no choice for a conversation. It acts on the next request."""

from django.db import migrations, models

VERSIONS = """
-- As in 0003, and with `chats`.
DROP TRIGGER hosting_hostedmodel_version ON hosting_hostedmodel;
CREATE TRIGGER hosting_hostedmodel_version AFTER UPDATE ON hosting_hostedmodel FOR EACH ROW
    WHEN ((OLD.model_id, OLD.upstream_name, OLD.price_per_input_token, OLD.price_per_output_token, OLD.context_window,
           OLD.enabled, OLD.deactivated_at, OLD.chats) IS DISTINCT FROM (NEW.model_id, NEW.upstream_name,
           NEW.price_per_input_token, NEW.price_per_output_token, NEW.context_window, NEW.enabled, NEW.deactivated_at,
           NEW.chats))
    EXECUTE FUNCTION hosting_hostedmodel_changed();
"""

BACK = """
DROP TRIGGER hosting_hostedmodel_version ON hosting_hostedmodel;
CREATE TRIGGER hosting_hostedmodel_version AFTER UPDATE ON hosting_hostedmodel FOR EACH ROW
    WHEN ((OLD.model_id, OLD.upstream_name, OLD.price_per_input_token, OLD.price_per_output_token, OLD.context_window,
           OLD.enabled, OLD.deactivated_at) IS DISTINCT FROM (NEW.model_id, NEW.upstream_name,
           NEW.price_per_input_token, NEW.price_per_output_token, NEW.context_window, NEW.enabled, NEW.deactivated_at))
    EXECUTE FUNCTION hosting_hostedmodel_changed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('hosting', '0006_trust_days'),
    ]

    operations = [
        migrations.AddField(
            model_name='hostedmodel',
            name='chats',
            field=models.BooleanField(db_default=True, default=True, help_text='answers chat and completions; a model for embeddings does not'),
        ),
        migrations.RunSQL(VERSIONS, BACK),
    ]
