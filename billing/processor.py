"""The one place that talks to Stripe, through its own library. Off while STRIPE_SECRET_KEY is empty.

Nothing here touches the database. Each call takes at most TIMEOUT_S for each of its tries. What may have happened
although no answer came is `Unavailable`; it is asked again with the same Idempotency-Key, or looked up.
"""

import functools
import uuid
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import stripe
import structlog
from django.conf import settings

from billing.payments import Account, Checkout, Object, Payment, Sent, TakenBack

TIMEOUT_S = 6.0
RETRIES = 1
EVENT_AGE_MAX_S = 300
CURRENCY = "usd"
OFF = "Payments by card are switched off here: the operator has not set STRIPE_SECRET_KEY."
AWAY = "Stripe did not answer. Nothing is lost; try again in a minute."
# Refusals that are the operator's to mend and not the customer's: they end nothing.
OURS = {"balance_insufficient", "insufficient_funds_on_platform", "idempotency_key_in_use", "lock_timeout"}
WITHDRAWN = {"needs_response", "under_review", "won", "lost"}  # of a dispute; an inquiry takes no money

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class PaymentError(Exception):
    """It did not work; the words may be shown."""


class NotConfigured(PaymentError):
    """Stripe is switched off."""


class Unavailable(PaymentError):
    """No answer, or none that says what happened: it may have been done. To be asked again."""


class Refused(PaymentError):
    """Final: it was not done, and asking again will not help."""


class Forged(PaymentError):
    """No event of Stripe's, or one from long ago."""


def configured() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def _asked(call: Callable[P, T]) -> Callable[P, T]:
    """Sort the library's errors into ours."""

    @functools.wraps(call)
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except stripe.CardError as error:
            raise Refused(error.user_message or "The card was refused.") from None
        except stripe.InvalidRequestError as error:
            if error.code in OURS:
                log.error("stripe.operator_must_act", code=error.code)
                raise Unavailable(AWAY) from None
            raise Refused(error.user_message or "Stripe refused it.") from None
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            log.error("stripe.operator_must_act", code=error.code or type(error).__name__)
            raise Unavailable(AWAY) from None
        except stripe.StripeError as error:
            log.warning("stripe.unavailable", kind=type(error).__name__)
            raise Unavailable(AWAY) from None

    return ask


@_asked
def begin_checkout(
    *, topup: uuid.UUID, amount_cents: int, email: str, payer: str, done_url: str, cancel_url: str
) -> Checkout:
    """A payment page for one top-up. payer: Stripe's customer for whom the card is kept; empty: it is not kept."""
    ours = {"topup": str(topup)}
    return Checkout.of(
        _client()
        .v1.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": CURRENCY,
                            "unit_amount": amount_cents,
                            "product_data": {"name": "NeuralGate credit"},
                        },
                    }
                ],
                **({"customer": payer} if payer else {"customer_email": email}),
                "metadata": ours,
                "payment_intent_data": {
                    "metadata": ours,
                    **({"setup_future_usage": "off_session"} if payer else {}),
                },
                "success_url": done_url,
                "cancel_url": cancel_url,
            },
            {"idempotency_key": str(topup)},
        )
        .to_dict()
    )


@_asked
def open_payer(*, customer: int, email: str) -> str:
    """Stripe's id for a customer whose card is kept."""
    made = _client().v1.customers.create(
        {"email": email, "metadata": {"customer": str(customer)}}, {"idempotency_key": f"payer-{customer}"}
    )
    return made.id


@_asked
def charge_card(*, topup: uuid.UUID, amount_cents: int, payer: str, card: str) -> Payment:
    """Charge a kept card while its owner is away."""
    return Payment.of(
        _client()
        .v1.payment_intents.create(
            {
                "amount": amount_cents,
                "currency": CURRENCY,
                "customer": payer,
                "payment_method": card,
                "off_session": True,
                "confirm": True,
                "metadata": {"topup": str(topup)},
                "description": "NeuralGate credit, automatic top-up",
            },
            {"idempotency_key": str(topup)},
        )
        .to_dict()
    )


