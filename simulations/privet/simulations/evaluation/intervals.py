"""95 % confidence intervals: means over users, paired differences, means over seeds.

Every interval treats its units (users, or seeds) as independent draws. It speaks of other users
like these under the same trained model; only `over_seeds` speaks of training again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

NORMAL_FROM = 100
"""From so many units on the normal quantile 1.96 is used; Student's t is 1.2 % wider there."""

_ERROR = 0.05


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean with its 95 % interval.

    Attributes:
        mean: The mean over the units.
        low: Lower end; NaN where no interval is claimed, minus infinity where one unit says nothing.
        high: Upper end, likewise.
        users: Number of units averaged over: users, or seeds for `over_seeds`.
    """

    mean: float
    low: float
    high: float
    users: int

    def to_dict(self) -> dict[str, float | int | None]:
        """For JSON; an end that is not a number becomes None."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return {"mean": self.mean, "low": low, "high": high, "users": self.users}


def mean_interval(
    values: NDArray[np.float64], *, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Mean over users with its 95 % interval.

    Normal approximation from 100 values on, Student's t with n - 1 degrees of freedom below. Both
    are too narrow where very few users have a hit: with 1,000 users of whom 20, 5 or 3 are expected
    to, they cover the truth 96, 88 and 80 % of the time (4,000 repetitions).

    Edge cases: one value says nothing of the spread, so the interval is ``bounds`` or infinite.
    If all values are equal the spread's estimate is 0, which is no certainty: with ``bounds``,
    the share of users with another value is at most ``1 - 0.05^(1/n)`` (about 3/n, the "rule of
    three") and the interval is what these could move; without, it has no width.

    Args:
        values: Shape ``(n,)``, finite, n at least 1.
        bounds: The range that values can have, such as ``(0, 1)``; the interval is clipped to it.

    Raises:
        InputError: No values, values that are not finite, or outside ``bounds``.
    """
    low, high = bounds or (-math.inf, math.inf)
    _check(values, low, high)
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Estimate(mean=mean, low=low, high=high, users=1)
    if bounds and np.all(values == values[0]):
        mean = float(values[0])
        others = 1 - _ERROR ** (1 / n)
        ends = mean - others * (mean - low), mean + others * (high - mean)
        return Estimate(mean=mean, low=ends[0], high=ends[1], users=n)
    half = _quantile(n) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(mean=mean, low=max(low, mean - half), high=min(high, mean + half), users=n)


def paired_difference(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    bounds: tuple[float, float] | None = (-1.0, 1.0),
) -> Estimate:
    """Mean of ``first - second`` over the same users, with its 95 % interval.

    Much narrower than two separate intervals, because users differ more than models do. Zero
    outside of the interval says that the models differ on users like these.

    Args:
        first: A metric of each user under one model, shape ``(n,)``.
        second: The same metric of the same users under another, shape ``(n,)``.
        bounds: The range of differences: that of metrics in ``[0, 1]`` unless told.

    Raises:
        InputError: Arrays of different shapes, or as for `mean_interval`.
    """
    if first.shape != second.shape:
        raise InputError(
            "A paired difference needs the same users in the same order: "
            f"found shapes {first.shape} and {second.shape}."
        )
    return mean_interval(first - second, bounds=bounds)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of one figure over runs with different seeds, Student's t interval whatever their number.

    Args:
        values: The figure of each run, at least 2 and finite.

    Raises:
        InputError: Fewer than two runs, or a figure that is not finite.
    """
    runs = np.asarray(values, np.float64)
    if runs.size < 2:
        raise InputError(f"An interval over seeds needs at least 2 runs, found {runs.size}.")
    _check(runs, -math.inf, math.inf)
    mean, n = float(np.mean(runs)), len(runs)
    half = _student(n - 1) * float(np.std(runs, ddof=1)) / math.sqrt(n)
    return Estimate(mean=mean, low=mean - half, high=mean + half, users=n)


def _check(values: NDArray[np.float64], low: float, high: float) -> None:
    """Refuse what has no mean, or values outside of their declared range."""
    if values.ndim != 1 or not len(values):
        raise InputError(f"Expected at least one value in a row, found shape {values.shape}.")
    if not np.isfinite(values).all():
        raise InputError(
            f"Expected finite values, found {np.sum(~np.isfinite(values))} that aren't."
        )
    if values.min() < low or values.max() > high:
        raise InputError(f"Expected values in [{low}, {high}], found some outside.")


def _quantile(n: int) -> float:
    """How many standard errors to each side, for n values."""
    return NormalDist().inv_cdf(1 - _ERROR / 2) if n >= NORMAL_FROM else _student(n - 1)


def _student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - _ERROR / 2))
