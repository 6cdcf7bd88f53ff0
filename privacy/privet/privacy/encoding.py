"""From bounded real vectors to integers modulo 2**32 and back.

What is summed is integers whatever the trust, so that secure aggregation, discrete noise and the
exactness of sums do not depend on floating point (Kairouz et al. 2021, arXiv 2102.06387; Agarwal
et al. 2021, arXiv 2110.04995).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.privacy.clipping import row_norms
from privet.privacy.contribution import Contribution
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import WordStream

MODULUS = 1 << 32
_MAX_SCALE_BITS = 20
_NOISE_DEVIATIONS = 16  # the aggregate's noise stays within with probability above 1 - 1e-50
_ROUNDING_BETA = math.exp(-0.5)
_ROUNDING_TRIES = 32


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a step's vectors become integers; public constants of the plan.

    Attributes:
        dimension: Length of the vector.
        l2_clip_norm: Bound of a device's real vector.
        devices: Most devices that may be summed.
        scale: Integers a unit, a power of two.
    """

    dimension: int
    l2_clip_norm: float
    devices: int
    scale: int

    @property
    def l2_bound(self) -> float:
        """Largest L2 norm of an encoded vector, rounding included (2102.06387, Prop. 26).

        Conditional rounding re-draws what is longer; ``scale * l2_clip_norm + sqrt(dimension)``
        holds for any rounding.
        """
        real, d = self.scale * self.l2_clip_norm, self.dimension
        slack = math.sqrt(2 * math.log(1 / _ROUNDING_BETA)) * (real + math.sqrt(d) / 2)
        return min(math.sqrt(real**2 + d / 4 + slack), real + math.sqrt(d))

    @property
    def l1_bound(self) -> float:
        """Largest L1 norm of an encoded vector: integers, so at most the squared L2 norm."""
        return min(math.sqrt(self.dimension) * self.l2_bound, self.l2_bound**2)

    def check_overflow(self, noise_std: float) -> None:
        """Refuse, before anything runs, a sum that could wrap around.

        Args:
            noise_std: Standard deviation of the aggregate's noise, in integers.

        Raises:
            PrivacyError: All devices in one coordinate, with noise, could leave 32 bits.
        """
        largest = self.devices * math.ceil(self.l2_bound) + _NOISE_DEVIATIONS * noise_std
        if largest >= MODULUS // 2:
            raise PrivacyError(
                f"The sum of {self.devices} devices at scale {self.scale} could reach "
                f"{largest:.3g}, beyond the {MODULUS // 2 - 1} that 32-bit integers hold: "
                "use a smaller scale or fewer devices."
            )


def choose_encoding(
    *, dimension: int, l2_clip_norm: float, devices: int, noise_multiplier: float
) -> Encoding:
    """The finest power-of-two scale, up to 2**20, whose sum cannot wrap around.

    Args:
        dimension: Length of the vector.
        l2_clip_norm: Bound of a device's real vector.
        devices: Most devices that may be summed.
        noise_multiplier: The aggregate's noise in units of the bound, 0 for none.

    Raises:
        PrivacyError: No scale of at least 2**4 fits.
    """
    for bits in range(_MAX_SCALE_BITS, 3, -1):
        encoding = Encoding(
            dimension=dimension, l2_clip_norm=l2_clip_norm, devices=devices, scale=1 << bits
        )
        try:
            encoding.check_overflow(noise_multiplier * encoding.l2_bound)
        except PrivacyError:
            continue
        return encoding
    raise PrivacyError(
        f"No integer scale lets {devices} devices with noise multiplier {noise_multiplier:.3g} "
        "sum in 32 bits: use fewer devices a group or less noise."
    )


def encode(
    contribution: Contribution, encoding: Encoding, streams: list[WordStream]
) -> NDArray[np.int64]:
    """Round every entry to one of its two neighbours on the grid, unbiased, within the bound.

    Args:
        contribution: Clipped vectors.
        encoding: The step's public constants.
        streams: One stream of random words a device: a row's rounding depends on no other row.

    Returns:
        The integers of the contribution's entries, shape ``(nnz,)``.

    Formal Guarantees:
        Every row's L2 norm is at most ``encoding.l2_bound``, always: a row that is rounded too
        long is drawn again, and after 32 tries rounded towards zero. Entries of 0 stay 0, so an
        empty history is the zero vector. An entry's sign never changes.
    """
    scaled = contribution.values * encoding.scale
    indptr = contribution.indptr
    base = np.floor(scaled)
    fraction = ((scaled - base) * 2.0**32).astype(np.uint64)
    words = [s.words32(int(n)) for s, n in zip(streams, np.diff(indptr), strict=True)]
    integers = base + (np.concatenate(words) < fraction if words else 0)
    for row in np.flatnonzero(row_norms(integers, indptr) > encoding.l2_bound):
        entries = slice(int(indptr[row]), int(indptr[row + 1]))
        integers[entries] = _round_again(scaled[entries], encoding.l2_bound, streams[row])
    return integers.astype(np.int64)


def _round_again(
    scaled: NDArray[np.float64], bound: float, stream: WordStream
) -> NDArray[np.float64]:
    base = np.floor(scaled)
    fraction = ((scaled - base) * 2.0**32).astype(np.uint64)
    for _ in range(_ROUNDING_TRIES):
        integers = base + (stream.words32(len(scaled)) < fraction)
        if float(np.sqrt(np.sum(integers * integers))) <= bound:
            return np.asarray(integers)
    return np.trunc(scaled)


def wrap(integers: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Integers modulo 2**32, as they are sent."""
    return (integers & (MODULUS - 1)).astype(np.uint32)


def decode(total: NDArray[np.uint32], encoding: Encoding) -> NDArray[np.float64]:
    """The real sum from its integers modulo 2**32, centred on 0.

    Args:
        total: Sum of wrapped vectors modulo 2**32, shape ``(dimension,)``.
        encoding: The step's public constants.
    """
    return total.astype(np.int32, casting="unsafe").astype(np.float64) / encoding.scale
