"""Whether honest devices can have made a released sum: all that can be checked under masks.

Under secure aggregation nobody sees a device's vector, so nobody can check its norm. What is
released is the noisy sum, and honest devices bound it: n vectors of norm at most B sum to at most
``n B`` in each coordinate and in norm, to nothing below 0 if no entry may be negative, and the
noise has tails that are known. A release far outside was poisoned. One inside may have been, too:
a device that sends a hundred times its bound hides behind hundreds of honest ones.
"""

import math

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.adversaries import ReleaseTerms

LOG2_FALSE_ALARM = -40


def implausible(total: NDArray[np.int64], terms: ReleaseTerms, *, devices: int) -> str | None:
    """What about one released noisy sum cannot come from honest devices; None if nothing.

    Args:
        total: The noisy sum, or one group's, in integers centred on 0, shape ``(dimension,)``.
        terms: Of the release. Rounds of a series have other noise and are not for this check.
        devices: In the sum; the most there can be, where the number is kept secret.

    Formal Guarantees:
        It is a function of the release and of public constants, so it costs no privacy. That it
        says anything of any of a release's sums, if all devices are honest, has a probability below
        2^-40. Proof, for one of g sums of dimension d, with S the exact sum, N the noise, sigma^2
        its variance (before the rounding of Gaussians), L = 43 ln 2 + ln(2 d g):

        1. A Skellam variable of variance v has the log moment generating function
           ``v (cosh x - 1) <= v x^2 / (2 (1 - x/3))`` for 0 <= x < 3, so it exceeds ``t = sqrt(2 v L)
           + L/3`` with a probability of at most e^-L (Boucheron, Lugosi, Massart 2013, Theorem
           2.3). A rounded Gaussian does with less: it is within 1/2 of the Gaussian, and L > 1.5.
           Over both signs, d coordinates and g sums: 2^-43.
        2. Where no coordinate exceeds t, the norm's square is a sum of d independent variables in
           [0, t^2], each of mean at most m2 and second moment at most m4 (of the noise's square;
           ``m2 = (sigma + 1/2)^2``, ``m4 = (3^(1/4) sigma + 1/2)^4``: for the Gaussian by Minkowski,
           for Skellam ``v`` and ``3 v^2 + v`` are less). By Bernstein's inequality (Theorem 2.10
           there) it exceeds ``d m2 + sqrt(2 d m4 L) + t^2 L/3`` with at most e^-L: 2^-43 over all.
        3. The sampler is within 2^-100 a draw of its distribution: below 2^-60 over 2^40 draws.
        4. Otherwise, S being a sum of n vectors of norm at most B, ``|S_j| <= n B``, ``S_j >= 0`` where
           no entry is negative, and ``|S + N| <= n B + |N|``: nothing is said. The plan rules out
           that such a sum wraps around (:meth:`privet.privacy.encoding.Encoding.check_overflow`).
    """
    bound = devices * terms.l2_bound
    tail, noise_norm = noise_limits(terms, devices=devices)
    low, high = float(total.min()), float(total.max())
    if high > bound + tail or low < -(tail if terms.nonnegative else bound + tail):
        return "a coordinate that"
    norm = float(np.linalg.norm(total.astype(np.float64)))
    return "a norm that" if norm > bound + noise_norm else None


def noise_limits(terms: ReleaseTerms, *, devices: int) -> tuple[float, float]:
    """Largest noise of a coordinate and largest norm of the noise, as in the proof above."""
    central = terms.noise_multiplier * terms.l2_bound
    variance = central**2 + terms.share_variance * devices
    exponent = (3 - LOG2_FALSE_ALARM) * math.log(2) + math.log(2 * terms.dimension * terms.groups)
    tail = math.sqrt(2 * variance * exponent) + exponent / 3
    second = (math.sqrt(variance) + 0.5) ** 2
    fourth = (3**0.25 * math.sqrt(variance) + 0.5) ** 4
    square = (
        terms.dimension * second
        + math.sqrt(2 * terms.dimension * fourth * exponent)
        + tail**2 * exponent / 3
    )
    return tail, math.sqrt(square)
