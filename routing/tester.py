"""The customer in whose name the platform asks servers its test questions, with a key and a daily budget of its own.

To a server its requests look like anybody's. What the platform tells of its customers leaves them out.
"""

import datetime as dt
import hmac

from django.conf import settings
from django.db import transaction

from accounts import keys
from accounts.models import ApiKey, User
from billing import ledger
from billing.models import LedgerAccount

OF_CUSTOMERS = """
customer_id <> ALL (SELECT c.id FROM accounts_customer c JOIN accounts_user u ON u.id = c.user_id
                     WHERE u.email = %(tester)s)"""  # one row by the e-mail address; tester: email()


def key() -> str:
    """Every worker derives the same one."""
    return keys.derived(settings.SECRET_KEY, "tests")


def email() -> str:
    """Nobody can guess it, and so nobody can sign up with it."""
    name = hmac.digest(settings.SECRET_KEY.encode(), b"test customer", "sha256").hex()[:20]
    return f"tests-{name}@neuralgate.invalid"


def fund() -> None:
    """See that the customer exists, has its key, and once a day has its budget."""
    with transaction.atomic():
        user, _ = User.objects.get_or_create(email=email(), defaults={"password": "!"})
        customer = ledger.open_customer(user=user, tier="internal", welcome=False)
        digest = keys.digest(key())
        ApiKey.objects.get_or_create(
            digest=digest,
            defaults={"customer": customer, "name": "tests", "visible_part": keys.visible_part(key())},
        )
        account = LedgerAccount.objects.get(customer=customer, kind=LedgerAccount.Kind.CUSTOMER)
        missing_nanos = settings.TEST_BUDGET_NANOS - (account.posted_nanos or 0)
        if missing_nanos > 0:
            ledger.grant(
                customer=customer,
                amount_nanos=missing_nanos,
                reference=f"tests of {dt.datetime.now(dt.UTC):%Y-%m-%d}",
                reason="budget of the platform's own tests",
            )
