"""Grants, sales, balances."""

from billing import ledger
from tests import factories


def test_a_new_customer_gets_the_welcome_credit_once():
    alice = factories.person()
    ledger.open_customer(user=alice.customer.user)
    assert alice.account.posted_nanos == 5_000_000_000
    assert alice.account.bought_nanos == 0


def test_a_payment_is_booked_once_for_its_reference():
    alice = factories.person()
    booked = [
        ledger.sell(customer=alice.customer, amount_nanos=7, reference="pay-1", reason="card")
        for _ in range(3)
    ]
    assert booked == [True, False, False]
    assert alice.account.bought_nanos == 7
