"""Generalisation hierarchies: ever coarser names for the values of one column.

Level 0 is the value itself, the last level is `SUPPRESSED` for all. Levels are nested: values that
are equal at one level stay equal above it, on which the monotonicity of k-anonymity rests (LeFevre
et al. 2005, the generalization property). Calendar weeks do not nest in calendar months, so there are two hierarchies
for times.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeAlias

from privet.privacy.anonymization.tables import Column, Value
from privet.privacy.errors import InputError

Rule: TypeAlias = Callable[[Value], Value]

SUPPRESSED = "*"
_MONDAY = date(1970, 1, 5)


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """The levels between a value and its suppression.

    Attributes:
        name: What it generalises, for messages.
        rules: For each level from 1, the map from a value of level 0; suppression is added on top.
    """

    name: str
    rules: tuple[Rule, ...] = ()

    @property
    def height(self) -> int:
        """The highest level, at which everything is suppressed."""
        return len(self.rules) + 1

    def levels(self, column: Column) -> tuple[Column, ...]:
        """The column at every level.

        Raises:
            InputError: If a rule cannot read the column's values, or the levels are not nested.
        """
        found = (column, *(column.apply(rule) for rule in self.rules), column.apply(_suppress))
        for lower, upper in pairwise(found):
            pairs = set(zip(lower.codes.tolist(), upper.codes.tolist(), strict=True))
            if len(pairs) > len(lower.values):
                raise InputError(f"The levels of the hierarchy {self.name!r} are not nested.")
        return found


def suppression() -> Hierarchy:
    """Keep the value, or suppress it."""
    return Hierarchy(name="suppression")


def age_bands(widths: Sequence[int] = (5, 10, 20)) -> Hierarchy:
    """Ages to bands of ever more years, each width a multiple of the one before.

    Example:
        >>> [column.values for column in age_bands((5, 10)).levels(Column.of([31, 38]))]
        [(31, 38), ('30-34', '35-39'), ('30-39',), ('*',)]
    """
    _chain(widths, "age bands")
    return Hierarchy(name="age bands", rules=tuple(_band(width) for width in widths))


def zip_prefix(keep: Sequence[int] = (4, 3, 2, 1)) -> Hierarchy:
    """Postal codes to ever fewer leading characters."""
    if any(n < 1 for n in keep) or any(a <= b for a, b in pairwise(keep)):
        raise InputError("Expected ever fewer characters to keep, at least 1.")
    return Hierarchy(name="zip prefix", rules=tuple(_prefix(count) for count in keep))


def time_blocks(days: Sequence[int] = (1, 7, 28)) -> Hierarchy:
    """Times in seconds since 1970, UTC, to a day, a week from Monday and a month of four weeks.

    Labels are the first day and the length, ``1997-09-15/P7D``.
    """
    _chain(days, "time blocks")
    return Hierarchy(name="time blocks", rules=tuple(_block(length) for length in days))


def time_calendar() -> Hierarchy:
    """Times in seconds since 1970, UTC, to the day, the calendar month and the year."""
    return Hierarchy(
        name="time calendar",
        rules=tuple(_calendar(characters) for characters in (10, 7, 4)),
    )


def like_dislike(threshold: float = 4) -> Hierarchy:
    """Ratings to ``like``, from the threshold on, or ``dislike``."""

    def rule(value: Value) -> Value:
        return "like" if _number(value, "like or dislike") >= threshold else "dislike"

    return Hierarchy(name="like or dislike", rules=(rule,))


def taxonomy(ancestors: Mapping[str, Sequence[str]] | Mapping[int, Sequence[str]]) -> Hierarchy:
    """A tree written down: for each value its ancestors from the nearest up, without the root.

    Raises:
        InputError: If the values have different numbers of ancestors.
    """
    depths = {len(names) for names in ancestors.values()}
    if len(depths) != 1:
        raise InputError("Expected the same number of ancestors for every value of a taxonomy.")
    rules = tuple(_ancestor(dict(ancestors), level) for level in range(depths.pop()))
    return Hierarchy(name="taxonomy", rules=rules)


def _suppress(_: Value) -> Value:
    return SUPPRESSED


def _chain(widths: Sequence[int], name: str) -> None:
    if any(width < 1 for width in widths) or any(b % a or a == b for a, b in pairwise(widths)):
        raise InputError(f"Expected widths of {name} that are multiples of the one before.")


def _number(value: Value, name: str) -> float:
    if isinstance(value, str | bool):
        raise InputError(f"Expected numbers for {name}, found a {type(value).__name__}.")
    return value


def _band(width: int) -> Rule:
    def rule(value: Value) -> Value:
        years = _number(value, "age bands")
        if years < 0:
            raise InputError("Expected ages from 0, found a negative number.")
        low = int(years) // width * width
        return f"{low}-{low + width - 1}"

    return rule


def _prefix(keep: int) -> Rule:
    def rule(value: Value) -> Value:
        if not isinstance(value, str):
            raise InputError(f"Expected text as postal codes, found a {type(value).__name__}.")
        return value[:keep] + SUPPRESSED

    return rule


def _day(value: Value) -> date:
    try:
        return datetime.fromtimestamp(_number(value, "times"), tz=UTC).date()
    except (OverflowError, ValueError, OSError):
        raise InputError("Expected times in seconds since 1970, found one out of range.") from None


def _block(days: int) -> Rule:
    def rule(value: Value) -> Value:
        offset = (_day(value) - _MONDAY).days // days * days
        try:
            return f"{_MONDAY + timedelta(days=offset)}/P{days}D"
        except OverflowError:
            raise InputError("Expected times that are not at the end of the calendar.") from None

    return rule


def _calendar(characters: int) -> Rule:
    return lambda value: _day(value).isoformat()[:characters]


def _ancestor(ancestors: Mapping[Any, Sequence[str]], level: int) -> Rule:
    def rule(value: Value) -> Value:
        if value not in ancestors:
            raise InputError("A value of the column is not in the taxonomy.")
        return str(ancestors[value][level])

    return rule
