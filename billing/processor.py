"""What we ask of Stripe: payment pages, charges of kept cards, hosters' accounts, transfers.

Nothing here touches the database. What may have happened although no answer came is `Unavailable`; it is asked again
with the same Idempotency-Key, or looked up.
"""

import uuid
from typing import Any

from billing.payments import Account, Checkout, Payment, Sent, TakenBack
from billing.stripe_client import asked, client

CURRENCY = "usd"
WITHDRAWN = {"needs_response", "under_review", "won", "lost"}  # of a dispute; an inquiry takes no money


@asked
def begin_checkout(
    *, topup: uuid.UUID, amount_cents: int, email: str, payer: str, done_url: str, cancel_url: str
) -> Checkout:
    """A payment page for one top-up. payer: Stripe's customer for whom the card is kept; empty: it is not kept."""
    ours = {"topup": str(topup)}
    return Checkout.of(
        client()
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


@asked
def open_payer(*, customer: int, email: str) -> str:
    """Stripe's id for a customer whose card is kept."""
    made = client().v1.customers.create(
        {"email": email, "metadata": {"customer": str(customer)}}, {"idempotency_key": f"payer-{customer}"}
    )
    return made.id


@asked
def charge_card(*, topup: uuid.UUID, amount_cents: int, payer: str, card: str) -> Payment:
    """Charge a kept card while its owner is away."""
    return Payment.of(
        client()
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


@asked
def checkout(session: str) -> Checkout:
    return Checkout.of(client().v1.checkout.sessions.retrieve(session).to_dict())


@asked
def payment(intent: str) -> Payment:
    return Payment.of(client().v1.payment_intents.retrieve(intent).to_dict())


@asked
def payment_of(*, topup: uuid.UUID, payer: str, since_s: int) -> Payment | None:
    """The charge of a kept card that was made for a top-up, if it was made. since_s: seconds of the epoch."""
    listed = client().v1.payment_intents.list({"customer": payer, "created": {"gte": since_s}, "limit": 100})
    found = (Payment.of(one.to_dict()) for one in listed.auto_paging_iter())
    return next((one for one in found if one.topup == topup), None)


@asked
def taken_back(*, since_s: int) -> list[TakenBack]:
    """Refunds and chargebacks made since then (seconds of the epoch), by the state they are in now."""
    made: Any = {"created": {"gte": since_s}, "limit": 100}
    stripe = client()
    refunds = [one.to_dict() for one in stripe.v1.refunds.list(made).auto_paging_iter()]
    disputes = [one.to_dict() for one in stripe.v1.disputes.list(made).auto_paging_iter()]
    return [TakenBack.of_refund(one) for one in refunds] + [
        TakenBack.of_dispute(one, stands=one["status"] != "won")
        for one in disputes
        if one["status"] in WITHDRAWN
    ]


@asked
def open_account(*, customer: int, email: str) -> Account:
    """An account of Stripe's to which a hoster's payouts go; Stripe asks the hoster for all the rest."""
    made = client().v1.accounts.create(
        {
            "type": "express",
            "email": email,
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"customer": str(customer)},
        },
        {"idempotency_key": f"account-{customer}"},
    )
    return Account.of(made.to_dict())


@asked
def onboarding_url(*, account: str, again_url: str, done_url: str) -> str:
    link = client().v1.account_links.create(
        {"account": account, "refresh_url": again_url, "return_url": done_url, "type": "account_onboarding"}
    )
    return link.url


@asked
def account(account_id: str) -> Account:
    return Account.of(client().v1.accounts.retrieve(account_id).to_dict())


@asked
def sent(payout: uuid.UUID) -> Sent | None:
    """The transfer that was made for a payout, if it was made: also long after its Idempotency-Key is forgotten."""
    listed = client().v1.transfers.list({"transfer_group": str(payout), "limit": 1})
    return next((Sent.of(one.to_dict()) for one in listed.data), None)


@asked
def send(*, payout: uuid.UUID, amount_cents: int, account: str) -> Sent:
    made = client().v1.transfers.create(
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