@_asked
def checkout(session: str) -> Checkout:
    return Checkout.of(_client().v1.checkout.sessions.retrieve(session).to_dict())


@_asked
def payment(intent: str) -> Payment:
    return Payment.of(_client().v1.payment_intents.retrieve(intent).to_dict())


@_asked
def payment_of(*, topup: uuid.UUID, payer: str, since_s: int) -> Payment | None:
    """The charge of a kept card that was made for a top-up, if it was made. since_s: seconds of the epoch."""
    listed = _client().v1.payment_intents.list({"customer": payer, "created": {"gte": since_s}, "limit": 100})
    found = (Payment.of(one.to_dict()) for one in listed.auto_paging_iter())
    return next((one for one in found if one.topup == topup), None)


@_asked
def taken_back(*, since_s: int) -> list[TakenBack]:
    """Refunds and chargebacks made since then (seconds of the epoch), by the state they are in now."""
    made: Any = {"created": {"gte": since_s}, "limit": 100}
    client = _client()
    refunds = [one.to_dict() for one in client.v1.refunds.list(made).auto_paging_iter()]
    disputes = [one.to_dict() for one in client.v1.disputes.list(made).auto_paging_iter()]
    return [TakenBack.of_refund(one) for one in refunds] + [
        TakenBack.of_dispute(one, stands=one["status"] != "won")
        for one in disputes
        if one["status"] in WITHDRAWN
    ]


@_asked
def open_account(*, customer: int, email: str) -> Account:
    """An account of Stripe's to which a hoster's payouts go; Stripe asks the hoster for all the rest."""
    made = _client().v1.accounts.create(
        {
            "type": "express",
            "email": email,
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"customer": str(customer)},
        },
        {"idempotency_key": f"account-{customer}"},
    )
    return Account.of(made.to_dict())


@_asked
def onboarding_url(*, account: str, again_url: str, done_url: str) -> str:
    link = _client().v1.account_links.create(
        {"account": account, "refresh_url": again_url, "return_url": done_url, "type": "account_onboarding"}
    )
    return link.url


@_asked
def account(account_id: str) -> Account:
    return Account.of(_client().v1.accounts.retrieve(account_id).to_dict())


@_asked
def sent(payout: uuid.UUID) -> Sent | None:
    """The transfer that was made for a payout, if it was made: also long after its Idempotency-Key is forgotten."""
    listed = _client().v1.transfers.list({"transfer_group": str(payout), "limit": 1})
    return next((Sent.of(one.to_dict()) for one in listed.data), None)


@_asked
def send(*, payout: uuid.UUID, amount_cents: int, account: str) -> Sent:
    made = _client().v1.transfers.create(
        {
            "amount": amount_cents,
            "currency": CURRENCY,
            "destination": account,
            "transfer_group": str(payout),
            "metadata": {"payout": str(payout)},
        },
        {"idempotency_key": str(payout)},
    )
    return Sent.of(made.to_dict())


def event(body: bytes, signature: str) -> Object:
    """What Stripe tells us, once its signature is verified with one of our secrets; raises Forged."""
    for secret in settings.STRIPE_WEBHOOK_SECRET:
        try:
            return stripe.Webhook.construct_event(body, signature, secret, EVENT_AGE_MAX_S).to_dict()
        except stripe.SignatureVerificationError:
            continue
        except (ValueError, AttributeError):  # signed, but no event as we know it
            break
    raise Forged("This is no event of Stripe's, or it is too old.")


def _client() -> stripe.StripeClient:
    if not configured():
        raise NotConfigured(OFF)
    return _client_of(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, TIMEOUT_S, RETRIES)


@functools.cache
def _client_of(key: str, base: str, timeout_s: float, retries: int) -> Any:
    """Retries repeat the same Idempotency-Key."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": base},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=timeout_s),
    )
