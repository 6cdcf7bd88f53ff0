r"""Mu from below in one run, by the whole trade-off curve: tighter than counting with an epsilon.

Mahloujifar, Melis and Chaudhuri 2025 (arXiv 2410.22235). The auditor guesses g of m fair coins. Let
``p_i`` be the probability that exactly i guesses are right, ``r_i = sum over j >= i of p_j j / m``
and ``h_i = sum over j >= i of p_j (g - j) / m``. Flipping the coin of one rightly guessed canary
makes one right guess fewer and one wrong guess more, and changes no event's probability by more than
the trade-off curve allows: for ``up(x) = 1 - f(x)``, which is concave, averaging over canaries gives

    r_{i+1} <= up(h_i)      for every i.

If v or more right guesses had probability tau, then ``r_v >= tau v / m``, and from there down, each
``h_i >= up^-1(r_{i+1})``, and ``r_i = r_{i+1} + (h_i - h_{i+1}) i / (g - i)``. Whoever gets more than
all the probability there is, ``r_0 + h_0 > g / m``, has shown that v right guesses are less likely
than tau under f.

Formal Guarantees:
    With fair, independent coins, the bound is below the true mu with at least the confidence if the
    mechanism is Gaussian-private at all; where it claims some mu, a larger bound disproves the claim,
    whatever the mechanism does. Several numbers of guesses share the probability of an error.
"""

from privet.privacy.audit.canaries import CanaryScores, check_confidence
from privet.privacy.audit.one_run import SHARES, guess

_LARGEST = 32.0
_HALVINGS = 16


def curve_bound(scores: CanaryScores, *, confidence: float = 0.95) -> float:
    """Mu, from below.

    Args:
        scores: Of the canaries.
        confidence: Of the bound.

    Raises:
        InputError: A confidence out of range.
    """
    check_confidence(confidence)
    error = (1 - confidence) / len(SHARES)
    return max(_mu(len(scores), guesses, right, error) for guesses, right in guess(scores))


def rules_out(mu: float, *, canaries: int, guesses: int, right: int, error: float) -> bool:
    """Whether so many right guesses are less likely than ``error`` under mu-GDP.

    Example:
        >>> rules_out(0.0, canaries=20, guesses=20, right=20, error=0.05)
        True
        >>> rules_out(0.0, canaries=20, guesses=20, right=10, error=0.05)
        False
    """
    from scipy.special import ndtr, ndtri

    correct = error * right / canaries
    wrong = error * (guesses - right) / canaries
    whole = guesses / canaries
    for i in range(right - 1, -1, -1):
        least = max(wrong, float(ndtr(ndtri(min(correct, 1.0)) - mu)))
        correct += (least - wrong) * i / (guesses - i)
        wrong = least
        if correct + wrong > whole:
            return True
    return False


def _mu(canaries: int, guesses: int, right: int, error: float) -> float:
    """The largest mu that so many right guesses rule out."""
    if 2 * right <= guesses or not rules_out(
        0.0, canaries=canaries, guesses=guesses, right=right, error=error
    ):
        return 0.0
    low, high = 0.0, _LARGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = rules_out(middle, canaries=canaries, guesses=guesses, right=right, error=error)
        low, high = (middle, high) if found else (low, middle)
    return low
