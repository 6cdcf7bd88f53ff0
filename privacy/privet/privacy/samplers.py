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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError
from privet.privacy.randomness import WordStream

_LOG_TAIL = -90.0  # mass beyond the staircase is below 2**-120 a draw
_MARGIN = 1e-10  # far above the float64 error of a mass ratio (measured: below 1e-12)
_HEIGHT_BITS = 52
_CHUNK = 1 << 20
_LARGEST_RATE = 1e15


class MassFunction(Protocol):
    """A unimodal probability mass function on the integers, known relative to its mode."""

    @property
    def mode(self) -> int:
        """The integer of largest mass."""

    @property
    def std(self) -> float:
        """Standard deviation."""

    @property
    def minimum(self) -> int | None:
        """Smallest integer of the support, None if unbounded."""

    def log_ratio(self, k: NDArray[np.int64]) -> NDArray[np.float64]:
        """``log(p(k) / p(mode))``, with an absolute error below 1e-12."""

    def log_ratio_exact(self, k: int) -> Decimal:
        """The same to 40 decimal digits or better."""


@dataclass(frozen=True)
class Poisson:
    """Poisson distribution.

    Args:
        rate: Mean and variance, from 1e-9 to 1e15.
    """

    rate: float

    def __post_init__(self) -> None:
        """Check the range in which the float64 error bound was measured."""
        if not 1e-9 <= self.rate <= _LARGEST_RATE:
            raise InputError(f"Expected a Poisson rate from 1e-9 to 1e15, found {self.rate}.")

    @property
    def mode(self) -> int:
        """Largest integer up to the rate."""
        return int(self.rate)

    @property
    def std(self) -> float:
        """Square root of the rate."""
        return float(np.sqrt(self.rate))

    @property
    def minimum(self) -> int:
        """Zero."""
        return 0

    def log_ratio(self, k: NDArray[np.int64]) -> NDArray[np.float64]:
        """Loader's saddle-point form (2000), which does not cancel at large rates."""
        mode = self._log_mass(np.array([self.mode], np.int64))[0]
        return self._log_mass(k) - np.float64(mode)

    def _log_mass(self, k: NDArray[np.int64]) -> NDArray[np.float64]:
        count = np.maximum(k, 1).astype(np.float64)
        relative = (count - self.rate) / self.rate
        mass = -(_stirling_error(count) + self.rate * _deviance(relative)) - 0.5 * np.log(
            2 * np.pi * count
        )
        return np.where(k == 0, -self.rate, mass)

    def log_ratio_exact(self, k: int) -> Decimal:
        """``(k - m) log(rate) - log(k!) + log(m!)`` in 60 digits."""
        with localcontext() as context:
            context.prec = 60
            rate = Decimal(self.rate)
            return (k - self.mode) * rate.ln() - _log_factorial(k) + _log_factorial(self.mode)


@dataclass(frozen=True)
class RoundedGaussian:
    """A continuous Gaussian of mean 0, rounded to the nearest integer.

    Adding it to an integer is the same as adding the continuous Gaussian and rounding, so the
    privacy of the continuous mechanism holds exactly (post-processing).

    Args:
        scale: Standard deviation of the continuous Gaussian, from 8 to 1e15.
    """

    scale: float

    def __post_init__(self) -> None:
        """Check the range in which the float64 error bound was measured."""
        if not 8 <= self.scale <= 1e15:
            raise InputError(
                f"Expected a standard deviation from 8 to 1e15 grid units, found {self.scale}: "
                "use a finer encoding scale."
            )

    @property
    def mode(self) -> int:
        """Zero."""
        return 0

    @property
    def std(self) -> float:
        """Standard deviation after rounding."""
        return float(np.sqrt(self.scale**2 + 1 / 12))

    @property
    def minimum(self) -> None:
        """Unbounded."""
        return None

    def log_ratio(self, k: NDArray[np.int64]) -> NDArray[np.float64]:
        """Density at ``k`` times the mean of the density over the rounding cell."""
        x = k.astype(np.float64) / self.scale
        tilt = _cell_mean(x / self.scale, 0.5 / self.scale**2, terms=40)
        centre = _cell_mean(np.zeros(1), 0.5 / self.scale**2, terms=40)[0]
        log_ratio: NDArray[np.float64] = np.log(tilt / centre) - 0.5 * x * x
        return log_ratio

    def log_ratio_exact(self, k: int) -> Decimal:
        """The same series in 60 digits."""
        with localcontext() as context:
            context.prec = 60
            variance = Decimal(self.scale) ** 2
            half = 1 / (2 * variance)
            ratio = _cell_mean_exact(k / variance, half) / _cell_mean_exact(Decimal(0), half)
            return -half * k * k + ratio.ln()


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
    parts = max(1, ceil(variance / (2 * _LARGEST_RATE)))
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


def _deviance(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(1 + x) log(1 + x) - x`` without cancellation near 0."""
    small = np.abs(x) < 0.02
    near = np.where(small, x, 0.0)
    series = np.zeros_like(near)
    for n in range(13, 1, -1):
        series = series * near + (1.0 if n % 2 == 0 else -1.0) / (n * (n - 1))
    far = np.where(small, 1.0, x)
    return np.where(small, series * near * near, (1 + far) * np.log1p(far) - far)


_SMALL_FACTORIALS = 16


def _stirling_error(k: NDArray[np.float64]) -> NDArray[np.float64]:
    """``log(k!) - (k + 1/2) log(k) + k - log(2 pi) / 2`` for k of at least 1."""
    from math import lgamma, log, pi

    n = np.arange(1, _SMALL_FACTORIALS)
    table = [lgamma(i + 1) - (i + 0.5) * log(i) + i - 0.5 * log(2 * pi) for i in n.tolist()]
    exact = np.array([0.0, *table])[np.minimum(k, _SMALL_FACTORIALS - 1).astype(np.int64)]
    z = 1 / (k * k)
    series = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188))))) / k
    return np.where(k < _SMALL_FACTORIALS, exact, series)


def _cell_mean(slope: NDArray[np.float64], curvature: float, *, terms: int) -> NDArray[np.float64]:
    """Mean of ``exp(-slope t - curvature t^2)`` over t in [-1/2, 1/2], by its power series."""
    before, here = np.zeros_like(slope), np.ones_like(slope)
    total = here.copy()
    for n in range(1, terms):
        before, here = here, -(slope * here + 2 * curvature * before) / n
        if n % 2 == 0:
            total += here * 0.5**n / (n + 1)
    return total


def _cell_mean_exact(slope: Decimal, curvature: Decimal) -> Decimal:
    before, here, total = Decimal(0), Decimal(1), Decimal(1)
    for n in range(1, 80):
        before, here = here, -(slope * here + 2 * curvature * before) / n
        if n % 2 == 0:
            total += here / (1 << n) / (n + 1)
    return total


# Bernoulli numbers B_2n / (2n (2n - 1)) of Stirling's series; its error is below the first term
# left out, about 1e-50 from 200 on.
_STIRLING = (
    (1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156),
    (-3617, 122400), (43867, 244188), (-174611, 125400), (77683, 5796),
)  # fmt: skip
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")


def _log_factorial(k: int) -> Decimal:
    if k < 200:
        product = Decimal(1)
        for i in range(2, k + 1):
            product *= i
        return product.ln()
    x = Decimal(k)
    series = sum(
        (Decimal(a) / b / x ** (2 * i + 1) for i, (a, b) in enumerate(_STIRLING)), Decimal(0)
    )
    return (x + Decimal("0.5")) * x.ln() - x + (2 * _PI).ln() / 2 + series
