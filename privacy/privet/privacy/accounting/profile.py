"""All that is reported about a run's privacy: one frozen object, every figure an upper bound."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from privet.privacy.accounting.accountants import (
    Bound,
    bounds,
    check_delta,
    claimed_epsilon,
)
from privet.privacy.accounting.composition import common_relation, counted
from privet.privacy.accounting.events import Event
from privet.privacy.accounting.gaussian import mu_bound
from privet.privacy.accounting.renyi import zero_concentrated
from privet.privacy.errors import InputError

FALSE_POSITIVE_RATES = (0.001, 0.01, 0.05)
_STEPS = 16
_SMALLEST_DELTA = 1e-12

Kind = Literal["exact", "upper"]


@dataclass(frozen=True, kw_only=True)
class PrivacyProfile:
    """What is known about some composed releases, to one adversary.

    Attributes:
        relation: The neighbouring relation of every figure.
        delta: The delta asked for.
        epsilon: The claim at it, infinite if there is none.
        mu: A mu for which they are mu-GDP, None where none is proven.
        mu_kind: ``"exact"`` for Gaussian releases, else ``"upper"``; None without mu.
        rho: A rho for which they are rho-zCDP, None where none is proven.
        rho_kind: The same for rho.
        points: Pairs of epsilon and delta, all of which hold at once; the claim is one of them.
        true_positive_rates: Of any membership test, at most, by its false positive rate.
        advantage: Largest difference of both rates of any test.
        accountants: Names of those whose bounds were used.
    """

    relation: str
    delta: float
    epsilon: float
    mu: float | None
    mu_kind: Kind | None
    rho: float | None
    rho_kind: Kind | None
    points: tuple[tuple[float, float], ...]
    true_positive_rates: tuple[tuple[float, float], ...]
    advantage: float
    accountants: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is infinite is None, which means that nothing is claimed."""
        body: dict[str, Any] = {
            name: None if isinstance(value, float) and math.isinf(value) else value
            for name, value in asdict(self).items()
        }
        for name in ("points", "true_positive_rates"):
            body[name] = [list(pair) for pair in body[name]]
        return {**body, "accountants": list(self.accountants)}


def privacy_profile(
    events: Sequence[Event], delta: float, *, grid: Sequence[float] | None = None
) -> PrivacyProfile:
    """Everything that is reported about composed releases.

    Args:
        events: What was released, to one adversary.
        delta: In (0, 1).
        grid: Epsilons of the profile, rising from 0; by default multiples of a sixteenth of the
            claimed epsilon, up to three times it, as long as delta is at least 1e-12. Below that
            nothing is reported: tails of samplers and of floating point come into reach.

    Formal Guarantees:
        Every figure is an upper bound on the truth. Each point of the profile bounds the true
        positive rate at a false positive rate ``a`` by ``e^epsilon a + delta`` and by
        ``1 - e^-epsilon (1 - delta - a)``; their minimum over the grid is reported, and for
        Gaussian releases their exact trade-off ``Phi(Phi^-1(a) + mu)`` (1905.02383).

    Raises:
        InputError: Delta outside of (0, 1), or a grid that is none.
        PrivacyError: Relations are mixed, or no accountant composes these kinds of events.
    """
    check_delta(delta)
    used = bounds(events)
    exact = used[0].bound == "exact"
    mu, rho = _finite(mu_bound(events)), _finite(zero_concentrated(events))
    claimed = claimed_epsilon(events, delta)
    if grid is None:
        points = _default_points(used, claimed, delta)
    elif not grid or grid[0] != 0 or not all(a < b for a, b in pairwise(grid)):
        raise InputError("Expected a grid of epsilons that rises from 0.")
    else:
        points = _points(used, grid, claimed, delta)
    gaussian = mu_bound(events) if exact else None
    return PrivacyProfile(
        relation=common_relation(counted(events)).value,
        delta=delta,
        epsilon=claimed,
        mu=mu,
        mu_kind=None if mu is None else "exact" if exact else "upper",
        rho=rho,
        rho_kind=None if rho is None else "exact" if exact else "upper",
        points=points,
        true_positive_rates=tuple(
            (rate, true_positive_rate(points, rate, mu=gaussian)) for rate in FALSE_POSITIVE_RATES
        ),
        advantage=points[0][1],
        accountants=tuple(bound.name for bound in used),
    )


def true_positive_rate(
    points: Sequence[tuple[float, float]], rate: float, *, mu: float | None = None
) -> float:
    """Largest true positive rate of any test at a false positive rate.

    Args:
        points: Pairs of epsilon and delta that hold.
        rate: False positive rate, in [0, 1].
        mu: Of Gaussian releases, whose trade-off is exact; None to use the points.
    """
    if mu is not None:
        from scipy.special import ndtr, ndtri

        return max(rate, float(ndtr(ndtri(rate) + mu)))
    found = 1.0
    for epsilon, delta in points:
        found = min(found, math.exp(min(epsilon, 700.0)) * rate + delta)
        found = min(found, 1 - math.exp(-epsilon) * (1 - delta - rate))
    return max(rate, found)


def _default_points(
    used: Sequence[Bound], claimed: float, delta: float
) -> tuple[tuple[float, float], ...]:
    """From 0 over the claim to where delta is of no interest any more."""
    if claimed == 0 or math.isinf(claimed):
        return _points(used, (0.0,), claimed, delta)
    grid = [claimed * (step / _STEPS) for step in range(3 * _STEPS + 1)]
    points = _points(used, grid, claimed, delta)
    return tuple(p for p in points if p[0] <= claimed or p[1] >= _SMALLEST_DELTA)


def _points(
    used: Sequence[Bound], grid: Sequence[float], claimed: float, delta: float
) -> tuple[tuple[float, float], ...]:
    """The smallest delta of all bounds, and never one above that of a smaller epsilon."""
    points: list[tuple[float, float]] = []
    least = 1.0
    for epsilon in grid:
        least = min(least, *(bound.delta(epsilon) for bound in used))
        if epsilon >= claimed:
            least = min(least, delta)
        points.append((epsilon, least))
    return tuple(points)


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value
