"""What somebody looks for in the catalogue: words, a ceiling of the price, an order, a page."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator

from accounts import wording
from hosting.market import Listing, Offer

PAGE_ROWS = 24
UNTESTED = 0.5  # what a consistency that nobody measured yet counts when models are compared
SORTS = {
    "price": "Lowest price",
    "speed": "Fastest",
    "uptime": "Best uptime",
    "quality": "Highest quality",
    "name": "Name",
}
Key = Callable[[Listing], tuple[Any, ...]]


class Wishes(wording.Form):
    """The query of /models. What cannot be understood is left out: a page of a catalogue is never an error."""

    q = forms.CharField(
        required=False,
        max_length=200,
        label="Search",
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "llama, qwen, embed …"}),
    )
    sort = forms.ChoiceField(required=False, choices=list(SORTS.items()), label="Order")
    below = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=1_000_000,
        label="Output below, $ / 1M",
        widget=forms.NumberInput(attrs={"step": "any", "min": "0", "inputmode": "decimal"}),
    )
    free = forms.BooleanField(required=False, label="Free only")

    def choose(self, listings: Sequence[Listing]) -> list[Listing]:
        """Those of the listings that are wished for, in the order that is wished for."""
        self.is_valid()
        wished: dict[str, Any] = self.cleaned_data
        words = (wished.get("q") or "").lower().split()
        below_nanos: Decimal | None = wished.get("below")
        found = [
            listing
            for listing in listings
            if all(word in _text(listing) for word in words)
            and (not wished.get("free") or is_free(listing))
            and (below_nanos is None or _output_price(listing) < below_nanos * 1_000)
        ]
        return sorted(found, key=KEYS[wished.get("sort") or "price"])

    def page(self, listings: Sequence[Listing]) -> Page[Listing]:
        return Paginator(self.choose(listings), PAGE_ROWS).get_page(self.data.get("page"))


def is_free(listing: Listing) -> bool:
    return _price(listing) == 0


def quality(offer: Offer) -> float:
    """What the router multiplies, too: trust, health and consistency, from 0 to 1."""
    return offer.trust * offer.health * (UNTESTED if offer.consistency is None else offer.consistency)


def _price(listing: Listing) -> int:
    return (listing.price_per_input_token or 0) + (listing.price_per_output_token or 0)


def _output_price(listing: Listing) -> int:
    return min(offer.price_per_output_token for offer in listing.offers)


def _text(listing: Listing) -> str:
    return " ".join([listing.id, *(offer.owner for offer in listing.offers)]).lower()


KEYS: dict[str, Key] = {
    "price": lambda one: (_price(one), one.id),
    "speed": lambda one: (-(one.tokens_per_s or 0), one.ttft_ms_p50 or 10**9, one.id),
    "uptime": lambda one: (-(one.uptime or 0), one.id),
    "quality": lambda one: (-max(map(quality, one.offers)), one.id),
    "name": lambda one: (one.id,),
}
