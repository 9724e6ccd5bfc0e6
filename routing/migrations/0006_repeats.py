"""`routing_repeat`: whether a request with an `Idempotency-Key` is the first of its kind, runs, or was served."""

from django.db import migrations

REPEAT = """
-- Claim a key for one body: what is there already, or the claim of this process. `ticket` names the attempt until its
-- charge is known; the same ticket again (its commit was unknown) is the same claim. `status` says
--     new      this attempt serves the request now,
--     running  another one is at work: its process lives, and its time is not over,
--     done     served; `answer` is its (encrypted) answer, `http_status` its status, `charge` its money,
--     served   served, but the answer was not kept: it was streamed, or cut off,
--     other    the key was used for another route or body.
-- A process that died holds nothing for ever: what it held is voided here, so that it cannot be booked after all.
CREATE FUNCTION routing_repeat(
    of_customer bigint, key_name text, of_route text, digest bytea, ticket uuid, of_boot uuid, dead_after_s int,
    longest_s int,
    OUT status text, OUT row_id bigint, OUT charge uuid, OUT http_status smallint, OUT answer bytea
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r billing_idempotentrequest;
    charge_state text;
    alive boolean;
BEGIN
    INSERT INTO billing_idempotentrequest (customer_id, name, route, body_digest, running, boot, charge)
    VALUES (of_customer, key_name, of_route, digest, true, of_boot, ticket)
    ON CONFLICT (customer_id, name) DO NOTHING RETURNING id INTO row_id;
    IF row_id IS NOT NULL THEN
        status := 'new';
        RETURN;
    END IF;
    SELECT * INTO r FROM billing_idempotentrequest i WHERE i.customer_id = of_customer AND i.name = key_name FOR UPDATE;
    row_id := r.id;
    IF (r.route, r.body_digest) IS DISTINCT FROM (of_route::varchar, digest) THEN
        status := 'other';
        RETURN;
    END IF;
    IF r.running AND r.charge = ticket THEN
        status := 'new';
        RETURN;
    END IF;
    SELECT c.state INTO charge_state FROM billing_charge c WHERE c.id = r.charge;
    alive := r.started_at > now() - make_interval(secs => longest_s)
        AND EXISTS (SELECT FROM routing_gatewayprocess p
                     WHERE p.boot = r.boot AND p.heartbeat_at > now() - make_interval(secs => dead_after_s));
    IF coalesce(charge_state, '') <> 'posted' AND (r.running OR charge_state = 'held') AND alive THEN
        status := 'running';
        RETURN;
    END IF;
    IF charge_state = 'held' THEN
        PERFORM billing_settle(ARRAY[r.charge], ARRAY[0], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY['platform_fault'], 0);
        SELECT c.state INTO charge_state FROM billing_charge c WHERE c.id = r.charge;
    END IF;
    IF charge_state = 'posted' THEN
        status := CASE WHEN r.answer IS NULL THEN 'served' ELSE 'done' END;
        charge := r.charge;
        http_status := r.status;
        answer := r.answer;
        RETURN;
    END IF;
    UPDATE billing_idempotentrequest i
       SET running = true, boot = of_boot, charge = ticket, answer = NULL, status = NULL, started_at = now()
     WHERE i.id = r.id;
    status := 'new';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("routing", "0005_audit_runs"), ("billing", "0006_idempotent_start")]
    operations = [migrations.RunSQL(REPEAT)]
