r"""A parametric bound on mu from below: the sharpest, where the noise is (nearly) Gaussian.

Each canary is alone in a direction of its own, so that its score is its noise, plus one if it was
included, in units of its norm. Then mu is the distance between the two means over the standard
deviation, and the two-sample t statistic follows a noncentral t distribution with
``n - 2`` degrees of freedom and noncentrality ``mu sqrt(n1 n0 / n)`` (Student's two-sample test;
the idea of bounding mu rather than epsilon: Nasr et al. 2023, arXiv 2302.07956, section 4.2).
Inverting it gives exact one-sided confidence bounds.

Formal Guarantees:
    For Gaussian noise, independent over canaries, the bound is below the true mu of a canary with
    at least the confidence. Canaries that overlap, or noise with another shape, make it an
    approximation: whoever calls it says so. A mechanism that passes is not thereby private; it
    only has no flaw that one canary in a known direction shows.
"""

import math

from privet.privacy.audit.canaries import CanaryScores, check_confidence
from privet.privacy.errors import InputError

_OFTEN = 0.9
_SMALLEST = 1e-3
_LARGEST_STATISTIC = 1e3


def mu_bound(scores: CanaryScores, *, confidence: float = 0.95) -> float:
    """Mu, from below; infinite where there is no noise at all.

    Args:
        scores: Of the canaries.
        confidence: Of the bound.

    Raises:
        InputError: A confidence out of range.
    """
    check_confidence(confidence)
    estimate, degrees, root = _estimate(scores)
    if math.isinf(estimate):
        return estimate
    return _lower(estimate * root, degrees, root, confidence)


def mu_estimate(scores: CanaryScores) -> float:
    """The distance between the two means over the standard deviation, at least 0; no bound."""
    return max(0.0, _estimate(scores)[0])


def mu_power(*, included: int, excluded: int, claimed: float, confidence: float = 0.95) -> float:
    """The largest fraction of the claimed noise that is found in at least 9 of 10 audits.

    The claim is found broken if the statistic is above the quantile that it has under the claim.

    Args:
        included: Canaries that take part.
        excluded: Canaries that do not.
        claimed: The mu that is claimed, above 0.
        confidence: Of the bound.

    Returns:
        Below 1; 0 if even a thousandth of the noise goes unseen.

    Raises:
        InputError: A value out of its range.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct

    check_confidence(confidence)
    if not 0 < claimed < math.inf:
        raise InputError(f"Expected a claimed mu above 0 and finite, found {claimed}.")
    degrees, root = included + excluded - 2, math.sqrt(included * excluded / (included + excluded))
    critical = float(nct.ppf(confidence, degrees, claimed * root))

    def missing(fraction: float) -> float:
        return _OFTEN - float(nct.sf(critical, degrees, claimed / fraction * root))

    if not math.isfinite(critical) or missing(_SMALLEST) > 0:
        return 0.0
    return float(brentq(missing, _SMALLEST, 1.0, xtol=1e-6))


def _estimate(scores: CanaryScores) -> tuple[float, int, float]:
    """Mu as it looks, degrees of freedom, and the root that makes it the t statistic."""
    n1, n0 = len(scores.included), len(scores.excluded)
    squares = scores.included.var() * n1 + scores.excluded.var() * n0
    distance = float(scores.included.mean() - scores.excluded.mean())
    degrees = n1 + n0 - 2
    if squares == 0:  # no noise at all
        estimate = math.inf if distance > 0 else 0.0
    else:
        estimate = distance / math.sqrt(squares / degrees)
    return estimate, degrees, math.sqrt(n1 * n0 / (n1 + n0))


def _lower(statistic: float, degrees: int, root: float, confidence: float) -> float:
    """The mu at which the statistic would only just be too large for chance."""
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    error = 1 - confidence
    if t.sf(statistic, degrees) >= error:
        return 0.0
    if statistic > _LARGEST_STATISTIC:
        return _rough(statistic, degrees, root, error)

    def excess(mu: float) -> float:
        return float(nct.sf(statistic, degrees, mu * root)) - error

    # With that mu, at least about half of the probability is above the statistic.
    return float(brentq(excess, 0.0, statistic / root * 1.01, xtol=1e-9))


def _rough(statistic: float, degrees: int, root: float, error: float) -> float:
    """A looser bound where noncentral t cannot be computed: each of mean and deviation off by half.

    The statistic is ``(Z + mu root) / W`` with a standard Gaussian Z and a chi variable W over the
    root of its degrees, independent. Never negative.
    """
    from scipy.stats import chi2, norm

    least = math.sqrt(float(chi2.ppf(error / 2, degrees)) / degrees)
    return max(0.0, (statistic * least - float(norm.isf(error / 2))) / root)
