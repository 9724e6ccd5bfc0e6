"""Servers of which many answers look wrong (`routing.suspicion`): their hosters are warned, with the counts."""

from django.db import connection

from hosting import moderation
from hosting.models import Server
from hosting.moderation import Kind
from routing import suspicion

RULE = "odd-answers"
SHARE = 0.2
REQUESTS_MIN = 50
REQUESTS_MAX = 200
AGAIN_AFTER_H = 6

ODD = """
-- routing_inferencerequest_server for each server of a hoster: its latest answers of a day since it was warned last
SELECT s.id, count(*)::int, count(*) FILTER (WHERE r.flags > 0)::int, array_agg(r.flags) FILTER (WHERE r.flags > 0)
  FROM hosting_server s,
 LATERAL (SELECT q.flags & %(any)s AS flags FROM routing_inferencerequest q
           WHERE q.server_id = s.id AND q.success AND q.created_at > app_now() - interval '1 day'
             AND q.id > (lpad(to_hex((extract(epoch FROM app_now() - interval '25 hours') * 1000)::bigint), 12, '0')
                         || repeat('0', 20))::uuid
             AND q.created_at > coalesce((SELECT max(a.created_at) FROM hosting_moderationaction a
                                           WHERE a.hoster_id = s.hoster_id AND a.server_id = s.id
                                             AND a.rule = %(rule)s), '-infinity')
           ORDER BY q.id DESC LIMIT %(most)s) AS r
 WHERE s.hoster_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM hosting_moderationaction a
                    WHERE a.hoster_id = s.hoster_id AND a.server_id = s.id AND a.rule = %(rule)s
                      AND a.created_at > app_now() - make_interval(hours => %(again)s))
 GROUP BY s.id
HAVING count(*) >= %(least)s AND count(*) FILTER (WHERE r.flags > 0) > %(share)s * count(*)
 ORDER BY s.id
"""


def watch() -> int:
    """Warn the hosters of such servers; how many servers."""
    with connection.cursor() as cursor:
        cursor.execute(
            ODD,
            {
                "rule": RULE, "most": REQUESTS_MAX, "least": REQUESTS_MIN, "share": SHARE, "again": AGAIN_AFTER_H,
                "any": suspicion.SUSPICIOUS,
            },
        )  # fmt: skip
        found = cursor.fetchall()
    for server_id, requests, odd, flags in found:
        server = Server.objects.select_related("hoster__customer__user").get(pk=server_id)
        assert server.hoster is not None
        counts = {
            name: count
            for bit, name in suspicion.NAMES.items()
            if (count := sum(bool(bits & bit) for bits in flags))
        }
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        reason = (
            f"{odd} of the last {requests} answers of {server.name} look wrong: {listed}. docs/hosting.md says what "
            "each of these means. Check the server, then answer on your portal."
        )
        for kind in (Kind.WARN, Kind.NOTICE):  # who is treated as strictly already is told
            evidence = {"requests": requests, "odd": odd, **counts}
            if moderation.act(
                kind, server.hoster, server=server, rule=RULE, reason=reason, evidence=evidence
            ):
                break
    return len(found)
