"""Sections of a report on what was spent, and on what is left to whoever attacks.

Everything here follows from a run's ledger, and is computed again by `privet verify`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from privet.privacy.report.claims import AdversaryCode

Bound: TypeAlias = Literal["upper", "lower", "exact"]
Kind: TypeAlias = Literal["exact", "upper"]
Role: TypeAlias = Literal["claimed", "bound", "check"]
Stop: TypeAlias = Literal["plan finished", "budget", "unfinished"]

FOLLOWS = "follows"
"""Marks a difference of two fields beside it: checked against these, not computed again."""


@dataclass(frozen=True, kw_only=True)
class ProfilePoint:
    """One pair of epsilon and delta that holds."""

    epsilon: float
    delta: float


@dataclass(frozen=True, kw_only=True)
class AttackBound:
    """Largest true positive rate of any test that tells neighbours apart at a false positive rate.

    The rates are about two worlds that the relation calls neighbours: under zero-out, whether a
    user's history is there or empty.
    """

    false_positive_rate: float
    true_positive_rate: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All that holds against some adversaries who see the same releases.

    Attributes:
        adversaries: To whom the figures apply, in order.
        epsilon: As in these adversaries' rows.
        delta: The same.
        mu: A mu for which the releases are mu-GDP; None where none is proven.
        mu_kind: Whether it is exact or an upper bound; None without mu.
        rho: A rho for which they are rho-zCDP; None where none is proven.
        rho_kind: The same for rho.
        points: All of which hold at once, from epsilon 0 over the claim to where delta is 1e-12.
        attacks: By rising false positive rate.
        advantage: Largest difference of both rates of any test.
        accountants: Names of those whose bounds the points are the minimum of.
    """

    adversaries: tuple[AdversaryCode, ...]
    epsilon: float
    delta: float
    mu: float | None
    mu_kind: Kind | None
    rho: float | None
    rho_kind: Kind | None
    points: tuple[ProfilePoint, ...]
    attacks: tuple[AttackBound, ...]
    advantage: float
    accountants: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AccountantResult:
    """What one accountant says about the whole run against the headline's adversary.

    Attributes:
        name: Its first word is the package whose code it is.
        method: How it composes.
        role: The bound that is claimed, another one that holds too, or the check by other code;
            ``method`` says where that is not independent.
        version: Of the package, as in the report's identity; empty where that does not say it.
        settings: By name: the step of a grid of losses, the orders used, and so on.
        epsilon: At ``delta``.
        delta: The run's.
        bound: Upper, lower or exact.
    """

    name: str
    method: str
    role: Role
    version: str
    settings: Mapping[str, float]
    epsilon: float
    delta: float
    bound: Bound


@dataclass(frozen=True, kw_only=True)
class SpentPoint:
    """Epsilon spent after a release, against the headline's adversary."""

    release: int
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class DeltaLimit:
    """Whether delta is below one in the number of users, without which it bounds little."""

    delta: float
    users: int
    limit: float
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What is in every epsilon of the report, and what is not.

    Attributes:
        runs: Plan hashes of the runs whose releases are counted.
        releases: Charged releases in them, repeats included.
        repeats: How many of these were repeats after an interruption.
        participations: Releases that one user is in, at most.
        counted: What is added up, in words.
        not_counted: What would cost more and is not added up, in words.
    """

    runs: tuple[str, ...]
    releases: int
    repeats: int
    participations: int
    counted: tuple[str, ...]
    not_counted: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The limit that the ledger enforced, and what is left of it.

    Attributes:
        epsilon: The limit in force at the end; None if there was none.
        delta: At which it is meant.
        spent: Against the best informed adversary with a guarantee, for whom the limit is
            enforced; None if no figure may be claimed.
        remaining: The limit less that, at least 0; None if either is None.
        stop: Why no more was released.
    """

    epsilon: float | None
    delta: float | None
    spent: float | None = None
    remaining: float | None = field(default=None, metadata={FOLLOWS: True})
    stop: Stop = "plan finished"


@dataclass(frozen=True, kw_only=True)
class Accounting:
    """Every accountant's result, what was composed, and the budget that it is held against.

    Attributes:
        results: Against the headline's adversary.
        gap: The epsilon of the check less the claimed one; None without both.
        delta_limit: Delta against the number of users.
        composition: What is counted.
        budget: The limit.
        spent: Epsilon after each release.
    """

    results: tuple[AccountantResult, ...]
    gap: float | None = field(default=None, metadata={FOLLOWS: True})
    delta_limit: DeltaLimit
    composition: Composition
    budget: Budget
    spent: tuple[SpentPoint, ...] = ()


def gap(results: Sequence[AccountantResult]) -> float | None:
    """The checking accountant's epsilon less the claimed one; None without both, or if infinite."""
    found: dict[Role, float] = {result.role: result.epsilon for result in results}
    if not {"claimed", "check"} <= found.keys():
        return None
    difference = found["check"] - found["claimed"]
    return difference if math.isfinite(difference) else None


def remaining(limit: float | None, spent: float | None) -> float | None:
    """What is left of a limit, at least 0; None if there is no limit or no figure."""
    return None if limit is None or spent is None else max(0.0, limit - spent)
