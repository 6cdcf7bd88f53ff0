"""Exact accounting for compositions of Gaussian mechanisms, by their GDP parameter mu.

Sources: Balle and Wang 2018 (arXiv 1805.06530), Theorem 8; Dong, Roth and Su 2019 (arXiv
1905.02383), Corollary 3.3 for composition: mu squared adds up.
"""

import math
from collections.abc import Sequence

from privet.privacy.accounting.composition import counted
from privet.privacy.accounting.events import (
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    RandomizedResponseEvent,
    RepeatedEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import PrivacyError

_TOLERANCE = 1e-12

GAUSSIAN_SETTINGS = {"relative_tolerance": _TOLERANCE}


def total_mu(events: Sequence[Event]) -> float:
    """Mu of adaptively composed Gaussian releases; infinite if one has no noise.

    Raises:
        PrivacyError: An event is not Gaussian, so exact composition does not apply.
    """
    squared = []
    for event, times in counted(events).items():
        match event:
            case GaussianEvent():
                squared.append(times * _square(1 / event.noise_multiplier))
            case MatrixEvent():
                squared.append(times * _square(1 / event.gaussian.noise_multiplier))
            case UnprotectedEvent():
                return math.inf
            case _:
                raise PrivacyError(
                    f"Exact Gaussian composition cannot account for {type(event).__name__}."
                )
    return math.sqrt(math.fsum(squared))


def mu_bound(events: Sequence[Event]) -> float | None:
    """A mu for which the composed releases are mu-GDP, at most; None where none is proven.

    Formal Guarantees:
        Sampling never costs: the trade-off function of a mixture with a common component is at
        least that of the release without sampling. Pure epsilon is mu-GDP for
        ``mu = 2 Phi^-1(e^epsilon / (1 + e^epsilon))``: that Gaussian curve is convex and meets the
        pure one at both ends and at its corner. A Skellam's tails are heavier than a Gaussian's:
        None. With Gaussian releases only the value is exact.
    """
    from scipy.special import expit, ndtri

    plain: list[Event] = []
    squared = []
    for event, times in counted(events).items():
        match event:
            case PoissonGaussianEvent():
                opposite = event.relation is NeighbouringRelation.REPLACE_ONE
                distance = 2 if opposite else 1
                if event.sampling_probability > 0:
                    squared.append(times * _square(distance / event.noise_multiplier))
            case FixedSizeGaussianEvent():
                squared.append(times * _square(1 / event.noise_multiplier))
            case RandomizedResponseEvent():
                squared.append(times * _square(2 * float(-ndtri(expit(-event.epsilon)))))
            case SkellamEvent():
                return None
            case _:
                plain.append(RepeatedEvent(event=event, times=times))
    return math.sqrt(math.fsum([_square(total_mu(plain)), *squared]))


def _square(value: float) -> float:
    return value * value  # infinite, not an error, where it overflows


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Smallest delta at which a mu-GDP mechanism is (epsilon, delta)-DP.

    Args:
        mu: Sensitivity over standard deviation, at least 0.
        epsilon: At least 0.
    """
    from scipy.special import log_ndtr

    if mu == 0:
        return 0.0
    if math.isinf(mu):
        return 1.0
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    # first >= second always; the difference in logarithms keeps tiny deltas accurate.
    return max(0.0, math.exp(first) * -math.expm1(min(second - first, 0.0)))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Smallest epsilon of a mu-GDP mechanism at delta, rounded up by at most 1e-12 relative.

    Args:
        mu: At least 0; 0 gives 0, infinity gives infinity.
        delta: In (0, 1).
    """
    if math.isinf(mu):
        return math.inf
    if mu == 0 or gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while gaussian_delta(mu, high) > delta:
        low, high = high, 2 * high
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(mu, middle) > delta else (low, middle)
        if middle in (low, high) and high - low <= math.ulp(high):
            break
    return high


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Largest mu that keeps a Gaussian mechanism (epsilon, delta)-DP, rounded down.

    Args:
        epsilon: At least 0; infinity gives infinity.
        delta: In (0, 1).
    """
    if math.isinf(epsilon):
        return math.inf
    low, high = 0.0, 1.0
    while gaussian_delta(high, epsilon) <= delta:
        low, high = high, 2 * high
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if gaussian_delta(middle, epsilon) > delta else (middle, high)
    return low
