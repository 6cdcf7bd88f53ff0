"""What a query was understood as, and one line of it for people."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from privet.client.ranking.limits import Range
from privet.client.ranking.titles import Likened, phrase_key


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One thing that a query wants, or does not want.

    Attributes:
        said: The query's words, folded.
        category: The category that they name; empty if they are text.
    """

    said: str
    category: str = ""

    def __str__(self) -> str:
        """The words, and the category where it has another name."""
        same = not self.category or phrase_key(self.said) == phrase_key(self.category)
        return (self.category or self.said) if same else f"{self.said} ({self.category})"


@dataclass(frozen=True, kw_only=True)
class Understood:
    """A query as it was understood, to be shown to who asked.

    Attributes:
        wanted: What the ranking follows.
        like: Items, by position in the catalogue, that what is found should be like.
        without: What is left out.
        years: Alternatives, any of which will do; empty for no limit.
        without_years: Years that are left out.
        durations: Alternatives in seconds; empty for no limit.
        without_durations: Durations in seconds that are left out.
        prices: Alternatives in hundredths of the catalogue's currency; empty for no limit.
        without_prices: Prices that are left out.
        cheap: Whether what costs little is wanted, without a limit.
    """

    wanted: tuple[Wish, ...] = ()
    like: tuple[Likened, ...] = ()
    without: tuple[Wish, ...] = ()
    years: tuple[Range, ...] = ()
    without_years: tuple[Range, ...] = ()
    durations: tuple[Range, ...] = ()
    without_durations: tuple[Range, ...] = ()
    prices: tuple[Range, ...] = ()
    without_prices: tuple[Range, ...] = ()
    cheap: bool = False

    def __str__(self) -> str:
        """One line for people, in English."""
        said = [
            _line("wanted: ", map(str, self.wanted)),
            _line("like: ", (likened.title for likened in self.like)),
            _line("without: ", map(str, self.without)),
            _line("years: ", map(_years, self.years)),
            _line("not the years: ", map(_years, self.without_years)),
            _line("duration: ", map(_duration, self.durations)),
            _line("not the duration: ", map(_duration, self.without_durations)),
            _line("price: ", map(_price, self.prices)),
            _line("not the price: ", map(_price, self.without_prices)),
            "cheap" if self.cheap else "",
        ]
        return "; ".join(part for part in said if part) or "everything"


def _line(label: str, parts: Iterable[str]) -> str:
    joined = ", ".join(parts)
    return f"{label}{joined}" if joined else ""


def _years(found: Range) -> str:
    if found.low > found.high:
        return "none"
    if found.low == found.high:
        return f"{found.low:.0f}"
    if found.high == math.inf:
        return f"from {found.low:.0f} on"
    return f"until {found.high:.0f}" if found.low <= 0 else f"{found.low:.0f} to {found.high:.0f}"


def _price(found: Range) -> str:
    if found.low > found.high:
        return "none"
    if found.high == math.inf:
        return f"at least {found.low / 100:.2f}"
    high = f"at most {found.high / 100:.2f}"
    return high if found.low <= 0 else f"{found.low / 100:.2f} to {found.high / 100:.2f}"


def _duration(found: Range) -> str:
    if found.low > found.high:
        return "none"
    low = f"at least {found.low / 60:.4g} min"
    if found.low % 60 == 1:  # "over" is the next whole second
        low = f"over {(found.low - 1) / 60:.4g} min"
    high = f"at most {found.high / 60:.4g} min"
    if found.high % 60 == 59:
        high = f"under {(found.high + 1) / 60:.4g} min"
    if found.high == math.inf:
        return low
    return high if found.low <= 0 else f"{low} and {high}"
