"""The matrix mechanism's numbers: banded square-root Toeplitz strategies with minimum separation.

A strategy is a lower triangular Toeplitz matrix ``C``. Releasing ``C x + z`` for the rounds' sums
``x`` and independent Gaussian ``z`` is one Gaussian mechanism, also for rounds chosen adaptively
(Denisov et al. 2022, arXiv 2202.08312); prefix sums are read off it afterwards, as
``A C^-1 (C x + z)`` with ``A`` the matrix of ones. Sensitivity: Choquette-Choo et al. 2023 (arXiv
2211.06530) and Kalinin and Lampert 2024 (arXiv 2405.13763).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

COEFFICIENT_BITS = 16


@lru_cache(maxsize=32)
def strategy_coefficients(bands: int) -> tuple[int, ...]:
    """First ``bands`` coefficients of the square root of ``A``, in units of 2**-16.

    They are ``c_0 = 1``, ``c_k = c_{k-1} (2k - 1) / 2k``, each rounded to the grid, so that
    ``C x`` is exact in integers. Rounding is monotone: they stay non-negative and do not rise.
    """
    exact, found = 1.0, [1 << COEFFICIENT_BITS]
    for k in range(1, bands):
        exact *= (2 * k - 1) / (2 * k)
        found.append(round(exact * (1 << COEFFICIENT_BITS)))
    return tuple(found)


def most_participations(rounds: int, separation: int, participations: int) -> int:
    """How often a user can take part: at most that often, and that far apart."""
    return min(participations, -(-rounds // separation))


@lru_cache(maxsize=256)
def toeplitz_sensitivity(
    coefficients: tuple[int, ...], rounds: int, separation: int, participations: int
) -> float:
    """L2 sensitivity of ``C x``, rounded up, if each participation moves a sum by at most 1.

    Formal Guarantees:
        For coefficients that are non-negative and do not rise, all participations pull the same
        way in the worst case (``C^T C`` has no negative entry), and the worst schedule is the
        earliest and densest: rounds 0, b, 2b, ... (2405.13763, Theorem 2). Repeated participation
        overlaps in ``C`` and is counted: the norm is of the sum of the columns.

    Raises:
        ValueError: The coefficients are not of that kind, so the closed form does not hold.
    """
    falling = all(a >= b for a, b in pairwise(coefficients))
    if not falling or coefficients[-1] < 0:
        raise ValueError("The closed form needs coefficients that are >= 0 and never rise.")
    column = np.zeros(rounds, np.int64)
    band = np.array(coefficients[:rounds], np.int64)
    for i in range(most_participations(rounds, separation, participations)):
        start = i * separation
        column[start : start + len(band)] += band[: rounds - start]
    squared = sum(int(entry) ** 2 for entry in column)
    return math.nextafter(math.sqrt(squared), math.inf) / (1 << COEFFICIENT_BITS)


def inverse_coefficients(coefficients: Sequence[float], rounds: int) -> NDArray[np.float64]:
    """First column of ``C^-1``, shape ``(rounds,)``: the reciprocal power series."""
    band = np.array(coefficients[:rounds], np.float64) / coefficients[0]
    inverse = np.zeros(rounds)
    inverse[0] = 1.0
    for t in range(1, rounds):
        reach = min(t, len(band) - 1)
        inverse[t] = -float(band[1 : reach + 1] @ inverse[t - reach : t][::-1])
    return inverse


def prefix_error(coefficients: tuple[int, ...], rounds: int) -> tuple[float, float]:
    """Root mean square over rounds, and the largest, standard deviation of a prefix sum's error.

    In units of the standard deviation of ``z``. Row ``t`` of ``A C^-1`` holds the running sums of
    the inverse's first column.
    """
    running = np.cumsum(inverse_coefficients(coefficients, rounds))
    variances = np.cumsum(running**2)
    return math.sqrt(float(variances.mean())), math.sqrt(float(variances[-1]))


def normalised_rmse(
    coefficients: tuple[int, ...], *, rounds: int, separation: int, participations: int
) -> tuple[float, float]:
    """Root mean square and largest prefix error at a noise multiplier of 1: error at equal mu."""
    scale = toeplitz_sensitivity(coefficients, rounds, separation, participations)
    mean, largest = prefix_error(coefficients, rounds)
    return scale * mean, scale * largest
