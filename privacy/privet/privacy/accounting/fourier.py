"""An estimate of epsilon for Gaussian and Poisson-sampled releases, from our own grid of losses.

Losses of one release are put on a grid by splitting each point's mass between its two neighbours,
which keeps the mean, and composed by the discrete Fourier transform. It is an estimate and no
bound on either side: it checks the library's loss distributions and is never claimed. Source of
the method: Koskela, Jalko and Honkela 2019 (arXiv 1906.03049).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.composition import counted, kinds
from privet.privacy.accounting.events import (
    BasicEvent,
    Event,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
)
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import PrivacyError

Array = NDArray[np.float64]

_HALF = 1 << 18


def fourier_epsilon(events: Sequence[Event], delta: float, guess: float) -> float:
    """Epsilon at delta, the larger of both directions, to about a percent.

    Args:
        events: Gaussian, matrix or Poisson-sampled.
        delta: In (0, 1).
        guess: A bound on epsilon at a far smaller delta, which sets the grid's reach.
    """
    step = (1.5 * guess + 0.05) / _HALF
    grid = np.arange(2 * _HALF) - _HALF
    found = []
    for forward in (True, False):
        spectrum = np.ones(_HALF + 1, np.complex128)
        for event, times in counted(events).items():
            masses, losses = _single(event, forward=forward)
            spectrum = spectrum * np.fft.rfft(_gridded(masses, losses, step)) ** times
        total = np.roll(np.fft.irfft(spectrum, 2 * _HALF), _HALF).astype(np.float64)
        found.append(_epsilon(total, np.asarray(grid * step, np.float64), delta))
    return max(found)


def _single(event: BasicEvent, *, forward: bool) -> tuple[Array, Array]:
    """Masses of one release's output under one data set, and their losses towards the other."""
    match event:
        case GaussianEvent() | MatrixEvent():
            plain = event.gaussian if isinstance(event, MatrixEvent) else event
            noise, share, other = plain.noise_multiplier, 1.0, 0.0
        case PoissonGaussianEvent():
            replaced = event.relation is NeighbouringRelation.REPLACE_ONE
            noise, share = event.noise_multiplier, event.sampling_probability
            other = -1.0 if replaced else 0.0
        case _:
            raise PrivacyError(f"No grid of losses is known for {kinds([event])}.")
    from scipy.special import ndtr

    x = np.linspace(other - 12 * noise, 1 + 12 * noise, 200_001)
    middles = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[-np.inf], middles, [np.inf]])

    def mass(centre: float) -> Array:
        sampled = np.diff(ndtr((edges - centre) / noise))
        return np.asarray((1 - share) * np.diff(ndtr(edges / noise)) + share * sampled)

    def log_ratio(centre: float) -> Array:
        """Log of the density over that of nobody sampled."""
        exponent = centre * (2 * x - centre) / (2 * noise**2)
        return np.asarray(np.logaddexp(_log(1 - share), _log(share) + exponent))

    loss = log_ratio(1.0) - log_ratio(other)
    return (mass(1.0), loss) if forward else (mass(other), -loss)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _gridded(masses: Array, losses: Array, step: float) -> Array:
    """Masses by loss, from 0 up and wrapped around; what is out of reach is left out."""
    position = losses / step
    keep = np.abs(position) < _HALF - 1
    position, masses = position[keep], masses[keep]
    below = np.floor(position)
    upper = (position - below) * masses
    index = below.astype(np.int64) % (2 * _HALF)
    found = np.bincount(index, masses - upper, 2 * _HALF)
    return np.asarray(found + np.bincount((index + 1) % (2 * _HALF), upper, 2 * _HALF))


def _epsilon(total: Array, losses: Array, delta: float) -> float:
    low, high = 0.0, float(losses[-1])
    for _ in range(50):
        middle = (low + high) / 2
        over = losses > middle
        hockey_stick = float((total[over] * -np.expm1(middle - losses[over])).sum())
        low, high = (middle, high) if hockey_stick > delta else (low, middle)
    return high
