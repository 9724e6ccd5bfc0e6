"""Nanodollars as numbers and text."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import money


def test_the_reference_cost_is_the_reference_number():
    assert money.usd(24_800) == 0.0000248
    assert json.loads(json.dumps(money.usd(4_872_000_000))) == 4.872


@given(st.integers(0, 10**15 - 1))
def test_dollars_lose_no_nanodollar_below_a_million(amount_nanos: int):
    assert Decimal(json.dumps(money.usd(amount_nanos))) * 10**9 == amount_nanos


@given(st.integers(-(10**18), 10**18))
def test_decimal_text_is_exact_at_any_size(amount_nanos: int):
    whole, _, digits = money.decimal(abs(amount_nanos)).partition(".")
    assert int(whole) * 10**9 + int(digits.ljust(9, "0")) == abs(amount_nanos)
    assert money.decimal(-abs(amount_nanos) - 1).startswith("-")


@pytest.mark.parametrize(
    ("nanos", "micros"), [(0, 0), (499, 0), (500, 1), (1_499, 1), (1_500, 2), (128_000_000, 128_000)]
)
def test_microdollars_are_rounded_half_up(nanos: int, micros: int):
    assert money.microdollars(nanos) == micros


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (5_000_000_000, "$5.00"),
        (100_000, "$0.0001"),
        (-500_000_000, "-$0.50"),
        (1, "$0.000000001"),
    ],
)
def test_text_shows_cents_and_never_rounds(nanos: int, text: str):
    assert money.text(nanos) == text


def test_a_price_field_of_100_is_ten_cents_per_million_tokens():
    assert money.price(100) == "$0.10 per 1M tokens"
    assert money.price(2_000) == "$2.00 per 1M tokens"
