"""Renyi accounting at integer orders, and its conversion to epsilon and delta.

Sources: Mironov 2017 (arXiv 1702.07476) for composition and the Gaussian; Agarwal, Kairouz and
Liu 2021 (arXiv 2110.04995), Theorem 3.5, for the multi-dimensional Skellam mechanism at integer
orders; Mironov, Talwar and Zhang 2019 (arXiv 1908.10530), Section 3.3, for Poisson sampling; Wang,
Balle and Kasiviswanathan 2018 (arXiv 1808.00087), Theorem 9, for cohorts of a fixed size; Canonne,
Kamath and Steinke 2020 (arXiv 2004.00010), Proposition 12, for the conversion.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from privet.privacy.accounting.composition import counted
from privet.privacy.accounting.events import (
    BasicEvent,
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    RandomizedResponseEvent,
    RepeatedEvent,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.gaussian import gaussian_epsilon, mu_bound
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import PrivacyError

_INTEGER_ORDERS = np.arange(1, 4097, dtype=np.float64)
_NODES = np.unique(np.concatenate([np.arange(1, 257), np.geomspace(256, 4096, 80).round()]))
_ORDERS = np.union1d(1 + np.geomspace(1e-2, 4094, 6000), _NODES[1:-1])

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

RENYI_SETTINGS = {
    "orders": float(len(_ORDERS)),
    "smallest_order": float(_ORDERS[0]),
    "largest_order": float(_ORDERS[-1]),
}


def renyi_divergence(event: Event, order: NDArray[np.float64]) -> NDArray[np.float64]:
    """Renyi divergence of an event at integer orders, at most; same shape as ``order``.

    Raises:
        PrivacyError: No bound is implemented for the event under its relation.
    """
    match event:
        case GaussianEvent():
            return _gaussian(event.noise_multiplier, order)
        case MatrixEvent():
            return _gaussian(event.gaussian.noise_multiplier, order)
        case SkellamEvent():
            l2, l1, variance = event.l2_sensitivity, event.l1_sensitivity, event.variance
            tail = np.minimum(
                ((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance)
            )
            return np.asarray(order * l2**2 / (2 * variance) + tail)
        case PoissonGaussianEvent():
            if event.relation is not NeighbouringRelation.ZERO_OUT:
                raise PrivacyError(
                    "No Renyi bound for PoissonGaussianEvent under 'replace-one' is implemented."
                )
            return np.asarray(_sampled(event)[order.astype(np.int64) - 1])
        case FixedSizeGaussianEvent():
            return np.asarray(_sampled(event)[order.astype(np.int64) - 1])
        case RandomizedResponseEvent():
            return _randomized_response(event, order)
        case RepeatedEvent():
            return event.times * renyi_divergence(event.event, order)
        case UnprotectedEvent():
            return np.full_like(order, np.inf)


def _gaussian(noise_multiplier: float, order: NDArray[np.float64]) -> NDArray[np.float64]:
    mu = 1 / noise_multiplier
    return np.asarray(order * (mu * mu / 2))


def _randomized_response(
    event: RandomizedResponseEvent, order: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Exact, at most epsilon: true answers differ in two categories out of k."""
    epsilon, k = event.epsilon, event.categories
    total = epsilon + math.log1p((k - 1) * math.exp(-epsilon))  # log(e^epsilon + k - 1)
    rest = math.log(k - 2) if k > 2 else -math.inf
    moment = np.logaddexp(np.logaddexp(order * epsilon, (1 - order) * epsilon), rest) - total
    divergence = moment / np.maximum(order - 1, 1)
    return np.asarray(np.where(order > 1, np.clip(divergence, 0, epsilon), epsilon))


@lru_cache(maxsize=64)
def _sampled(event: PoissonGaussianEvent | FixedSizeGaussianEvent) -> NDArray[np.float64]:
    """Divergences of a sampled Gaussian at all integer orders.

    Computed at some of them, and bounded by chords of the generating function between.
    """
    plain = _gaussian(event.noise_multiplier, _INTEGER_ORDERS)
    if not math.isfinite(float(plain[-1]) * len(plain)):
        return plain
    nodes = np.array([(n - 1) * d for n, d in zip(_NODES, _sampled_at(event), strict=True)])
    if np.isinf(nodes).any():
        return plain
    chords = np.interp(_INTEGER_ORDERS, _NODES, nodes) / np.maximum(_INTEGER_ORDERS - 1, 1)
    return np.asarray(np.minimum(chords, plain))  # sampling never costs


