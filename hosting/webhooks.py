"""Webhooks: notices of a customer's money as signed POSTs to an address of the customer's, through the guard.

The header `NeuralGate-Signature: t=<unix seconds>,v1=<hex>` signs `<t>.<body>` with HMAC-SHA256 and the secret that was
shown once. A delivery that fails is tried again, five times in a day at most; the same event may come twice, with the
same `id`.
"""

import asyncio
import datetime as dt
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, NamedTuple

from django.db import connection
from django.db.models.functions import Now

from accounts import sealing
from accounts.models import Customer
from billing import money, notices
from billing.models import Notice, Webhook
from hosting import addresses, connector
from hosting.connector import AskFailed, ConnectRefused

SIGNATURE = "NeuralGate-Signature"
AGAIN_AFTER = (60, 300, 1_800, 7_200, 28_800)  # seconds after each failure; then it is given up
DUE_MAX = 50
RESULT_CHARS_MAX = 200

CLAIM = """
-- billing_notice_to_hook: what is due; the next try is set before this one begins, so that a killed process loses none
UPDATE billing_notice n
   SET hook_tries = n.hook_tries + 1,
       hook_next_at = now() + make_interval(
           secs => (%(after)s::int[])[least(n.hook_tries + 1, cardinality(%(after)s::int[]))])
 WHERE n.id IN (SELECT d.id FROM billing_notice d WHERE d.hook_next_at <= now()
                 ORDER BY d.hook_next_at LIMIT %(rows)s FOR UPDATE SKIP LOCKED)
RETURNING n.id
"""


class Delivery(NamedTuple):
    """A notice on its way. origin: scheme, host and port, which the guard looks at."""

    notice: int
    customer: int
    origin: str
    url: str
    body: bytes
    secret: str
    tries: int


def keep(*, customer: Customer, url: str) -> str:
    """Send this customer's notices there from now on: the secret, to be shown this once. Raises AddressRefused."""
    address = addresses.parse_provider_url(url) + ("/" if url.strip().endswith("/") else "")
    addresses.parse_base_url(_origin(address), connector.policy())
    secret = "whsec_" + secrets.token_urlsafe(32)
    sealed = sealing.seal(secret.encode(), owner=_owner(customer.pk)).decode()
    Webhook.objects.update_or_create(
        customer=customer,
        defaults={"url": address, "secret_sealed": sealed, "created_at": Now(), "last_result": ""},
    )
    return secret


def forget(customer: Customer) -> None:
    Webhook.objects.filter(customer=customer).delete()
    customer.notices.filter(hook_next_at__isnull=False).update(hook_next_at=None)


def try_out(customer: Customer) -> None:
    """Send an event that says nothing, so that the other side can be tested; one at a time."""
    if customer.notices.filter(kind="test", hook_next_at__isnull=False).exists():
        return
    subject = f"test:{secrets.token_hex(8)}"
    notices.tell(customer, "test", subject, {"words": "This is a test."})
    Notice.objects.filter(subject=subject).update(mailed_at=Now())  # no mail of it


def sign(body: bytes, *, secret: str, at_s: int) -> str:
    """The signature's header."""
    digest = hmac.digest(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hex()
    return f"t={at_s},v1={digest}"


def send_due() -> int:
    """Deliver what is due; how many arrived. Safe to run twice at once: each takes others."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"after": list(AGAIN_AFTER), "rows": DUE_MAX})
        claimed = [row[0] for row in cursor.fetchall()]
    deliveries = [found for found in map(_delivery, Notice.objects.filter(pk__in=claimed)) if found]
    results = asyncio.run(_send_all(deliveries)) if deliveries else []
    for delivery, problem in zip(deliveries, results, strict=True):
        _record(delivery, problem)
    return results.count("")


def event(notice: Notice) -> dict[str, Any]:
    """A notice as the other side reads it: amounts in dollars."""
    data = {
        (f"{name.removesuffix('_nanos')}_usd" if name.endswith("_nanos") else name): (
            money.usd(value) if name.endswith("_nanos") else value
        )
        for name, value in notice.facts.items()
    }
    created = notice.created_at.astimezone(dt.UTC).isoformat()
    return {"id": f"evt_{notice.pk}", "type": notice.kind, "created": created, "data": data}


def _delivery(notice: Notice) -> Delivery | None:
    """None when the webhook is gone, or its secret cannot be read any more: nothing is sent then."""
    hook = Webhook.objects.filter(customer=notice.customer_id).first()
    try:
        secret = sealing.unseal(hook.secret_sealed, owner=_owner(notice.customer_id)).decode() if hook else ""
    except sealing.Unreadable:
        secret = ""
    if hook is None or not secret:
        Notice.objects.filter(pk=notice.pk).update(hook_next_at=None)
        return None
    body = json.dumps(event(notice)).encode()
    return Delivery(
        notice.pk, notice.customer_id, _origin(hook.url), hook.url, body, secret, notice.hook_tries
    )


async def _send_all(deliveries: list[Delivery]) -> list[str]:
    return await asyncio.gather(*(_send(one) for one in deliveries))


async def _send(delivery: Delivery) -> str:
    """Why it did not arrive; empty when it did."""
    signature = sign(delivery.body, secret=delivery.secret, at_s=int(time.time()))
    try:
        client = await connector.open_client(delivery.origin, guarded=True)
    except ConnectRefused as refusal:
        return str(refusal)
    async with client:
        try:
            answer = await connector.ask(
                client, "POST", delivery.url, body=delivery.body, headers={SIGNATURE: signature}
            )
        except AskFailed as failure:
            return str(failure)
    return "" if 200 <= answer.status < 300 else f"it answered {answer.status}"


def _record(delivery: Delivery, problem: str) -> None:
    said = f"{problem} (try {delivery.tries})"[:RESULT_CHARS_MAX] if problem else "delivered"
    Webhook.objects.filter(customer=delivery.customer).update(last_result=said)
    mine = Notice.objects.filter(pk=delivery.notice)
    if not problem:
        mine.update(hooked_at=Now(), hook_next_at=None)
    elif delivery.tries > len(AGAIN_AFTER):
        mine.update(hook_next_at=None)


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _owner(customer_id: int) -> str:
    return f"webhook {customer_id}"
