"""What a customer's credit is made of. Only reads; amounts are nanodollars."""

from dataclasses import dataclass

from accounts.models import Customer
from billing.models import LedgerAccount


@dataclass(frozen=True, slots=True)
class Balance:
    """posted = promotional + bought + earned; held is reserved for requests that run now."""

    posted_nanos: int = 0
    held_nanos: int = 0
    earned_nanos: int = 0
    bought_nanos: int = 0

    @property
    def spendable_nanos(self) -> int:
        return self.posted_nanos - self.held_nanos

    @property
    def payable_nanos(self) -> int:
        """What a payout can take: earned, and not needed by a running request."""
        return max(min(self.earned_nanos, self.spendable_nanos), 0)

    @property
    def promotional_nanos(self) -> int:
        """Given, or earned from given credit: it can be spent and is never paid out."""
        return self.posted_nanos - self.earned_nanos - self.bought_nanos


def of(customer: Customer) -> Balance:
    """The customer's balance now; zeros without a ledger account."""
    found = (
        customer.ledger_accounts.filter(kind=LedgerAccount.Kind.CUSTOMER)
        .values_list("posted_nanos", "held_nanos", "earned_nanos", "bought_nanos")
        .first()
    )
    return Balance(*(amount or 0 for amount in found)) if found else Balance()
