"""What happened, apart from what it costs: one frozen event for each noisy sum that was learnt.

An event holds what is necessary and sufficient to account for a release against one adversary.
Accountants consume events and refuse the ones that they cannot account for.
"""

import math
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from privet.privacy.accounting.matrix import strategy_coefficients, toeplitz_sensitivity
from privet.privacy.accounting.sampled import (
    FixedSizeGaussianEvent,
    PoissonGaussianEvent,
    SamplingKind,
)
from privet.privacy.accounting.validate import positive, whole
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import InputError

__all__ = [
    "BasicEvent",
    "Event",
    "FixedSizeGaussianEvent",
    "GaussianEvent",
    "MatrixEvent",
    "PoissonGaussianEvent",
    "RandomizedResponseEvent",
    "RepeatedEvent",
    "SamplingKind",
    "SkellamEvent",
    "UnprotectedEvent",
    "event_from_dict",
    "event_to_dict",
]


@dataclass(frozen=True, kw_only=True)
class GaussianEvent:
    """A sum with continuous Gaussian noise, perhaps rounded to a grid afterwards.

    Attributes:
        noise_multiplier: Standard deviation over L2 sensitivity, above 0.
        relation: The neighbouring relation that the sensitivity is for.
    """

    noise_multiplier: float
    relation: NeighbouringRelation = NeighbouringRelation.ZERO_OUT

    def __post_init__(self) -> None:
        """Refuse a multiplier that is not a positive number."""
        positive(noise_multiplier=self.noise_multiplier)


@dataclass(frozen=True, kw_only=True)
class SkellamEvent:
    """A sum of integer vectors with symmetric Skellam noise in every coordinate.

    Attributes:
        l2_sensitivity: In integers.
        l1_sensitivity: In integers.
        variance: Of the noise in one coordinate that the adversary does not know, in squared
            integers.
        dimension: Number of coordinates.
        shares: Devices' shares that this noise is the sum of; each draw has its sampler's tail.
        relation: The neighbouring relation that the sensitivities are for.
    """

    l2_sensitivity: float
    l1_sensitivity: float
    variance: float
    dimension: int
    shares: int = 1
    relation: NeighbouringRelation = NeighbouringRelation.ZERO_OUT

    def __post_init__(self) -> None:
        """Refuse values that are not positive numbers."""
        positive(
            l2_sensitivity=self.l2_sensitivity,
            l1_sensitivity=self.l1_sensitivity,
            variance=self.variance,
            dimension=self.dimension,
            shares=self.shares,
        )


@dataclass(frozen=True, kw_only=True)
class MatrixEvent:
    """All rounds of a matrix mechanism with a banded square-root Toeplitz strategy, as one event.

    Attributes:
        noise_multiplier: Standard deviation of the independent noise over the L2 distance that
            one participation can move one round's sum by, above 0.
        rounds: Releases.
        bands: Bands of the strategy, from 1 (independent noise) to ``rounds``.
        separation: A user who took part in a round is left out of the next ``separation - 1``.
        participations: Of one user, at most.
        relation: The neighbouring relation that the distance is for.
    """

    noise_multiplier: float
    rounds: int
    bands: int
    separation: int
    participations: int
    relation: NeighbouringRelation = NeighbouringRelation.ZERO_OUT

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        positive(noise_multiplier=self.noise_multiplier)
        whole(
            rounds=self.rounds,
            bands=self.bands,
            separation=self.separation,
            participations=self.participations,
        )
        if self.bands > self.rounds:
            raise InputError(f"Expected bands={self.bands!r} to be at most rounds={self.rounds!r}.")

    @property
    def sensitivity(self) -> float:
        """Of the strategy, repeated participation counted."""
        return toeplitz_sensitivity(
            strategy_coefficients(self.bands), self.rounds, self.separation, self.participations
        )

    @property
    def gaussian(self) -> GaussianEvent:
        """The one Gaussian release that all rounds together are."""
        return GaussianEvent(
            noise_multiplier=self.noise_multiplier / self.sensitivity, relation=self.relation
        )


@dataclass(frozen=True, kw_only=True)
class RandomizedResponseEvent:
    """One of k categories, told truly with probability ``e^epsilon / (e^epsilon + k - 1)``.

    Attributes:
        epsilon: Of one answer, above 0.
        categories: At least 2.
        relation: Replace-one: an answer has no neutral value.
    """

    epsilon: float
    categories: int
    relation: NeighbouringRelation = NeighbouringRelation.REPLACE_ONE

    def __post_init__(self) -> None:
        """Refuse impossible numbers and other relations."""
        positive(epsilon=self.epsilon)
        whole(categories=self.categories)
        if self.categories < 2:
            raise InputError(f"Expected categories={self.categories!r} to be at least 2.")
        if self.relation is not NeighbouringRelation.REPLACE_ONE:
            raise InputError("Randomised response is accounted for under 'replace-one' only.")

    @property
    def noise(self) -> float:
        """Probability that the answer is drawn uniformly from all categories."""
        return self.categories / (self.categories + math.expm1(min(self.epsilon, 700.0)))


@dataclass(frozen=True, kw_only=True)
class UnprotectedEvent:
    """A sum without noise: no finite epsilon."""


BasicEvent = (
    GaussianEvent
    | SkellamEvent
    | PoissonGaussianEvent
    | FixedSizeGaussianEvent
    | MatrixEvent
    | RandomizedResponseEvent
    | UnprotectedEvent
)


@dataclass(frozen=True, kw_only=True)
class RepeatedEvent:
    """The same event several times, each with noise (and a cohort) of its own.

    Attributes:
        event: What happened.
        times: How often, at least 1.
    """

    event: "Event"
    times: int

    def __post_init__(self) -> None:
        """Refuse a count that is not one."""
        whole(times=self.times)


Event = BasicEvent | RepeatedEvent

_KINDS: dict[str, type[Event]] = {
    "gaussian": GaussianEvent,
    "skellam": SkellamEvent,
    "poisson-gaussian": PoissonGaussianEvent,
    "fixed-size-gaussian": FixedSizeGaussianEvent,
    "matrix": MatrixEvent,
    "randomized-response": RandomizedResponseEvent,
    "repeated": RepeatedEvent,
    "unprotected": UnprotectedEvent,
}


def event_from_dict(body: dict[str, Any]) -> Event:
    """Read an event back.

    Raises:
        InputError: Unknown kind, or fields that the kind does not have.
        PrivacyError: An amplification that does not hold.
    """
    values = dict(body)
    name = values.pop("kind", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"Unknown kind of privacy event; known: {sorted(_KINDS)}.")
    try:
        if "relation" in values:
            values["relation"] = NeighbouringRelation(values["relation"])
        if "implemented" in values:
            values["implemented"] = SamplingKind(values["implemented"])
        if kind is RepeatedEvent:
            values["event"] = event_from_dict(values["event"])
        return kind(**values)
    except (
        TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise InputError(f"Privacy event of kind {name!r} is malformed.") from error


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event as plain JSON values."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(event, cls))
    body: dict[str, Any] = {"kind": kind}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name == "event":
            value = event_to_dict(value)
        body[field.name] = str(value) if isinstance(value, Enum) else value
    return body
