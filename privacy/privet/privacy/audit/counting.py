r"""Epsilon from below by counting: who guesses well enough disproves (epsilon, delta).

Whoever says "included" above a threshold is right with a true positive rate p1 and wrong with a
false positive rate p0, and differential privacy allows at most ``p1 <= e^epsilon p0 + delta`` and
``1 - p0 <= e^epsilon (1 - p1) + delta`` (Kairouz, Oh and Viswanath 2015, Theorem 2.1; as an audit:
Jagielski, Ullman and Oprea 2020, arXiv 2006.07709). Both rates are bounded by Clopper and Pearson
(1934), whose intervals are exact.

Formal Guarantees:
    The bound is below the true epsilon with at least the confidence, if the canaries' scores are
    independent: in a run of its own each, or where no canary touches another's score. Every second
    canary serves to choose the threshold, and only the others are counted, so that the choice
    costs no confidence. It assumes nothing of the shape of the noise.
"""

import math

import numpy as np
from numpy.typing import NDArray

from privet.privacy.audit.canaries import CanaryScores, check_confidence, check_delta_or_zero
from privet.privacy.errors import InputError

_THRESHOLDS = 100


def clopper_pearson(successes: int, trials: int, error: float) -> tuple[float, float]:
    """Lower and upper bound on a probability, each wrong with at most ``error``.

    Example:
        >>> low, high = clopper_pearson(9, 10, 0.05)
        >>> round(low, 4), round(high, 4)
        (0.6058, 0.9949)

    Raises:
        InputError: Not 0 to ``trials`` successes, or no trial.
    """
    from scipy.special import betaincinv

    if not 0 <= successes <= trials or trials < 1:
        raise InputError(f"Expected 0 to {trials} successes of at least 1 trial.")
    failures = trials - successes
    low = 0.0 if not successes else float(betaincinv(successes, failures + 1, error))
    high = 1.0 if not failures else float(betaincinv(successes + 1, failures, 1 - error))
    return low, high


def counting_bound(scores: CanaryScores, *, delta: float, confidence: float = 0.95) -> float:
    """Epsilon at a delta, from below.

    Args:
        scores: Of the canaries, independent of each other, in an order that tells nothing.
        delta: Of the claim.
        confidence: Of the bound.

    Raises:
        InputError: A value out of its range.
    """
    check_confidence(confidence)
    check_delta_or_zero(delta)
    error = 1 - confidence
    chosen, best = math.inf, 0.0
    levels = np.quantile(np.concatenate(_part(scores, 0)), np.linspace(0, 1, _THRESHOLDS))
    for threshold in np.unique(levels):
        found = _epsilon(*_part(scores, 0), threshold, delta, error)
        if found > best:
            chosen, best = threshold, found
    return _epsilon(*_part(scores, 1), chosen, delta, error)


def _part(scores: CanaryScores, start: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return scores.included[start::2], scores.excluded[start::2]


def _epsilon(
    included: NDArray[np.float64],
    excluded: NDArray[np.float64],
    threshold: float,
    delta: float,
    error: float,
) -> float:
    """Of one threshold: both inequalities need the same two rates, each with half of the error."""
    if not len(included) or not len(excluded):
        return 0.0
    hits, false = int((included > threshold).sum()), int((excluded > threshold).sum())
    hit_rate, _ = clopper_pearson(hits, len(included), error / 2)
    _, false_rate = clopper_pearson(false, len(excluded), error / 2)
    return max(
        _log_ratio(hit_rate - delta, false_rate), _log_ratio(1 - false_rate - delta, 1 - hit_rate)
    )


def _log_ratio(above: float, below: float) -> float:
    return math.log(above / below) if above > below > 0 else 0.0
