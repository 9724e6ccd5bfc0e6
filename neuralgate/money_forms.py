"""The forms by which people move money: dollars on the page, nanodollars inside."""

import uuid
from typing import Any

from django import forms

from accounts import wording
from billing import money
from billing.models import PayoutDestination
from billing.payouts import DESTINATION_CHARS_MAX

USD_MAX = 1_000_000


class UsdField(forms.DecimalField):
    """Dollars and whole cents; nanodollars as its value and its initial."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=0, max_value=USD_MAX, decimal_places=2, **options)

    def prepare_value(self, value: Any) -> Any:
        return money.decimal(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        amount_usd = super().clean(value)
        return None if amount_usd is None else money.nanos(amount_usd)


class BuyForm(wording.Form):
    amount_nanos = UsdField(label="Amount in USD")


class RechargeForm(wording.Form):
    """The keyword arguments of `recharges.wish`, without the customer."""

    enabled = forms.BooleanField(label="Top up by itself, with the card I pay with", required=False)
    below_nanos = UsdField(label="When less is left than (USD)", initial=5 * 10**9)
    amount_nanos = UsdField(label="Charge each time (USD)", initial=20 * 10**9)
    month_max_nanos = UsdField(
        label="In a month at most (USD)", initial=100 * 10**9, help_text="A calendar month, UTC."
    )


class PayoutForm(wording.Form):
    """The keyword arguments of `payouts.ask`, without the customer."""

    once = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    amount_nanos = UsdField(label="Amount in USD")
    method = forms.ChoiceField(choices=PayoutDestination.Method.choices)
    destination = forms.CharField(
        label="Where it goes",
        required=False,
        max_length=DESTINATION_CHARS_MAX,
        help_text="Your PayPal address, your account (IBAN, BIC and name), or your wallet (network and address). "
        "Empty: where the last one of this method went, or your account at Stripe.",
    )

    def __init__(self, *args: Any, by_stripe: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not by_stripe:
            method = self.fields["method"]
            assert isinstance(method, forms.ChoiceField)
            method.choices = [
                choice
                for choice in PayoutDestination.Method.choices
                if choice[0] != PayoutDestination.Method.STRIPE
            ]


class WebhookForm(wording.Form):
    url = forms.URLField(
        label="Address",
        max_length=500,
        assume_scheme="https",
        help_text="An HTTPS address of yours that takes POSTs, reachable from the internet.",
    )
