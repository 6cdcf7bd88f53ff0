"""Mass functions of integer noise, in float64 with a known error and in 60 decimal digits.

Sources: Loader 2000 (the saddle-point form of the Poisson mass, which does not cancel at large
rates); Stirling's series with its Bernoulli numbers.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

LARGEST_RATE = 1e15


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
        if not 1e-9 <= self.rate <= LARGEST_RATE:
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
