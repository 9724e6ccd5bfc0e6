"""A server's version rises with every change that must act on the next request, and every process hears of it."""

from django.db import migrations

VERSIONS = """
CREATE FUNCTION hosting_server_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    NOTIFY offers;
    RETURN NEW;
END $$;
CREATE TRIGGER hosting_server_version BEFORE UPDATE ON hosting_server FOR EACH ROW
    WHEN ((OLD.base_url, OLD.token_encrypted, OLD.token_version, OLD.slots, OLD.verified_at, OLD.draining, OLD.kind,
           OLD.hoster_id, OLD.name) IS DISTINCT FROM (NEW.base_url, NEW.token_encrypted, NEW.token_version, NEW.slots,
           NEW.verified_at, NEW.draining, NEW.kind, NEW.hoster_id, NEW.name) AND OLD.version = NEW.version)
    EXECUTE FUNCTION hosting_server_changed();

CREATE FUNCTION hosting_hoster_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hosting_server SET version = version + 1 WHERE hoster_id = NEW.id;
    NOTIFY offers;
    RETURN NULL;
END $$;
CREATE TRIGGER hosting_hoster_version AFTER UPDATE ON hosting_hoster FOR EACH ROW
    WHEN ((OLD.status, OLD.name, OLD.customer_id) IS DISTINCT FROM (NEW.status, NEW.name, NEW.customer_id))
    EXECUTE FUNCTION hosting_hoster_changed();

CREATE FUNCTION hosting_hostedmodel_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hosting_server SET version = version + 1 WHERE id = coalesce(NEW.server_id, OLD.server_id);
    NOTIFY offers;
    RETURN NULL;
END $$;
CREATE TRIGGER hosting_hostedmodel_added AFTER INSERT OR DELETE ON hosting_hostedmodel FOR EACH ROW
    EXECUTE FUNCTION hosting_hostedmodel_changed();
CREATE TRIGGER hosting_hostedmodel_version AFTER UPDATE ON hosting_hostedmodel FOR EACH ROW
    WHEN ((OLD.model_id, OLD.upstream_name, OLD.price_per_input_token, OLD.price_per_output_token, OLD.context_window,
           OLD.enabled) IS DISTINCT FROM (NEW.model_id, NEW.upstream_name, NEW.price_per_input_token,
           NEW.price_per_output_token, NEW.context_window, NEW.enabled))
    EXECUTE FUNCTION hosting_hostedmodel_changed();

ALTER TABLE hosting_serverminute SET (fillfactor = 50);
"""


class Migration(migrations.Migration):
    dependencies = [("hosting", "0001_initial")]
    operations = [migrations.RunSQL(VERSIONS)]
