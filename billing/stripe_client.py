"""Our side of Stripe's own library: its client, its errors sorted into ours, its events verified.

Off while STRIPE_SECRET_KEY is empty. Each call takes at most TIMEOUT_S for each of its tries.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import stripe
import structlog
from django.conf import settings

from billing.payments import Object

TIMEOUT_S = 6.0
RETRIES = 1
EVENT_AGE_MAX_S = 300
OFF = "Payments by card are switched off here: the operator has not set STRIPE_SECRET_KEY."
AWAY = "Stripe did not answer. Nothing is lost; try again in a minute."
# Refusals that are the operator's to mend and not the customer's: they end nothing.
OURS = {"balance_insufficient", "insufficient_funds_on_platform", "idempotency_key_in_use", "lock_timeout"}

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


def asked(call: Callable[P, T]) -> Callable[P, T]:
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


def client() -> stripe.StripeClient:
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
