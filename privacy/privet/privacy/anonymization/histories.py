"""Interaction histories as arrays, and measured shares with their uncertainty."""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from privet.privacy.errors import InputError

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Histories:
    """Events sorted by user, each user and item at most once.

    Attributes:
        indptr: Where each user's events start, and the end of the last.
        items: Dense item codes.
        ratings: Of each event, if there are any.
        times: Of each event in seconds, if there are any.
    """

    indptr: NDArray[np.intp] = field(repr=False)
    items: NDArray[np.intp] = field(repr=False)
    ratings: Floats | None = field(repr=False, default=None)
    times: Floats | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls,
        users: ArrayLike,
        items: ArrayLike,
        *,
        ratings: ArrayLike | None = None,
        times: ArrayLike | None = None,
    ) -> "Histories":
        """Histories from one row an event; ids are whole numbers.

        Raises:
            InputError: If there are no events, lengths differ, something is not a finite number,
                or a user has an item twice.
        """
        who, what = as_ids(users, "users"), as_ids(items, "items")
        more = {"ratings": as_numbers(ratings, "ratings"), "times": as_numbers(times, "times")}
        columns = {"users": who, "items": what, **more}
        lengths = {name: len(values) for name, values in columns.items() if values is not None}
        if len(set(lengths.values())) > 1:
            raise InputError(f"Expected arrays of one length, found {lengths}.")
        if not len(who):
            raise InputError("Expected at least one event, found none.")
        who, what = (np.unique(ids, return_inverse=True)[1] for ids in (who, what))
        order = np.lexsort((what, who))
        who, what = who[order], what[order]
        if np.any((np.diff(who) == 0) & (np.diff(what) == 0)):
            raise InputError("A user has an item twice; keep one event of each item.")
        ratings_, times_ = (None if v is None else v[order] for v in more.values())
        indptr = np.concatenate([[0], np.cumsum(np.bincount(who))])
        return cls(indptr=indptr, items=what, ratings=ratings_, times=times_)

    @property
    def users(self) -> int:
        """The number of users."""
        return len(self.indptr) - 1

    @property
    def lengths(self) -> NDArray[np.intp]:
        """The number of events of each user."""
        return np.diff(self.indptr)

    def owners(self) -> NDArray[np.intp]:
        """The user of each event."""
        return np.repeat(np.arange(self.users), self.lengths)


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """A share that was measured on trials, with Wilson's score interval (Wilson 1927).

    Attributes:
        successes: Of the trials.
        trials: At least 1.
        low: Of the interval.
        high: Of the interval.
    """

    successes: int
    trials: int
    low: float
    high: float

    @classmethod
    def of(cls, successes: int, trials: int, confidence: float = 0.95) -> "Proportion":
        """The share and its two-sided interval, trials taken as independent.

        Example:
            >>> found = Proportion.of(8, 10)
            >>> round(found.low, 3), found.share, round(found.high, 3)
            (0.49, 0.8, 0.943)
        """
        if not 0 <= successes <= trials or trials < 1:
            raise InputError(f"Expected 0 to {trials} successes of at least 1 trial.")
        if not 0 < confidence < 1:
            raise InputError(f"Expected confidence={confidence} between 0 and 1.")
        z = NormalDist().inv_cdf((1 + confidence) / 2)
        share, scale = successes / trials, 1 + z * z / trials
        middle = (share + z * z / (2 * trials)) / scale
        half = z / scale * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
        return cls(
            successes=successes,
            trials=trials,
            low=0.0 if successes == 0 else max(0.0, middle - half),
            high=1.0 if successes == trials else min(1.0, middle + half),
        )

    @property
    def share(self) -> float:
        """Successes over trials."""
        return self.successes / self.trials


def as_ids(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Whole numbers in one row, or InputError."""
    found = _array(values, name)
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise InputError(f"Expected {name} to be one row of whole numbers.")
    return found.astype(np.int64)


def as_numbers(values: ArrayLike | None, name: str) -> Floats | None:
    """Finite numbers in one row, or InputError; nothing stays nothing."""
    if values is None:
        return None
    found = _array(values, name)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iuf"):
        raise InputError(f"Expected {name} to be one row of numbers.")
    result = found.astype(np.float64)
    if not np.isfinite(result).all():
        raise InputError(f"Expected {name} to be finite, found NaN or infinity.")
    return result


def _array(values: ArrayLike, name: str) -> NDArray[np.generic]:
    try:
        return np.asarray(values)
    except ValueError:  # rows of several lengths
        raise InputError(f"Expected {name} to be one row of numbers.") from None