def _sampled_at(event: PoissonGaussianEvent | FixedSizeGaussianEvent) -> list[float]:
    """Divergences at the nodes, from binomial sums of moments, in logarithms."""
    from scipy.special import gammaln, logsumexp

    j = np.arange(_NODES[-1] + 1, dtype=np.float64)
    factorials = gammaln(j + 1)
    moments = j * (j - 1) * float(_gaussian(event.noise_multiplier, np.ones(1))[0])
    if isinstance(event, PoissonGaussianEvent):
        share, others = event.sampling_probability, True
    else:
        share, others = event.cohort / event.population, False
        second = math.log(4) + _log_expm1(float(moments[2]))
        moments = moments + math.log(2)
        moments[:3] = 0.0, -np.inf, min(moments[2], second)
    if share in (0, 1):
        return [0.0 if share == 0 or n == 1 else math.inf for n in _NODES]
    weights = moments - factorials + j * math.log(share)
    tails = (j * math.log1p(-share) if others else 0.0) - factorials
    found = [0.0]
    for order in map(int, _NODES[1:]):
        terms = weights[: order + 1] + tails[order::-1]
        found.append(max(0.0, float(logsumexp(terms) + factorials[order])) / (order - 1))
    return found


def _log_expm1(value: float) -> float:
    if value <= 0:
        return -math.inf
    return value + math.log(-math.expm1(-value))


def renyi_curve(events: Sequence[Event]) -> Curve:
    """Orders above 1 and the composed divergence at each.

    Between integers, ``(order - 1)`` times the divergence is a cumulant generating function and
    so convex: the chord between neighbouring integers bounds it from above.
    """
    composed = np.zeros_like(_INTEGER_ORDERS)
    for event, times in counted(events).items():
        composed = composed + times * renyi_divergence(event, _INTEGER_ORDERS)
    if np.isinf(composed).any():
        return np.array([2.0]), np.array([np.inf])
    generating = (_INTEGER_ORDERS - 1) * composed
    return _ORDERS, np.interp(_ORDERS, _INTEGER_ORDERS, generating) / (_ORDERS - 1)


def renyi_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon at delta of composed releases, from their Renyi divergences; never negative."""
    return curve_epsilon(renyi_curve(events), delta) if events else 0.0


def curve_epsilon(curve: Curve, delta: float) -> float:
    """Epsilon at delta from the divergence at orders above 1; never negative."""
    orders, divergence = curve
    epsilon = divergence + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, float(epsilon.min()))


def curve_delta(curve: Curve, epsilon: float) -> float:
    """Delta at epsilon, the same conversion solved for delta; at most 1."""
    orders, divergence = curve
    log = (orders - 1) * (divergence - epsilon + np.log1p(-1 / orders)) - np.log(orders)
    return math.exp(min(0.0, float(log.min())))


def has_renyi_bound(event: BasicEvent) -> bool:
    """Whether :func:`renyi_divergence` knows the event under its relation."""
    replaced = NeighbouringRelation.REPLACE_ONE
    return not (isinstance(event, PoissonGaussianEvent) and event.relation is replaced)


def epsilon_guess(events: Sequence[Event], delta: float = 1e-10) -> float:
    """A coarse figure at or above epsilon, which says how large a grid of losses must be."""
    plain: list[Event] = []
    guess = 0.0
    for event, times in counted(events).items():
        repeated = RepeatedEvent(event=event, times=times)
        if isinstance(event, PoissonGaussianEvent) and not has_renyi_bound(event):
            noise, relation = event.noise_multiplier / 2, NeighbouringRelation.ZERO_OUT
            twin = replace(event, noise_multiplier=noise, relation=relation)
            guess += renyi_epsilon([RepeatedEvent(event=twin, times=times)], delta)
        else:
            plain.append(repeated)
    mu = mu_bound(plain)
    exact = math.inf if mu is None else gaussian_epsilon(mu, delta)
    return guess + min(renyi_epsilon(plain, delta), exact)


def zero_concentrated(events: Sequence[Event]) -> float | None:
    """A rho for which the composed releases are rho-zCDP; None where none is proven.

    Formal Guarantees:
        The Gaussian's is exact, half its squared mu. Where only a mu is proven, half its square
        is a rho. A Skellam's Renyi bound is known at integer orders, and chords of
        ``(order - 1)`` times the divergence bound it between: the largest ratio of these to
        ``order (order - 1)`` is a rho, about twice the Gaussian's for want of orders below 2.
    """
    total = 0.0
    for event, times in counted(events).items():
        if isinstance(event, SkellamEvent):
            total += times * _skellam_rho(event)
        else:
            mu = mu_bound([event])
            if mu is None:
                return None
            total += times * mu * mu / 2
    return total


def _skellam_rho(event: SkellamEvent) -> float:
    """Largest ratio of a chord to ``order (order - 1)``.

    From order 1 to 2 that is the divergence at 2. From n >= 2 to n + 1, if divergences are at most
    ``r n``, it is at most ``r (1 + t (1 - t) / ((n + t - 1)(n + t))) <= 1.0718 r``; and the bound
    over n is largest at n = 2 or in the limit.
    """
    at_two = float(renyi_divergence(event, np.array([2.0]))[0])
    limit = event.l2_sensitivity**2 / (2 * event.variance) * (1 + 1 / event.variance)
    return max(at_two, 1.0718 * max(at_two / 2, limit))
