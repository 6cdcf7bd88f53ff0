"""Ranges that a query sets to numbers of items, and how they are taken out of its text."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_NOT = r"(?P<no>\b(?:no|not|nothing|none|never|don't want)(?: films?| movies?| items?)? )?"
Patterns = tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], list["Range"]]], ...]


@dataclass(frozen=True, kw_only=True)
class Range:
    """Whole numbers from ``low`` to ``high``, both included; infinity for no end."""

    low: float = 0
    high: float = math.inf

    def meet(self, other: "Range") -> "Range":
        """What lies in both; low is above high if nothing does."""
        return Range(low=max(self.low, other.low), high=min(self.high, other.high))


@dataclass(kw_only=True)
class Limits:
    """What a query says of one number of an item, such as its year.

    Attributes:
        within: Alternatives; any of them will do. Empty for no limit.
        bounds: Must hold besides.
        without: None of these.
    """

    within: list[Range] = field(default_factory=list)
    bounds: Range = Range()
    without: list[Range] = field(default_factory=list)

    @property
    def wanted(self) -> tuple[Range, ...]:
        """Alternatives within the bounds; empty for no limit."""
        if self.within:
            return tuple(alternative.meet(self.bounds) for alternative in self.within)
        return () if self.bounds == Range() else (self.bounds,)

    def add(self, found: Range, *, negated: bool, alternative: bool) -> None:
        """Note one limit."""
        if negated:
            self.without.append(found)
        elif alternative:
            self.within.append(found)
        else:
            self.bounds = self.bounds.meet(found)


def take(
    text: str,
    pattern: re.Pattern[str],
    read: Callable[[re.Match[str]], list[Range]],
    limits: Limits,
    *,
    alternative: bool,
) -> str:
    """Note what a pattern finds, and put a bar in its place."""

    def note(match: re.Match[str]) -> str:
        for found in read(match):
            limits.add(found, negated=match["no"] is not None, alternative=alternative)
        return " | "

    return pattern.sub(note, text)


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of whole words, after "no" or "not" or without."""
    return re.compile(rf"(?<![\w'-]){_NOT}{pattern}")
