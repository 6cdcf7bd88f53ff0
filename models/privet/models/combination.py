"""How the sums of a round's groups become one release: added up, or combined robustly.

A device can spoil the sum of its own group and of no other. A coordinate-wise trimmed mean of the
groups' means (Yin et al. 2018, arXiv 1803.01498) ignores the largest and the smallest groups in
each coordinate, so that a few spoiled groups move the result no further than honest ones lie apart.
The median is the trimmed mean that keeps only the middle one, or the middle two.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

FEWEST_GROUPS = 3  # with two nobody can say which of them is wrong
MOST_GROUPS = 100  # what the integration below resolves
_NODES = 240
_REACH = 7.5  # standard deviations; beyond lies a mass of 1e-13


class Combination(StrEnum):
    """What is done with the sums of groups."""

    SUM = "sum"
    TRIMMED_MEAN = "trimmed-mean"
    MEDIAN = "median"

    def trimmed(self, groups: int) -> int:
        """Groups that are left out at each end of each coordinate: as many may be spoiled.

        Raises:
            InputError: Fewer than 3 groups, of which none can be left out, or more than 100.
        """
        if self is Combination.SUM:
            return 0
        if not FEWEST_GROUPS <= groups <= MOST_GROUPS:
            raise InputError(
                f"Combining groups by {self} needs from {FEWEST_GROUPS} to {MOST_GROUPS} groups, "
                f"found {groups}: use another number of groups, or {Combination.SUM}."
            )
        return (groups - 1) // 2 if self is Combination.MEDIAN else max(1, groups // 4)


def combine(
    sums: Sequence[NDArray[np.float64]], devices: Sequence[int], combination: Combination
) -> NDArray[np.float64]:
    """One sum of all devices from the groups' sums.

    Args:
        sums: One a group, each of shape ``(dimension,)``.
        devices: In each group, at least 1.
        combination: How.

    Returns:
        The sum; or the number of all devices times the trimmed mean of the groups' means, shape
        ``(dimension,)``.

    Formal Guarantees:
        With k groups trimmed at each end and at most k groups changed to anything finite, each
        coordinate stays between the smallest and the largest of the unchanged groups' means, times
        the devices. Proof: what is kept is no smaller than the (k + 1)-th smallest value. Of the
        k + 1 smallest one is unchanged, so that value is no smaller than some unchanged one. The
        same holds from above, and a mean stays between. This costs no privacy, since the sums were
        released and charged before.
    """
    trimmed = combination.trimmed(len(sums))
    if trimmed == 0:
        return np.asarray(np.sum(sums, axis=0), np.float64)
    means = np.sort([sum_ / n for sum_, n in zip(sums, devices, strict=True)], axis=0)
    kept = means[trimmed : len(sums) - trimmed]
    return np.asarray(kept.mean(axis=0) * sum(devices), np.float64)


@lru_cache(maxsize=64)
def noise_growth(combination: Combination, groups: int) -> float:
    """How much more noise a combination has than the sum: a ratio of standard deviations.

    Exact for independent Gaussian noise of one size, in a coordinate where the groups' means do not
    differ otherwise: 1.16 for the median of 3 groups, towards sqrt(pi / 2) = 1.25 for many. Where
    they differ it can be larger, up to ``sqrt(groups / kept)`` whatever they are: the map has a
    gradient of squared norm ``1 / kept``, and Poincare's inequality for Gaussians bounds its
    variance by that (Boucheron, Lugosi, Massart 2013, Theorem 3.20).

    Args:
        combination: Of which groups' means.
        groups: How many.
    """
    trimmed = combination.trimmed(groups)
    if trimmed == 0:
        return 1.0
    return math.sqrt(groups * _variance(groups, trimmed))


def _variance(groups: int, trimmed: int) -> float:
    """Variance of the trimmed mean of standard Gaussians, by its own definition.

    Given the largest value ``a`` that is left out below and the smallest ``b`` above, the kept
    values are independent Gaussians cut off to ``(a, b)``; the pair has the density of two order
    statistics. Integrated by Gauss and Legendre's rule, denser where ``b`` is near ``a``.
    """
    kept = groups - 2 * trimmed
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    low = _REACH * nodes[:, None]
    along = (nodes + 1) / 2
    high = low + (_REACH - low) * along**3
    area = _REACH * weights[:, None] * (_REACH - low) * 3 * along**2 * weights / 2
    below, above = _upper_tail(-low), _upper_tail(high)
    between = np.maximum(_upper_tail(low) - above, 1e-300)
    at_low, at_high = _density(low), _density(high)
    log_ways = math.lgamma(groups + 1) - math.lgamma(kept + 1) - 2 * math.lgamma(trimmed)
    mass = np.exp(
        log_ways
        + (trimmed - 1) * (np.log(below) + np.log(above))
        + kept * np.log(between)
        + np.log(at_low)
        + np.log(at_high)
    )
    mean = np.clip((at_low - at_high) / between, low, high)  # digits cancel in thin intervals
    square = np.clip(1 + (low * at_low - high * at_high) / between, mean**2, _REACH**2)
    return float((area * mass * (square / kept + (1 - 1 / kept) * mean**2)).sum())


def _density(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), np.float64)


def _upper_tail(x: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = [math.erfc(value / math.sqrt(2)) / 2 for value in x.ravel().tolist()]
    return np.array(flat).reshape(x.shape)
