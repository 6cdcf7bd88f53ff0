r"""Epsilon from below in one run, with canaries that may touch each other's scores.

Steinke, Nasr and Jagielski 2023 (arXiv 2305.08846), Theorem 5.2. The auditor guesses "included" for
the highest scores, "excluded" for the lowest, and nothing for the others. Under (epsilon, delta)
differential privacy the number of right guesses of r, given what is released, is about as large as
that of r coins that show the truth with probability ``q = e^epsilon / (1 + e^epsilon)``:

    P[v or more are right] <= P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i,   B ~ Bin(r, q)

Formal Guarantees:
    With fair, independent coins, the bound is below the true epsilon with at least the confidence,
    whatever the mechanism does, for every choice of the number of guesses that is made before;
    several choices share the probability of an error (Bonferroni). It is loose: even a perfect
    auditor of m canaries never shows more than about ``log(m)``.
"""

import math

import numpy as np

from privet.privacy.audit.canaries import CanaryScores, check_confidence, check_delta_or_zero

SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Shares of canaries about which something is guessed: all are tried, and paid for."""
_LARGEST = 64.0
_HALVINGS = 30


def one_run_bound(scores: CanaryScores, *, delta: float, confidence: float = 0.95) -> float:
    """Epsilon at a delta, from below.

    Args:
        scores: Of the canaries.
        delta: Of the claim.
        confidence: Of the bound.

    Raises:
        InputError: A value out of its range.
    """
    check_confidence(confidence)
    check_delta_or_zero(delta)
    error = (1 - confidence) / len(SHARES)
    return max(
        _epsilon(len(scores), guesses, right, delta, error) for guesses, right in guess(scores)
    )


def guess(scores: CanaryScores) -> list[tuple[int, int]]:
    """Guesses and how many were right, for each share: half of them high, half low."""
    _, member = scores.ordered()
    found = []
    for share in SHARES:
        half = max(1, round(share * len(member) / 2))
        right = int(member[:half].sum()) + int((~_from_below(scores))[:half].sum())
        found.append((2 * half, right))
    return found


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Probability of that many right guesses or more under (epsilon, delta), at most.

    Example:
        >>> p_value(canaries=100, guesses=10, right=10, epsilon=0.0, delta=0.0) == 2.0**-10
        True
    """
    from scipy.stats import binom

    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    if right == 0 or delta == 0:
        return min(1.0, tail)
    below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), guesses, q))
    steepest = float((below / np.arange(1, right + 1)).max())
    return min(1.0, tail + 2 * canaries * delta * steepest)


def _epsilon(canaries: int, guesses: int, right: int, delta: float, error: float) -> float:
    """The largest epsilon that so many right guesses rule out."""
    if p_value(canaries, guesses, right, 0.0, delta) > error:
        return 0.0
    low, high = 0.0, _LARGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ruled_out = p_value(canaries, guesses, right, middle, delta) <= error
        low, high = (middle, high) if ruled_out else (low, middle)
    return low


def _from_below(scores: CanaryScores) -> np.ndarray:
    """Whether each is of an included canary, from the lowest score up, ties against the auditor."""
    ordered = np.concatenate([scores.included, scores.excluded])
    member = np.arange(len(ordered)) < len(scores.included)
    return member[np.lexsort((~member, ordered))]
