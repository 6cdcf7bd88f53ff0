r"""The mechanism's self-test: is the noise that is drawn as large as the noise that is claimed?

Thousands of canaries, each alone in a coordinate and as large as the bound allows, go through the
very function that noises a release; the parametric bound of :mod:`privet.privacy.audit.mu_test` on
their mu is compared with the claim. It takes milliseconds, needs no data and no model, and can run
at every start.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.privacy.audit.canaries import CanaryScores
from privet.privacy.audit.mu_test import mu_bound, mu_power
from privet.privacy.errors import InputError, PrivacyError

CANARIES = 1 << 16
CONFIDENCE = 1 - 1e-9
"""So that a sound mechanism fails about one start in a thousand million."""


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """A self-test's outcome.

    Attributes:
        claimed_mu: The bound over the claimed standard deviation.
        bound: Mu of the canaries, from below; infinite where there is no noise.
        confidence: Of the bound.
        power: The largest fraction of the claimed noise that is found in 9 of 10 such tests.
        canaries: How many there were.
    """

    claimed_mu: float
    bound: float
    confidence: float
    power: float
    canaries: int

    @property
    def passed(self) -> bool:
        """Whether the bound does not exceed the claim."""
        return self.bound <= self.claimed_mu


def self_test(
    noise: Callable[[int], NDArray[np.int64]],
    *,
    bound: int,
    std: float,
    rng: np.random.Generator,
    canaries: int = CANARIES,
    confidence: float = CONFIDENCE,
) -> SelfTest:
    """Plants canaries in fresh noise and measures how well they can be seen.

    Formal Guarantees:
        If each coordinate's noise is Gaussian with a standard deviation of at least ``std``, the
        test fails with a probability of at most 1 - confidence. Rounding to integers makes the
        noise larger by at most 1/12 in variance; Skellam noise of a variance above 1e4 has the
        same first four moments to within 1e-4. A passed test shows that this function draws enough
        noise of that kind for one coordinate at a time, not that nothing else leaks.

    Args:
        noise: Draws integer noise of a length, as a release does.
        bound: The most that a device may add to one coordinate, in integers, at least 1.
        std: The claimed standard deviation, in integers, above 0.
        rng: For the coins; they are no secret.
        canaries: How many.
        confidence: Of the bound.

    Raises:
        InputError: A bound below 1 or a deviation that is not above 0, or noise of another length.
    """
    if bound < 1 or not std > 0:
        raise InputError(f"Expected a bound of at least 1 and std > 0, found {bound} and {std}.")
    coins = rng.random(canaries) < 0.5
    drawn = noise(canaries)
    if drawn.shape != (canaries,):
        raise InputError(f"Expected {canaries} draws of noise, found shape {drawn.shape}.")
    scores = CanaryScores.of((drawn + coins * bound) / bound, coins)
    included = len(scores.included)
    return SelfTest(
        claimed_mu=bound / std,
        bound=mu_bound(scores, confidence=confidence),
        confidence=confidence,
        power=mu_power(
            included=included,
            excluded=canaries - included,
            claimed=bound / std,
            confidence=confidence,
        ),
        canaries=canaries,
    )


def require_self_test(outcome: SelfTest) -> None:
    """Stops whoever would go on with noise that is too small.

    Raises:
        PrivacyError: The test has failed.
    """
    if not outcome.passed:
        raise PrivacyError(
            f"The noise is smaller than claimed: canaries show mu of at least "
            f"{outcome.bound:.4g}, the claim is {outcome.claimed_mu:.4g}. Nothing may be "
            "released with it. Check what was changed in the installation."
        )
