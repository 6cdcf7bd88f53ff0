"""All lower bounds of one game beside the claim, each with the smallest flaw it would have seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from privet.privacy.accounting.gaussian import gaussian_epsilon
from privet.privacy.audit.canaries import CanaryScores
from privet.privacy.audit.counting import counting_bound
from privet.privacy.audit.curve import curve_bound
from privet.privacy.audit.mu_test import mu_bound, mu_estimate, mu_power
from privet.privacy.audit.one_run import one_run_bound
from privet.privacy.audit.power import TRIALS, detectable_fraction


@dataclass(frozen=True, kw_only=True)
class LowerBound:
    """A bound from below that holds with a stated confidence, and what it could have seen.

    Attributes:
        method: Which audit.
        mu: The bound, where the method bounds mu; else None.
        epsilon: The bound on epsilon at the claim's delta.
        power: The largest fraction of the claimed noise, below 1, at which the method finds the
            claim broken in 9 of 10 audits of this size; 0 if it finds none.
        broken: Whether the bound exceeds the claim.
    """

    method: str
    mu: float | None
    epsilon: float
    power: float
    broken: bool


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What one game of canaries says about a claim.

    Attributes:
        canaries: How many there were.
        confidence: Of each bound by itself.
        delta: At which epsilons are.
        claimed_mu: The claim.
        claimed_epsilon: The claim at delta.
        mu_estimate: The most likely mu; no bound.
        bounds: One a method.
    """

    canaries: int
    confidence: float
    delta: float
    claimed_mu: float
    claimed_epsilon: float
    mu_estimate: float
    bounds: tuple[LowerBound, ...]

    @property
    def broken(self) -> bool:
        """Whether any method disproves the claim."""
        return any(bound.broken for bound in self.bounds)


def audit_claim(
    scores: CanaryScores,
    *,
    mu: float,
    epsilon: float,
    delta: float,
    rng: np.random.Generator,
    confidence: float = 0.95,
    parametric: bool = True,
) -> Audit:
    """Bounds mu and epsilon from below by every method that applies.

    Formal Guarantees:
        Each bound is below the truth with at least the confidence, under its own method's
        conditions; all of them together with at least ``1 - 4 (1 - confidence)``. A claim is called
        broken only by a bound above it.

    Args:
        scores: Of the canaries.
        mu: What is claimed, above 0; for noise that is not Gaussian, of the Gaussian beside it.
        epsilon: What is claimed at delta, at least 0.
        delta: Of the claim.
        rng: For the ideal scores that power is computed on; they are no secret.
        confidence: Of each bound.
        parametric: Whether canaries are alone in their directions and the noise is nearly
            Gaussian, so that the parametric bound applies.

    Raises:
        InputError: A value out of its range.
    """
    noise = rng.standard_normal((TRIALS, len(scores)))

    def power(bound: Callable[[CanaryScores], float], claim: float) -> float:
        return detectable_fraction(noise, mu, lambda found: bound(found) > claim)

    def counting(found: CanaryScores) -> float:
        return counting_bound(found, delta=delta, confidence=confidence)

    def one_run(found: CanaryScores) -> float:
        return one_run_bound(found, delta=delta, confidence=confidence)

    def curve(found: CanaryScores) -> float:
        return curve_bound(found, confidence=confidence)

    bounds = [
        _of_mu("curve", curve(scores), mu, delta, power(curve, mu)),
        _of_epsilon("counting", counting(scores), epsilon, power(counting, epsilon)),
        _of_epsilon("one-run", one_run(scores), epsilon, power(one_run, epsilon)),
    ]
    if parametric:
        sees = mu_power(
            included=len(scores.included),
            excluded=len(scores.excluded),
            claimed=mu,
            confidence=confidence,
        )
        bounds.insert(0, _of_mu("mu", mu_bound(scores, confidence=confidence), mu, delta, sees))
    return Audit(
        canaries=len(scores),
        confidence=confidence,
        delta=delta,
        claimed_mu=mu,
        claimed_epsilon=epsilon,
        mu_estimate=mu_estimate(scores),
        bounds=tuple(bounds),
    )


def _of_mu(method: str, found: float, claimed: float, delta: float, power: float) -> LowerBound:
    epsilon = gaussian_epsilon(found, delta) if found > 0 else 0.0
    return LowerBound(method=method, mu=found, epsilon=epsilon, power=power, broken=found > claimed)


def _of_epsilon(method: str, found: float, claimed: float, power: float) -> LowerBound:
    return LowerBound(method=method, mu=None, epsilon=found, power=power, broken=found > claimed)
