"""`Idempotency-Key` on what moves money: the same key and body get the same answer for 24 hours, and it happens once.

What is done and that it was done are committed together. A second call with the same key waits for the first one's
commit and is given its answer; after a refusal the key is as new.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import envelope, sealing
from accounts.envelope import ApiError
from billing.idempotency_key import HEADER, REPLAYED, check, owner
from billing.models import IdempotentRequest

KEPT = dt.timedelta(hours=24)
ROWS_MAX = 5_000

CLAIM = """
-- billing_idempotentrequest_once; waits for whoever is inserting the same now
INSERT INTO billing_idempotentrequest (customer_id, name, route, body_digest, running) VALUES (%s, %s, %s, %s, false)
ON CONFLICT (customer_id, name) DO NOTHING RETURNING id
"""


def once(request: Request, act: Callable[[], tuple[int, Any]]) -> Response:
    """The answer of `act` (status, JSON), which runs at most once for a key; without the header it just runs.

    Raises ApiError when the key was used with another body or route.
    """
    name = request.headers.get(HEADER)
    if name is None:
        with transaction.atomic():
            status, content = act()
        return Response(content, status=status)
    customer = request.auth.customer_id  # type: ignore[union-attr]  # BearerKey sets it
    digest = hashlib.sha256(json.dumps(request.data, sort_keys=True).encode()).digest()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM, [customer, check(name), request.path, digest])
        claimed = cursor.fetchone()
        if claimed:
            status, content = act()
            body = json.dumps(content).encode()
            IdempotentRequest.objects.filter(pk=claimed[0]).update(
                status=status, answer=sealing.seal(body, owner=owner(customer, name))
            )
            return Response(content, status=status)
    return _replay(IdempotentRequest.objects.get(customer=customer, name=name), request.path, digest)


def forget_old() -> int:
    """Delete keys of more than 24 hours ago, and with them their answers; how many."""
    old = IdempotentRequest.objects.filter(created_at__lt=Now() - KEPT).order_by("created_at")
    rows = list(old.values_list("pk", flat=True)[:ROWS_MAX])
    return IdempotentRequest.objects.filter(pk__in=rows).delete()[0]


def _replay(row: IdempotentRequest, route: str, digest: bytes) -> Response:
    if row.route != route or bytes(row.body_digest) != digest:
        raise ApiError(envelope.IDEMPOTENCY_MISMATCH)
    if row.answer is None:
        raise ApiError(envelope.IDEMPOTENCY_RUNNING)
    body = sealing.unseal(bytes(row.answer), owner=owner(row.customer_id, row.name))
    return Response(json.loads(body), status=row.status, headers={REPLAYED: "true"})
