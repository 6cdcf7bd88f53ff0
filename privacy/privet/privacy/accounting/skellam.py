"""Skellam noise seen as nearly Gaussian: a second bound, independent of Renyi divergences.

At the variances that integer encoding uses, a Skellam variable is almost a rounded Gaussian.
Replacing every noise vector by the Gaussian changes any event's probability by at most the total
variation between the two, so exact Gaussian composition holds with that much added to delta. It
is an upper bound with a slack, never called exact. The proof is in ``docs/accounting.md``.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from privet.privacy.accounting.composition import counted
from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    MatrixEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.gaussian import gaussian_delta, gaussian_epsilon
from privet.privacy.errors import PrivacyError

_SMALLEST_VARIANCE = 1e4
_SAFETY = 4.0
_TAIL_OF_A_DRAW = 2.0**-100  # total variation of the sampler's Poisson draw from an exact one


def total_variation_to_gaussian(event: SkellamEvent) -> float:
    """Total variation between the Skellam vector and a rounded Gaussian vector, at most.

    The Gaussian has variance ``v - 1/12``, so that after rounding both have variance ``v``. They
    then differ first in their fourth cumulant, and the Kullback-Leibler divergence (Skellam from
    Gaussian) is ``1 / (48 v^2)`` a coordinate in the limit and at most 1.08 times that for every
    ``v >= 1e4`` (proof: ``docs/accounting.md``). Four times that is used. Divergences add up over
    independent coordinates, and Pinsker's inequality gives the total variation. Infinite, so
    unused, below a variance of 1e4.
    """
    if event.variance < _SMALLEST_VARIANCE:
        return math.inf
    divergence = _SAFETY / (48 * event.variance * event.variance)
    return math.sqrt(event.dimension * divergence / 2)


def sampler_slack(events: Sequence[Event]) -> float:
    """Total variation between Skellam noise as it is drawn and exact Skellam noise, at most.

    Two Poisson draws a coordinate and share, each cut off far in its tails.
    """
    return math.fsum(
        times * 2 * event.dimension * event.shares * _TAIL_OF_A_DRAW
        for event, times in counted(events).items()
        if isinstance(event, SkellamEvent)
    )


def _mu_and_slack(events: Sequence[Event]) -> tuple[float, float]:
    """Mu of the Gaussians that stand in, and the total variation to what really happens."""
    squared, slack = [], [sampler_slack(events)]
    for event, times in counted(events).items():
        match event:
            case GaussianEvent():
                squared.append(times / event.noise_multiplier / event.noise_multiplier)
            case MatrixEvent():
                squared.append(times / event.gaussian.noise_multiplier**2)
            case SkellamEvent():
                slack.append(times * total_variation_to_gaussian(event))
                if math.isfinite(slack[-1]):
                    squared.append(times * event.l2_sensitivity**2 / (event.variance - 1 / 12))
            case UnprotectedEvent():
                return math.inf, 0.0
            case _:
                raise PrivacyError(
                    f"The Gaussian stand-in cannot account for {type(event).__name__}."
                )
    return math.sqrt(math.fsum(squared)), math.fsum(slack)


def gaussian_floor(events: Sequence[Event], delta: float) -> float:
    """Epsilon of Gaussian noise of the same variances: no bound on Skellam noise may be below it.

    The Renyi bound of a Skellam is that of the Gaussian and a tail, and its conversion is an upper
    bound; the stand-in has less variance and a slack on top. Kinds other than Gaussian, matrix and
    Skellam count as nothing.
    """
    squared = []
    for event, times in counted(events).items():
        match event:
            case GaussianEvent():
                squared.append(times / event.noise_multiplier / event.noise_multiplier)
            case MatrixEvent():
                squared.append(times / event.gaussian.noise_multiplier**2)
            case SkellamEvent():
                distance = event.l2_sensitivity
                squared.append(times * distance * (distance / event.variance))
            case _:
                pass
    return gaussian_epsilon(math.sqrt(math.fsum(squared)), delta)


def skellam_settings(events: Sequence[Event]) -> Mapping[str, float]:
    """What the Gaussian stand-in is set to, and the total variation that it is charged."""
    return {
        "smallest_variance": _SMALLEST_VARIANCE,
        "safety_factor": _SAFETY,
        "total_variation": _mu_and_slack(events)[1],
    }


def skellam_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon at delta of composed Gaussian and Skellam releases; infinite where it says nothing.

    Formal Guarantees:
        If both of a mechanism's output distributions on neighbours are within total variation
        ``t`` of those of a mechanism that is (epsilon, delta')-DP, it is
        (epsilon, delta' + (1 + e^epsilon) t)-DP. Adaptive composition adds the ``t`` of the
        releases. The smallest epsilon for which ``delta' = delta - (1 + e^epsilon) t`` suffices is
        found by bisection, from above.
    """
    mu, slack = _mu_and_slack(events)
    if math.isinf(slack) or math.isinf(mu):
        return math.inf
    return with_slack(lambda left: gaussian_epsilon(mu, left), delta, slack)


def skellam_delta(events: Sequence[Event], epsilon: float) -> float:
    """Delta at epsilon by the same argument, at most 1."""
    mu, slack = _mu_and_slack(events)
    if math.isinf(slack) or math.isinf(mu):
        return 1.0
    return delta_with_slack(gaussian_delta(mu, epsilon), epsilon, slack)


def delta_with_slack(delta: float, epsilon: float, slack: float) -> float:
    """Delta of a mechanism within total variation ``slack`` of one that has ``delta``."""
    return min(1.0, delta + (1 + math.exp(min(epsilon, 700.0))) * slack)


def with_slack(epsilon_at: Callable[[float], float], delta: float, slack: float) -> float:
    """Fixed point of ``epsilon = epsilon_at(delta - (1 + e^epsilon) slack)``, from above.

    Args:
        epsilon_at: Epsilon at a delta of the mechanism that stands in.
        delta: Of the real mechanism, in (0, 1).
        slack: Total variation between both, at least 0.

    Returns:
        Infinity if slack leaves no delta.
    """
    epsilon = epsilon_at(delta)
    if slack == 0 or math.isinf(epsilon):
        return epsilon
    for _ in range(200):
        left = delta - (1 + math.exp(min(epsilon * (1 + 1e-12), 700.0))) * slack
        if left <= 0:
            return math.inf
        needed = epsilon_at(left)
        if needed <= epsilon * (1 + 1e-12):
            return epsilon * (1 + 1e-12)
        epsilon = needed
    return math.inf
