"""The tables of money: the books, and the cases that move money after a request."""

from billing.models.books import (
    Charge,
    LedgerAccount,
    Maturity,
    OpeningBalance,
    RateWindow,
    ReleaseDay,
    SpendWindow,
    Transfer,
)
from billing.models.cases import (
    Debt,
    Dispute,
    IdempotentRequest,
    Notice,
    Payout,
    PayoutDestination,
    Recharge,
    StripeEvent,
    TopUp,
    Webhook,
)

__all__ = [
    "Charge", "Debt", "Dispute", "IdempotentRequest", "LedgerAccount", "Maturity", "Notice", "OpeningBalance",
    "Payout", "PayoutDestination", "RateWindow", "Recharge", "ReleaseDay", "SpendWindow", "StripeEvent", "TopUp",
    "Transfer", "Webhook",
]  # fmt: skip
