"""A device's events as a cohort of one, in the form that models read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.client.vault.event import Event
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError

KIND_WEIGHTS: Mapping[str, float] = {
    "like": 1.0,
    "buy": 1.0,
    "finish": 1.0,
    "rate": 1.0,
    "click": 0.5,
    "view": 0.5,
    "dislike": -1.0,
    "hide": -1.0,
}
"""Strength of each kind of event; of kinds that are not here (skip, search, impression) it is 0."""

_LARGEST = 1e12


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """How an event becomes a strength of preference.

    An event's strength is that of its kind, times its value where it has one, halved for each
    half-life of its age. An item's weight is the largest strength since the last one below 0; an
    item without one above 0 is left out.

    Attributes:
        kinds: Strength of each kind; 0 for others.
        half_life_seconds: After so long an event counts half; None for no decay. Events without a
            time, and those of the future after a clock went back, do not decay.

    Raises:
        InputError: A strength is not finite, or the half-life not above 0.
    """

    kinds: Mapping[str, float] = field(default_factory=lambda: dict(KIND_WEIGHTS))
    half_life_seconds: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not all(np.isfinite(weight) for weight in self.kinds.values()):
            raise InputError("Expected a finite strength for every kind of event.")
        if self.half_life_seconds is not None and not self.half_life_seconds > 0:
            raise InputError("Expected half_life_seconds above 0 or None.")

    def strength(self, event: Event, now: int) -> float:
        """Strength of an event at a time; finite."""
        weight = self.kinds.get(event.kind, 0.0) * (1.0 if event.value is None else event.value)
        weight = max(-_LARGEST, min(_LARGEST, weight))
        if self.half_life_seconds is not None and event.time:
            weight *= 0.5 ** (max(0, now - event.time) / self.half_life_seconds)
        return weight


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class History:
    """A device's history over a catalogue.

    Attributes:
        cohort: One row; an item's time is that of the last event on it.
        order: Positions in ``cohort.items`` in order of time, shape ``(nnz,)``, int64.
        unknown_items: Distinct items that the catalogue does not have. They stay in the store, and
            count again when a later catalogue has them.
        unknown_events: Events on them.
    """

    cohort: Cohort
    order: NDArray[np.int64]
    unknown_items: int
    unknown_events: int


def history(
    events: Iterable[Event], catalogue: Catalogue, *, now: int, weighting: Weighting | None = None
) -> History:
    """Build a history.

    Args:
        events: In order of time, as `Vault.events` gives them.
        catalogue: Gives items their indices.
        now: Unix seconds, for decay.
        weighting: The default if None.
    """
    rule = weighting or Weighting()
    weights: dict[int, float] = {}
    times: dict[int, int] = {}
    unknown: list[str] = []
    for event in events:
        index = catalogue.index(event.item) if event.item else None
        if index is None:
            unknown += [event.item] if event.item else []
            continue
        strength = rule.strength(event, now)
        times[index] = max(event.time, times.pop(index, 0))
        weights[index] = max(strength, weights.get(index, 0.0)) if strength >= 0 else 0.0
    kept = sorted(index for index, weight in weights.items() if weight > 0)
    position = {index: place for place, index in enumerate(times)}
    time = np.array([times[index] for index in kept], np.int64)
    place = np.array([position[index] for index in kept], np.int64)
    return History(
        cohort=Cohort(
            devices=np.zeros(1, np.int64),
            indptr=np.array([0, len(kept)], np.int64),
            items=np.array(kept, np.int32),
            weights=np.array([weights[index] for index in kept], np.float64),
            times=time,
            n_items=len(catalogue),
        ),
        order=np.lexsort((place, time)).astype(np.int64),
        unknown_items=len(set(unknown)),
        unknown_events=len(unknown),
    )
