"""Tell a hoster and the operator when many of a server's requests fail. It changes no standing by itself."""

from django.db import connection

from hosting import moderation
from hosting.models import Server
from hosting.moderation import Kind

RULE = "error-rate"
SHARE = 0.2
WINDOW_MIN = 30
REQUESTS_MIN = 20  # fewer say nothing
AGAIN_AFTER_H = 6

ERRING = """
-- hosting_serverminute_recent; hosters' servers that failed above the share and were not told of it lately
-- (hosting_moderationaction_last)
SELECT m.server_id, sum(m.failed)::int, sum(m.served + m.failed)::int
  FROM hosting_serverminute m JOIN hosting_server s ON s.id = m.server_id
 WHERE m.minute > app_now() - make_interval(mins => %(window)s) AND s.hoster_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM hosting_moderationaction a
                    WHERE a.hoster_id = s.hoster_id AND a.server_id = s.id AND a.rule = %(rule)s
                      AND a.created_at > app_now() - make_interval(hours => %(again)s))
 GROUP BY m.server_id
HAVING sum(m.served + m.failed) >= %(least)s AND sum(m.failed) > %(share)s * sum(m.served + m.failed)
"""


def tell() -> int:
    """Tell of every server that fails above the share now; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            ERRING,
            {
                "window": WINDOW_MIN,
                "rule": RULE,
                "again": AGAIN_AFTER_H,
                "least": REQUESTS_MIN,
                "share": SHARE,
            },
        )
        found = cursor.fetchall()
    for server_id, failed, requests in found:
        server = Server.objects.select_related("hoster__customer__user").get(pk=server_id)
        assert server.hoster is not None
        moderation.act(
            Kind.NOTICE,
            server.hoster,
            server=server,
            rule=RULE,
            reason=f"{failed} of the last {requests} requests to {server.name} failed ({failed / requests:.0%} in "
            f"{WINDOW_MIN} minutes). It gets less traffic until they succeed again. Look at its log and its load.",
            evidence={"failed": failed, "requests": requests, "window_min": WINDOW_MIN},
        )
    return len(found)
