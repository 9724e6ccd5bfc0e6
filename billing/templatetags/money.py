"""Filters for nanodollars; the arithmetic is `billing.money`'s."""

from django import template

from billing import money

register = template.Library()

register.filter("usd", money.text)
register.filter("usd_rounded", money.rounded)
register.filter("price", money.price)


@register.filter
def per_million(price_nanos: int) -> str:
    """Nanodollars per token as dollars per million tokens: 100 → "$0.10"; the heading says the unit."""
    return money.text(price_nanos * 1_000_000)


@register.filter
def asked(price_nanos: int) -> str:
    """As `per_million`, in a catalogue: a price of 0 is "free"."""
    return per_million(price_nanos) if price_nanos else "free"
