"""Skellam noise seen as nearly Gaussian: a second bound, independent of Renyi divergences.

At the variances that integer encoding uses, a Skellam variable is almost a rounded Gaussian.
Replacing every noise vector by the Gaussian changes any event's probability by at most the total
variation between the two, so exact Gaussian composition holds with that much added to delta. It
is an upper bound with a slack, never called exact.
"""

import math
from collections.abc import Sequence

from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.gaussian import gaussian_epsilon

_SMALLEST_VARIANCE = 1e4
_SAFETY = 4.0


def total_variation_to_gaussian(event: SkellamEvent) -> float:
    """Total variation between the Skellam vector and a rounded Gaussian vector, at most.

    The Gaussian has variance ``v - 1/12``, so that after rounding both have variance ``v``. They
    then differ first in their fourth cumulant, which is ``v`` for the Skellam and nearly 0 for the
    Gaussian, so the leading term of the Kullback-Leibler divergence (Skellam from Gaussian) is
    ``v^2 / (48 v^4)`` a coordinate (Edgeworth expansion). Four times that is used; tests compare
    it with the divergence summed in high precision. Divergences add up over independent
    coordinates, and Pinsker's inequality gives the total variation. Infinite, so unused, below a
    variance of 1e4.
    """
    if event.variance < _SMALLEST_VARIANCE:
        return math.inf
    divergence = _SAFETY / (48 * event.variance**2)
    return math.sqrt(event.dimension * divergence / 2)


def skellam_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon at delta of composed Gaussian and Skellam releases; infinite where it says nothing.

    Formal Guarantees:
        If both of a mechanism's output distributions on neighbours are within total variation
        ``t`` of those of a mechanism that is (epsilon, delta')-DP, it is
        (epsilon, delta' + (1 + e^epsilon) t)-DP. Adaptive composition adds the ``t`` of the
        releases. The smallest epsilon for which ``delta' = delta - (1 + e^epsilon) t`` suffices is
        found by bisection, from above.
    """
    mu_squared, slack = 0.0, 0.0
    for event in events:
        match event:
            case GaussianEvent():
                mu_squared += event.noise_multiplier**-2
            case SkellamEvent():
                mu_squared += event.l2_sensitivity**2 / (event.variance - 1 / 12)
                slack += total_variation_to_gaussian(event)
            case UnprotectedEvent():
                return math.inf
    if math.isinf(slack):
        return math.inf
    return _with_slack(math.sqrt(mu_squared), delta, slack)


def _with_slack(mu: float, delta: float, slack: float) -> float:
    """Fixed point of ``epsilon = gaussian_epsilon(mu, delta - (1 + e^epsilon) slack)``."""
    epsilon = gaussian_epsilon(mu, delta)
    for _ in range(200):
        left = delta - (1 + math.exp(min(epsilon * (1 + 1e-12), 700.0))) * slack
        if left <= 0:
            return math.inf
        needed = gaussian_epsilon(mu, left)
        if needed <= epsilon * (1 + 1e-12):
            return epsilon * (1 + 1e-12)
        epsilon = needed
    return math.inf
