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
EPSILON_GRID = (
    0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0,
    10.0, 12.0, 15.0, 20.0, 30.0, 50.0, 100.0,
)  # fmt: skip

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
        points: Pairs of epsilon and delta, all of which hold at once.
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
    events: Sequence[Event], delta: float, *, grid: Sequence[float] = EPSILON_GRID
) -> PrivacyProfile:
    """Everything that is reported about composed releases.

    Args:
        events: What was released, to one adversary.
        delta: In (0, 1).
        grid: Epsilons of the profile, rising from 0.

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
    if not grid or grid[0] != 0 or not all(a < b for a, b in pairwise(grid)):
        raise InputError("Expected a grid of epsilons that rises from 0.")
    used = bounds(events)
    exact = used[0].bound == "exact"
    mu, rho = _finite(mu_bound(events)), _finite(zero_concentrated(events))
    points = _points(used, grid)
    gaussian = mu_bound(events) if exact else None
    return PrivacyProfile(
        relation=common_relation(counted(events)).value,
        delta=delta,
        epsilon=claimed_epsilon(events, delta),
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


def _points(used: Sequence[Bound], grid: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """The smallest delta of all bounds, and never one above that of a smaller epsilon."""
    points: list[tuple[float, float]] = []
    least = 1.0
    for epsilon in grid:
        least = min(least, *(bound.delta(epsilon) for bound in used))
        points.append((epsilon, least))
    return tuple(points)


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value
