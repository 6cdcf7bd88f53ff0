"""Figures of attacks: means over targets, with intervals as wide as their use asks for.

A figure that a claim bounds must not be above it by luck, in any of the many figures of many audits: its
interval is four standard errors to each side (a chance of 3e-5 where the mean is nearly Gaussian). What is
only shown has the usual 95 %.
"""

import math

import numpy as np
from numpy.typing import NDArray

from privet.privacy.report.sections import Interval
from privet.simulations.evaluation.intervals import mean_interval

_BOUNDED = 4.0
_TARGETS = 30  # below it four standard errors are too narrow for a mean that is not Gaussian


def shown(values: NDArray[np.float64], *, low: float = 0.0, high: float = 1.0) -> Interval:
    """The mean and its 95 % interval, of values in [low, high]."""
    found = mean_interval(np.asarray(values, np.float64), bounds=(low, high))
    return Interval(mean=found.mean, low=found.low, high=found.high)


def bounded(values: NDArray[np.float64], *, low: float = 0.0, high: float = 1.0) -> Interval:
    """The mean, for a figure that a claim bounds; of fewer than 30 targets nothing is said."""
    values = np.asarray(values, np.float64)
    mean = float(values.mean())
    if len(values) < _TARGETS:
        return Interval(mean=mean, low=low, high=high)
    # With few hits the spread's estimate is too small: as if four more had been at each end.
    padded = np.concatenate([values, np.full(4, low), np.full(4, high)])
    half = _BOUNDED * float(np.std(padded, ddof=1)) / math.sqrt(len(values))
    return Interval(mean=mean, low=max(low, mean - half), high=min(high, mean + half))
