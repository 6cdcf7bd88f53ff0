"""Numbers as people read them; a figure that bounds something is only ever rounded up."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_HUGE = Decimal("1e9")
"""From here on numbers are written with an exponent."""


def rounded_up(value: float, digits: int = 4) -> tuple[str, bool]:
    """A number with few digits that is never below the value.

    Args:
        value: Zero or more.
        digits: Significant digits to keep.

    Returns:
        The text, and whether it is the value itself.

    Example:
        >>> rounded_up(1.0), rounded_up(0.99871), rounded_up(1e-6)
        (('1', True), ('0.9988', False), ('1e-6', True))
    """
    if math.isinf(value):
        return "∞", True
    return _rounded(Decimal(repr(float(value))), digits, ROUND_CEILING)


def rounded_down(value: float, digits: int = 4) -> str:
    """A number of at least zero with few digits that is never above the value.

    Example:
        >>> rounded_down(0.99879), rounded_down(float("inf"))
        ('0.9987', '∞')
    """
    if math.isinf(value):
        return "∞"
    return _rounded(Decimal(repr(float(value))), digits, ROUND_FLOOR)[0]


def percent_up(value: float, digits: int = 3) -> str:
    """A probability as a percentage that is never below it.

    Example:
        >>> percent_up(0.0341461), percent_up(1.0)
        ('3.42 %', '100 %')
    """
    return f"{_rounded(Decimal(repr(float(value))).scaleb(2), digits, ROUND_CEILING)[0]} %"


def _rounded(exact: Decimal, digits: int, rounding: str) -> tuple[str, bool]:
    if exact == 0:
        return "0", True
    unit = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    if unit > 1 and exact < _HUGE:
        unit = Decimal(1)
    shown = exact.quantize(unit, rounding=rounding)
    return _plain(shown), shown == exact


def bound(symbol: str, value: float) -> str:
    """The value of a bound: ``ε = 1``, or ``ε ≤ 0.9988`` where it was rounded up.

    Example:
        >>> bound("ε", 0.99871)
        'ε ≤ 0.9988'
    """
    shown, exact = rounded_up(value)
    return f"{symbol} {'=' if exact else '≤'} {shown}"


def number(value: float | None, digits: int = 4) -> str:
    """A measured or computed number, rounded to the nearest; a dash where there is none.

    Example:
        >>> number(6040), number(0.21349), number(1234567.8), number(None)
        ('6,040', '0.2135', '1,234,568', '—')
    """
    if value is None:
        return "—"
    if math.isinf(value):
        return "∞"
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return _plain(Decimal(f"{value:.{digits}g}"))


def epsilon_text(value: float | None) -> str:
    """An epsilon for a table: five digits, never rounded down; a dash where there is none."""
    return "—" if value is None else rounded_up(value, 5)[0]


def size(count: int) -> str:
    """A number of bytes.

    Example:
        >>> size(512), size(180_600)
        ('512 B', '176.4 KiB')
    """
    amount = float(count)
    for name in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.{0 if name == 'B' else 1}f} {name}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def short_hash(digest: str) -> str:
    """The start of a hash, for a table; the whole is shown elsewhere.

    Example:
        >>> short_hash("0123456789abcdef")
        '0123456789…'
    """
    return digest if len(digest) <= 12 else f"{digest[:10]}…"


def initial(text: str) -> str:
    """The text with a capital at its start, and nothing else changed."""
    return text[:1].upper() + text[1:]


def _plain(value: Decimal) -> str:
    value = value.normalize()
    if value != 0 and not Decimal("0.001") <= abs(value) < _HUGE:
        exponent = value.adjusted()
        return f"{value.scaleb(-exponent).normalize():f}e{exponent}"
    return f"{value:,f}"
