"""Releasing rounds' sums through a banded strategy, with integer noise of our own samplers.

What is released of a round is ``C x + z``, exact in integers: the strategy's coefficients are
multiples of 2**-16, so that is the grid, and ``z`` is a Gaussian rounded to it. Everything after
that, floating point included, is post-processing.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.matrix import COEFFICIENT_BITS, strategy_coefficients
from privet.privacy.distributions import RoundedGaussian
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import WordStream
from privet.privacy.samplers import ExactSampler

_LARGEST = 1 << 62


class MatrixRelease:
    """The state of one matrix mechanism: the sums and estimates of the last ``bands - 1`` rounds.

    Args:
        bands: Of the strategy, at least 1; 1 gives independent noise.
        noise_std: Standard deviation of the independent noise, in the sums' integers.
        largest_sum: No coordinate of a round's sum is above it in size.

    Formal Guarantees:
        All rounds together are the Gaussian mechanism of the :class:`MatrixEvent` with the same
        bands and ``noise_std`` over the distance of one participation, if no user takes part more
        often, or sooner again, than that event says. Whoever calls ``release`` sees the sums, so
        this is for central trust.

    Raises:
        PrivacyError: Sums of that size could overflow.
    """

    def __init__(self, *, bands: int, noise_std: float, largest_sum: int) -> None:
        """Prepare the sampler."""
        self._coefficients = strategy_coefficients(bands)
        self._sampler = ExactSampler(RoundedGaussian(noise_std * (1 << COEFFICIENT_BITS)))
        self._largest_sum = largest_sum
        reach = largest_sum * sum(self._coefficients) + 16 * self._sampler.mass.std
        if reach >= _LARGEST:
            raise PrivacyError(f"Correlated sums could reach {reach:.3g}, beyond 64-bit integers.")
        self._sums: deque[NDArray[np.int64]] = deque(maxlen=bands - 1)
        self._estimates: deque[NDArray[np.float64]] = deque(maxlen=bands - 1)

    def state(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Exact sums (secret) and estimates of the last rounds, newest first, a round a row."""
        return np.array(self._sums, np.int64), np.array(self._estimates, np.float64)

    def restore(self, sums: NDArray[np.int64], estimates: NDArray[np.float64]) -> None:
        """Go on from the state after some round."""
        self._sums.extend(sums)
        self._estimates.extend(estimates)

    def release(self, total: NDArray[np.int64], stream: WordStream) -> NDArray[np.float64]:
        """The next round's sum with correlated noise.

        Args:
            total: Exact sum of the round's vectors, shape ``(dimension,)``.
            stream: Fresh random words.

        Returns:
            An unbiased estimate of the sum; adding up those of all rounds cancels much of the
            noise. Shape ``(dimension,)``.

        Raises:
            PrivacyError: A coordinate is larger than was promised.
        """
        if len(total) and int(np.abs(total).max()) > self._largest_sum:
            raise PrivacyError("A sum is larger than the mechanism was prepared for.")
        coded = self._coefficients[0] * total + self._sampler.sample(len(total), stream)
        for coefficient, earlier in zip(self._coefficients[1:], self._sums, strict=False):
            coded = coded + coefficient * earlier
        self._sums.appendleft(total.copy())
        estimate = self._decode(coded)
        self._estimates.appendleft(estimate)
        return estimate

    def _decode(self, coded: NDArray[np.int64]) -> NDArray[np.float64]:
        """``C^-1`` by forward substitution: from released values only."""
        unit = float(1 << COEFFICIENT_BITS)
        estimate = coded / unit
        for coefficient, earlier in zip(self._coefficients[1:], self._estimates, strict=False):
            estimate = estimate - coefficient / unit * earlier
        return np.asarray(estimate)
