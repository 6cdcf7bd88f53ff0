"""Exact samplers of integer noise on ChaCha20 words.

One method serves every distribution: cover the probability mass function with a staircase of
blocks, each ``2**b`` integers wide and with an exact integer height, draw a block, an offset and
a uniform word, and accept with probability mass over height (von Neumann's rejection). The only
inexact step would be the comparison; it is made in float64 where the result is beyond doubt, and
otherwise (about once in 10^10 draws) again with 60 decimal digits and as many random bits as it
takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from privet.privacy.distributions import LARGEST_RATE, MassFunction, Poisson, RoundedGaussian
from privet.privacy.randomness import WordStream

_LOG_TAIL = -90.0  # of one integer against the mode; all beyond is below 2**-100 a draw
_MARGIN = 1e-10  # far above the float64 error of a mass ratio (measured: below 1e-12)
_HEIGHT_BITS = 52
_CHUNK = 1 << 20


@dataclass(frozen=True)
class ExactSampler:
    """Draws from a mass function, exactly up to a total variation of 2**-100 a draw.

    Args:
        mass: The distribution.
    """

    mass: MassFunction

    def sample(self, count: int, stream: WordStream) -> NDArray[np.int64]:
        """``count`` independent draws, shape ``(count,)``."""
        out = np.empty(count, np.int64)
        filled = 0
        while filled < count:
            drawn = self._propose(min(int(1.1 * (count - filled)) + 16, _CHUNK), stream)
            drawn = drawn[: count - filled]
            out[filled : filled + len(drawn)] = drawn
            filled += len(drawn)
        return out

    def _propose(self, count: int, stream: WordStream) -> NDArray[np.int64]:
        low, bits, heights, cumulative = self._staircase
        block = np.searchsorted(cumulative, stream.below(int(cumulative[-1]), count), side="right")
        offset = (stream.words64(count) & np.uint64((1 << bits) - 1)).astype(np.int64)
        words = stream.words64(count)
        k = low + (block.astype(np.int64) << bits) + offset
        ratio = np.exp(self.mass.log_ratio(k)) * 2.0**_HEIGHT_BITS / heights[block]
        uniform = words.astype(np.float64) * 2.0**-64
        accepted = uniform < ratio
        for i in np.flatnonzero(np.abs(uniform - ratio) < _MARGIN):
            accepted[i] = self._decide(int(k[i]), int(heights[block[i]]), int(words[i]), stream)
        if self.mass.minimum is not None:
            accepted &= k >= self.mass.minimum
        return k[accepted]

    def _decide(self, k: int, height: int, word: int, stream: WordStream) -> bool:
        """Compare a uniform number, refined until it is clear, with the exact mass ratio."""
        if self.mass.minimum is not None and k < self.mass.minimum:
            return False
        with localcontext() as context:
            context.prec = 60
            ratio = self.mass.log_ratio_exact(k).exp() * (1 << _HEIGHT_BITS) / height
            low, width = Decimal(word) / (1 << 64), Decimal(1) / (1 << 64)
            while low <= ratio <= low + width:
                low += width * int(stream.words64(1)[0]) / (1 << 64)
                width /= 1 << 64
            return low < ratio

    @cached_property
    def _staircase(self) -> tuple[int, int, NDArray[np.int64], NDArray[np.uint64]]:
        """First integer, bits a block, integer heights and their cumulative sums."""
        mode, std = self.mass.mode, self.mass.std
        bits = max(0, int(np.floor(np.log2(max(std, 1.0) / 16))))
        high = _reach(lambda k: self._log_ratio_at(mode + k), std)
        below = _reach(lambda k: self._log_ratio_at(mode - k), std)
        low = mode - below
        if self.mass.minimum is not None:
            low = max(low, self.mass.minimum)
        blocks = ((mode + high - low) >> bits) + 1
        left = low + (np.arange(blocks, dtype=np.int64) << bits)
        # The mass is unimodal: a block's largest mass is at the point nearest to the mode.
        nearest = np.clip(mode, left, left + (1 << bits) - 1)
        top = np.exp(self.mass.log_ratio(nearest) + 1e-11) * 2.0**_HEIGHT_BITS
        heights = np.ceil(top).astype(np.int64)
        return low, bits, heights, np.cumsum(heights.astype(np.uint64))

    def _log_ratio_at(self, k: int) -> float:
        if self.mass.minimum is not None and k < self.mass.minimum:
            return -np.inf
        return float(self.mass.log_ratio(np.array([k], np.int64))[0])


def sample_skellam(variance: float, count: int, stream: WordStream) -> NDArray[np.int64]:
    """Draws from the symmetric Skellam distribution: the difference of two Poisson variables.

    Args:
        variance: Variance of a draw, positive. Sums of draws are Skellam with summed variances,
            which is how variances beyond one Poisson variable's range are drawn.
        count: Number of draws.
        stream: Source of random words.
    """
    parts = max(1, ceil(variance / (2 * LARGEST_RATE)))
    poisson = ExactSampler(Poisson(variance / 2 / parts))
    total = np.zeros(count, np.int64)
    for _ in range(parts):
        total += poisson.sample(count, stream) - poisson.sample(count, stream)
    return total


def sample_rounded_gaussian(std: float, count: int, stream: WordStream) -> NDArray[np.int64]:
    """Draws from a continuous Gaussian of this standard deviation, rounded to integers."""
    return ExactSampler(RoundedGaussian(std)).sample(count, stream)


def _reach(log_ratio: Callable[[int], float], std: float) -> int:
    """A distance from the mode beyond which the mass is below ``exp(_LOG_TAIL)`` of the mode's."""
    distance = max(int(np.ceil(13.5 * std)), 1)
    while log_ratio(distance) > _LOG_TAIL:
        distance += max(int(std), 1)
    return distance
