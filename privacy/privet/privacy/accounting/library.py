"""The dp-accounting library behind Privet's events; loaded when first needed (three seconds)."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from privet.privacy.accounting.composition import common_relation, counted, kinds
from privet.privacy.accounting.events import (
    BasicEvent,
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    RandomizedResponseEvent,
)
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import PrivacyError

_SMALLEST_MULTIPLIER, _LARGEST_MULTIPLIER = 0.2, 1e6
_LARGEST_EPSILON = 1e3
_POINTS = 1e6


def discretisation(events: Sequence[Event], guess: float) -> float | None:
    """Interval of the loss grid, None where a grid would need too much memory.

    Args:
        events: Gaussian, matrix, Poisson or randomised response.
        guess: A bound on the order of epsilon, from another accountant.
    """
    for event in counted(events):
        noise = getattr(event, "noise_multiplier", 1.0)
        if (
            not _SMALLEST_MULTIPLIER <= noise <= _LARGEST_MULTIPLIER
            or getattr(event, "epsilon", 0.0) > _LARGEST_EPSILON
            or not 0 < getattr(event, "noise", 0.5) < 1  # an epsilon below 1e-16 rounds it to 1
        ):
            return None
    if not guess <= _LARGEST_EPSILON:
        return None
    return 1e-4 if guess <= _POINTS * 1e-4 else 1e-3


def loss_epsilon(events: Sequence[Event], delta: float, interval: float) -> float:
    """Epsilon at delta, from privacy loss distributions rounded up on a grid."""
    losses = _losses(frozenset(counted(events).items()), interval)
    found = float(losses.get_epsilon_for_delta(delta))
    return max(0.0, found) if not math.isnan(found) else math.inf


def loss_delta(events: Sequence[Event], epsilon: float, interval: float) -> float:
    """Delta at epsilon, from privacy loss distributions rounded up on a grid."""
    losses = _losses(frozenset(counted(events).items()), interval)
    found = float(losses.get_delta_for_epsilon(epsilon))
    return min(1.0, max(0.0, found)) if not math.isnan(found) else 1.0


@lru_cache(maxsize=16)
def _losses(counts: frozenset[tuple[BasicEvent, int]], interval: float) -> Any:
    """The composed distribution; in an order that does not depend on that of the releases."""
    from dp_accounting.pld import privacy_loss_distribution

    total = privacy_loss_distribution.identity(value_discretization_interval=interval)
    for event, times in sorted(counts, key=repr):
        total = total.compose(_loss_of(event, times, interval))
    return total


def _loss_of(event: BasicEvent, times: int, interval: float) -> Any:
    """One event's distribution, composed with itself.

    Not through the library's accountant, which forgets how often a randomised response happened
    (0.6.0). Its distributions put replaced vectors at +1 and -1, a distance of 2.
    """
    from dp_accounting.pld import privacy_loss_distribution as losses

    relation = _relation([event])
    grid = {"value_discretization_interval": interval, "neighboring_relation": relation}
    match event:
        case GaussianEvent() | MatrixEvent():
            plain = event.gaussian if isinstance(event, MatrixEvent) else event
            distance = 2 if event.relation is NeighbouringRelation.REPLACE_ONE else 1
            noise = distance * plain.noise_multiplier / math.sqrt(times)
            return losses.from_gaussian_mechanism(noise, **grid)
        case PoissonGaussianEvent():
            if event.sampling_probability == 0:
                return losses.identity(value_discretization_interval=interval)
            return losses.from_gaussian_mechanism(
                event.noise_multiplier, sampling_prob=event.sampling_probability, **grid
            ).self_compose(times)
        case RandomizedResponseEvent():
            return losses.from_randomized_response(
                event.noise, event.categories, **grid
            ).self_compose(times)
        case _:
            raise PrivacyError(f"dp-accounting has no loss distribution for {kinds([event])}.")


def library_renyi_epsilon(events: Sequence[Event], delta: float) -> float:
    """Epsilon at delta from the library's own Renyi divergences.

    Raises:
        PrivacyError: The library has no Renyi divergence for an event under its relation.
    """
    from dp_accounting import privacy_accountant
    from dp_accounting.rdp import rdp_privacy_accountant

    counts = counted(events)
    accountant = rdp_privacy_accountant.RdpAccountant(neighboring_relation=_relation(counts))
    for event, times in counts.items():
        try:
            accountant.compose(_translated(event), times)
        except privacy_accountant.UnsupportedEventError as error:
            raise PrivacyError(
                f"dp-accounting has no Renyi divergence for {type(event).__name__} under "
                f"{common_relation(counts).value!r}."
            ) from error
    return max(0.0, float(accountant.get_epsilon(delta)))


def _relation(events: Iterable[BasicEvent]) -> Any:
    """Zero-out is accounted for as add-or-remove: the sensitivities of sums are the same."""
    from dp_accounting import privacy_accountant

    relations = privacy_accountant.NeighboringRelation
    if common_relation(events) is NeighbouringRelation.REPLACE_ONE:
        return relations.REPLACE_ONE
    return relations.ADD_OR_REMOVE_ONE


def _translated(event: BasicEvent) -> Any:
    """The library's event, for its Renyi accountant: multipliers are over the distance."""
    from dp_accounting import dp_event

    match event:
        case GaussianEvent():
            return dp_event.GaussianDpEvent(event.noise_multiplier)
        case MatrixEvent():
            return dp_event.GaussianDpEvent(event.gaussian.noise_multiplier)
        case PoissonGaussianEvent():
            inner = dp_event.GaussianDpEvent(event.noise_multiplier)
            return dp_event.PoissonSampledDpEvent(event.sampling_probability, inner)
        case FixedSizeGaussianEvent():
            inner = dp_event.GaussianDpEvent(event.noise_multiplier)
            return dp_event.SampledWithoutReplacementDpEvent(event.population, event.cohort, inner)
        case RandomizedResponseEvent():
            return dp_event.RandomizedResponseDpEvent(event.noise, event.categories)
        case _:
            raise PrivacyError(f"dp-accounting has no event for {kinds([event])}.")
