"""What an audit of a size would have seen: the same audit on noise that is known to be too small."""

from collections.abc import Callable

import numpy as np

from privet.privacy.audit.canaries import CanaryScores

_TRIALS = 20
_MISSED = 2
_STEPS = 7  # halvings of the interval: to .008


def gaussian_scores(canaries: int, mu: float, seed: int) -> CanaryScores:
    """Ideal scores: independent Gaussians of variance 1 whose means are ``mu`` apart.

    The seed is public: power is a property of the method, not of the run.
    """
    rng = np.random.default_rng([seed, canaries])
    included = canaries // 2
    return CanaryScores(
        included=rng.standard_normal(included) + mu,
        excluded=rng.standard_normal(canaries - included),
    )


def detectable_fraction(found: Callable[[float, int], bool]) -> float:
    """The largest fraction of the claimed noise at which 18 of 20 audits find the claim broken.

    Args:
        found: Whether an audit of a fraction of the noise, with a seed, finds it.

    Returns:
        The fraction to within .01, rounded down; 0 if even a twentieth of the noise goes unseen.
    """

    def often(fraction: float) -> bool:
        missed = 0
        for seed in range(_TRIALS):
            missed += not found(fraction, seed)
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
