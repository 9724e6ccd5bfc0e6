"""What Stripe tells us at /stripe/events: each event is acted upon once, together with the note that it was."""

from collections.abc import Callable

import structlog
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import stripe_client, stripe_payouts
from billing.confirmations import checkout_seen, payment_seen, taken_back_seen
from billing.models import StripeEvent
from billing.payments import Account, Checkout, Object, Payment, Sent, TakenBack
from billing.stripe_client import Forged

BODY_BYTES_MAX = 256 * 1024  # Stripe's events have a few KB

log = structlog.get_logger(__name__)

TOLD: dict[str, Callable[[Object], None]] = {
    "checkout.session.completed": lambda it: checkout_seen(Checkout.of(it)),
    "checkout.session.async_payment_succeeded": lambda it: checkout_seen(Checkout.of(it)),
    "checkout.session.async_payment_failed": lambda it: checkout_seen(
        Checkout.of({**it, "status": "expired"})
    ),
    "checkout.session.expired": lambda it: checkout_seen(Checkout.of(it)),
    "payment_intent.succeeded": lambda it: payment_seen(Payment.of(it)),
    "payment_intent.payment_failed": lambda it: payment_seen(Payment.of(it)),
    "payment_intent.canceled": lambda it: payment_seen(Payment.of(it)),
    "refund.created": lambda it: taken_back_seen(TakenBack.of_refund(it)),
    "refund.updated": lambda it: taken_back_seen(TakenBack.of_refund(it)),
    "refund.failed": lambda it: taken_back_seen(TakenBack.of_refund(it)),
    "charge.dispute.funds_withdrawn": lambda it: taken_back_seen(TakenBack.of_dispute(it, stands=True)),
    "charge.dispute.funds_reinstated": lambda it: taken_back_seen(TakenBack.of_dispute(it, stands=False)),
    "account.updated": lambda it: stripe_payouts.account_seen(Account.of(it)),
    "transfer.created": lambda it: stripe_payouts.transfer_seen(Sent.of(it)),
    "transfer.reversed": lambda it: stripe_payouts.transfer_seen(Sent.of(it)),
}


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """200 once it is booked (or not for us), 400 when it is not Stripe's; 500 makes Stripe repeat it."""
    if int(request.headers.get("Content-Length") or 0) > BODY_BYTES_MAX or len(request.body) > BODY_BYTES_MAX:
        return JsonResponse({"error": "too large"}, status=413)
    try:
        event = stripe_client.event(request.body, request.headers.get("Stripe-Signature", ""))
    except Forged as forged:
        return JsonResponse({"error": str(forged)}, status=400)
    try:
        act(event)
    except Exception:  # whatever it is: nothing was booked, and Stripe tells us again
        log.exception("stripe.event_failed", stripe_event=event.get("id"), type=event.get("type"))
        return JsonResponse({"error": "failed"}, status=500)
    return JsonResponse({"received": True})


def act(event: Object) -> bool:
    """Act upon a verified event; False when it is not for us, or was acted upon before.

    The same event told twice at once waits here for the first one's commit.
    """
    told = TOLD.get(event["type"])
    if told is None:
        return False
    with transaction.atomic():
        _, new = StripeEvent.objects.get_or_create(pk=event["id"], defaults={"type": event["type"]})
        if new:
            told(event["data"]["object"])
    return new
