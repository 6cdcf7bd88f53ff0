"""Goodness-of-fit tests with fixed seeds: what the noise tests accept and reject by."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

# A fixed seed makes each test's outcome fixed; over seeds, a correct sampler would be refused once
# in 10,000 tests.
FALSE_ALARM = 1e-4

Cdf = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def skellam_cdf(variance: float) -> Cdf:
    """``P(X <= k)``: sums of ``exp(-v) I_k(v)`` up to 1e7, beyond it the Gaussian it becomes.

    At variance v the two differ by about 1 / (24 v) in probability at most.
    """
    if variance > 1e7:
        return gaussian_cdf(np.sqrt(variance - 1 / 12))
    reach = int(12 * np.sqrt(variance)) + 40
    mass = special.ive(np.abs(np.arange(-reach, reach + 1)).astype(np.float64), variance)
    cumulative = np.cumsum(mass)

    def cdf(k: NDArray[np.float64]) -> NDArray[np.float64]:
        position = np.clip(k.astype(np.int64) + reach, 0, 2 * reach)
        return np.asarray(cumulative[position], np.float64)

    return cdf


def gaussian_cdf(std: float) -> Cdf:
    """Of a continuous Gaussian that is rounded to integers: ``P(round(X) <= k)``."""
    return lambda k: np.asarray(stats.norm.cdf((k + 0.5) / std), np.float64)


def chi_square_p(draws: NDArray[np.int64], cdf: Cdf, bins: int = 64) -> float:
    """P value of Pearson's test in bins of about equal probability."""
    edges = np.unique(np.quantile(draws, np.linspace(0, 1, bins + 1)[1:-1]).astype(np.int64))
    counts = np.bincount(np.searchsorted(edges, draws), minlength=len(edges) + 1)
    at_most = np.concatenate([[0.0], cdf(edges.astype(np.float64)), [1.0]])
    expected = np.diff(at_most) * len(draws)
    found, mean = _merge_rare(counts, expected)
    statistic = float(((found - mean) ** 2 / mean).sum())
    return float(stats.chi2.sf(statistic, len(found) - 1))


def _merge_rare(
    counts: NDArray[np.int64], expected: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    merged: list[tuple[float, float]] = []
    held = (0.0, 0.0)
    for count, mean in zip(counts.tolist(), expected.tolist(), strict=True):
        held = (held[0] + count, held[1] + mean)
        if held[1] >= 20:
            merged.append(held)
            held = (0.0, 0.0)
    if merged:
        merged[-1] = (merged[-1][0] + held[0], merged[-1][1] + held[1])
    pairs = np.array(merged or [held])
    return pairs[:, 0], pairs[:, 1]
