"""Nanodollars to what people and programs read: the only place that knows that a dollar is 10⁹ of them."""

from decimal import Decimal

NANOS_PER_USD = 10**9
NANOS_PER_CENT = 10**7
NANOS_PER_MICRODOLLAR = 10**3
CENT_DIGITS = 2
SMALL_DIGITS = 3  # of a headline below a cent


def usd(amount_nanos: int) -> float:
    """Dollars as a JSON number: 24_800 → 0.0000248.

    Integer division in Python rounds once, to the nearest double, whose shortest text has all nine decimals
    of any amount below a million dollars (15 digits). For showing only; nothing is ever computed with it.
    """
    return amount_nanos / NANOS_PER_USD


def microdollars(amount_nanos: int) -> int:
    """Millionths of a dollar, rounded half up: 1_500 → 2."""
    return (amount_nanos + NANOS_PER_MICRODOLLAR // 2) // NANOS_PER_MICRODOLLAR


def nanos(amount_usd: Decimal) -> int:
    """What somebody wrote in dollars, exactly: Decimal("0.5") → 500_000_000.

    Raises ValueError for parts of a nanodollar.
    """
    amount_nanos = amount_usd * NANOS_PER_USD
    if amount_nanos != int(amount_nanos):
        raise ValueError("There is nothing smaller than a nanodollar.")
    return int(amount_nanos)


def cents(amount_nanos: int) -> int:
    """What card networks count in: 5_000_000_000 → 500. Raises ValueError for parts of a cent."""
    whole, rest = divmod(amount_nanos, NANOS_PER_CENT)
    if rest:
        raise ValueError("There are parts of a cent in this amount.")
    return whole


def of_cents(amount_cents: int) -> int:
    """500 → 5_000_000_000."""
    return amount_cents * NANOS_PER_CENT


def decimal(amount_nanos: int) -> str:
    """Dollars in plain digits without an exponent, exact at any size: 24_800 → "0.0000248", 0 → "0"."""
    whole, digits = _parts(amount_nanos)
    return f"{whole}.{digits}" if digits else whole


def text(amount_nanos: int) -> str:
    """Dollars for a page, exact, with at least the cents: "$5.00", "$0.0001", "-$0.50"."""
    whole, digits = _parts(abs(amount_nanos))
    return f"{'-' if amount_nanos < 0 else ''}${whole}.{digits.ljust(CENT_DIGITS, '0')}"


def price(price_nanos: int) -> str:
    """A price in nanodollars per token as people compare it: 100 → "$0.10 per 1M tokens"."""
    return f"{text(price_nanos * 1_000_000)} per 1M tokens"


def rounded(amount_nanos: int) -> str:
    """Dollars for a headline, cut down to cents: 4_871_999_900 → "$4.87"; less than a cent to three digits.

    Never more than there is: a balance of $0.999 is not a dollar.
    """
    unit_nanos = NANOS_PER_USD // 10**CENT_DIGITS
    if 0 <= amount_nanos < unit_nanos:
        unit_nanos = 10 ** max(len(str(amount_nanos)) - SMALL_DIGITS, 0)
    return text(amount_nanos // unit_nanos * unit_nanos)


def _parts(amount_nanos: int) -> tuple[str, str]:
    """(whole dollars with their sign, the decimals without trailing zeros)."""
    whole, rest = divmod(abs(amount_nanos), NANOS_PER_USD)
    return f"{'-' if amount_nanos < 0 else ''}{whole}", f"{rest:09}".rstrip("0")
