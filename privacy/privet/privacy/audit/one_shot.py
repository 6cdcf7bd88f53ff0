r"""An estimate of epsilon from random canary devices in one federated run. It is no bound.

Andrew, Kairouz, Oh, Oprea, McMahan and Suriyakumar 2024 (arXiv 2302.03098). Each canary device
sends a random unit vector. Of a vector that nobody sent, the cosine with what was released is about
Gaussian with variance ``1/d``; the cosines of the canaries are fitted with a Gaussian too, and
epsilon is that of the two distributions at delta. Needs no knowledge of the task, and d much larger
than the number of canaries: they all add to the length of the release.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

_LARGEST = 200.0
_HALVINGS = 60
_FEWEST = 8


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """What the cosines of canaries look like beside those of strangers.

    Attributes:
        epsilon: The estimate at delta; no bound.
        mean: Of the canaries' cosines; a stranger's is 0.
        std: Of the canaries' cosines.
        stranger_std: Of a stranger's cosine, ``1 / sqrt(d)``.
        canaries: How many there were.
    """

    epsilon: float
    mean: float
    std: float
    stranger_std: float
    canaries: int


def one_shot_estimate(cosines: NDArray[np.float64], *, dimension: int, delta: float) -> OneShot:
    """Estimates epsilon from the cosines of canaries that all took part.

    Args:
        cosines: Of each canary's vector with the release, or its largest over all releases that
            were seen, less its mean among strangers; shape ``(canaries,)``.
        dimension: Of the vectors, more than the canaries.
        delta: At which epsilon is wanted.

    Raises:
        InputError: Fewer than 8 canaries, no fewer than dimensions, or a delta out of (0, 1).
    """
    found = np.asarray(cosines, np.float64)
    if not _FEWEST <= len(found) < dimension or not 0 < delta < 1:
        raise InputError(
            f"Expected from {_FEWEST} canaries to fewer than {dimension}, the dimension, and delta "
            f"in (0, 1), found {len(found)} and {delta}."
        )
    stranger, mean = 1 / math.sqrt(dimension), float(found.mean())
    std = float(found.std(ddof=1))
    return OneShot(
        epsilon=_epsilon(mean / stranger, max(std / stranger, 1e-9), delta),
        mean=mean,
        std=std,
        stranger_std=stranger,
        canaries=len(found),
    )


def _epsilon(mean: float, std: float, delta: float) -> float:
    """The smallest epsilon at which N(0, 1) and N(mean, std^2) are indistinguishable up to delta."""
    if _delta(mean, std, 0.0) <= delta:
        return 0.0
    low, high = 0.0, _LARGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(mean, std, middle) > delta else (low, middle)
    return high


def _delta(mean: float, std: float, epsilon: float) -> float:
    """The worse of both directions of the hockey-stick divergence."""
    # Seen from N(mean, std), in its own units, N(0, 1) is N(-mean/std, 1/std).
    return max(_hockey_stick(mean, std, epsilon), _hockey_stick(-mean / std, 1 / std, epsilon))


def _hockey_stick(mean: float, std: float, epsilon: float) -> float:
    """Of N(mean, std^2) from N(0, 1): both integrated where their log ratio is above epsilon.

    The log ratio is the parabola ``a x^2 + b x + c`` with ``a = (1 - 1/std^2) / 2``.
    """
    a = (1 - std**-2) / 2
    b = mean / std**2
    c = -(mean**2) / (2 * std**2) - math.log(std) - epsilon
    above = 0.0
    for low, high in _where_positive(a, b, c):
        above += _mass((low - mean) / std, (high - mean) / std)
        above -= math.exp(epsilon) * _mass(low, high)
    return max(0.0, above)


def _where_positive(a: float, b: float, c: float) -> list[tuple[float, float]]:
    """Where the parabola is positive, as intervals."""
    if abs(a) < 1e-12:
        if b == 0:
            return [(-math.inf, math.inf)] if c > 0 else []
        root = -c / b
        return [(root, math.inf)] if b > 0 else [(-math.inf, root)]
    discriminant = b * b - 4 * a * c
    if discriminant <= 0:
        return [(-math.inf, math.inf)] if a > 0 else []
    low, high = sorted((-b + sign * math.sqrt(discriminant)) / (2 * a) for sign in (-1, 1))
    return [(-math.inf, low), (high, math.inf)] if a > 0 else [(low, high)]


def _mass(low: float, high: float) -> float:
    """Of the standard Gaussian between two points, exact in its tails."""
    if low > 0:
        low, high = -high, -low
    return (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2))) / 2
