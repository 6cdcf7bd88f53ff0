"""What an audit of a size would have seen: the same audit on noise that is known to be too small."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from privet.privacy.audit.canaries import CanaryScores

TRIALS = 20
_MISSED = 2
_STEPS = 7  # halvings of the interval: to .008


def ideal_scores(noise: NDArray[np.float64], mu: float) -> CanaryScores:
    """Scores with noise of variance 1 and means that are ``mu`` apart.

    Args:
        noise: Standard Gaussians, a canary each; the first half are included.
        mu: How much higher they are.
    """
    half = len(noise) // 2
    return CanaryScores(included=noise[:half] + mu, excluded=noise[half:])


def detectable_fraction(
    noise: NDArray[np.float64], mu: float, found: Callable[[CanaryScores], bool]
) -> float:
    """The largest fraction of the claimed noise at which 18 of 20 audits find the claim broken.

    Args:
        noise: Standard Gaussians, shape ``(20, canaries)``, the same for every fraction. They are no
            secret: power is a property of the method, not of the run.
        mu: What is claimed.
        found: Whether an audit of such scores finds the claim broken.

    Returns:
        The fraction to within .01, rounded down; 0 if even a twentieth of the noise goes unseen.
    """

    def often(fraction: float) -> bool:
        missed = 0
        for trial in noise:
            missed += not found(ideal_scores(trial, mu / fraction))
            if missed > _MISSED:
                return False
        return True

    low, high = 0.05, 1.0
    if not often(low):
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if often(middle) else (low, middle)
    return low
