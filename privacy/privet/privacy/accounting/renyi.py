"""Renyi accounting for Gaussian and Skellam releases.

Sources: Mironov 2017 (arXiv 1702.07476) for composition and the Gaussian; Agarwal, Kairouz and
Liu 2021 (arXiv 2110.04995), Theorem 3.5, for the multi-dimensional Skellam mechanism at integer
orders; Canonne, Kamath and Steinke 2020 (arXiv 2004.00010), Proposition 12, for the conversion.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    SkellamEvent,
    UnprotectedEvent,
)

_INTEGER_ORDERS = np.arange(1, 4097, dtype=np.float64)


def renyi_divergence(event: Event, order: NDArray[np.float64]) -> NDArray[np.float64]:
    """Renyi divergence of an event at integer orders, at most; same shape as ``order``."""
    match event:
        case GaussianEvent():
            return order / (2 * event.noise_multiplier**2)
        case SkellamEvent():
            l2, l1, variance = event.l2_sensitivity, event.l1_sensitivity, event.variance
            tail = np.minimum(
                ((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance)
            )
            return np.asarray(order * l2**2 / (2 * variance) + tail)
        case UnprotectedEvent():
            return np.full_like(order, np.inf)


def renyi_curve(
    events: Sequence[Event],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orders above 1 and the composed divergence at each.

    Between integers, ``(order - 1)`` times the divergence is a cumulant generating function and
    so convex: the chord between neighbouring integers bounds it from above.
    """
    composed = np.zeros_like(_INTEGER_ORDERS)
    for event in events:
        composed = composed + renyi_divergence(event, _INTEGER_ORDERS)
    if np.isinf(composed).any():
        return np.array([2.0]), np.array([np.inf])
    generating = (_INTEGER_ORDERS - 1) * composed
    orders = 1 + np.geomspace(1e-2, 4094, 6000)
    return orders, np.interp(orders, _INTEGER_ORDERS, generating) / (orders - 1)


def renyi_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon at delta of composed releases, from their Renyi divergences; never negative."""
    if not events:
        return 0.0
    orders, divergence = renyi_curve(events)
    epsilon = divergence + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(epsilon.min()))
