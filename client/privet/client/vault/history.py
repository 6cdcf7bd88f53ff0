"""A device's events, added up: what each item is worth to its user, and a cohort of one of it.

The rule is `Weighting`'s. It depends on the events and their order in time alone, not on when they
were added: adding one more event gives what adding all of them anew would give, bit by bit.
"""

from array import array
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
    "more": 1.0,
    "click": 0.5,
    "view": 0.5,
    "less": -1.0,
    "dislike": -1.0,
    "hide": -1.0,
    "review": 1.0,
}
"""Strength of each kind of event; of kinds that are not here (skip, search, impression) it is 0."""

VALUED_KINDS = frozenset({"review"})
"""Kinds that say nothing without a value: a review that could not be read is no praise."""

_LARGEST = 1e12


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """How an event becomes a strength of preference.

    An event's strength is that of its kind, times its value where it has one, halved for each
    half-life of its age. A review's value is its sentiment; without one it has no strength. An item's weight is the largest strength since the last one below 0; an
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

    def strength(self, event: Event) -> float:
        """Strength of an event when it happens; finite."""
        if event.value is None and event.kind in VALUED_KINDS:
            return 0.0
        weight = self.kinds.get(event.kind, 0.0) * (1.0 if event.value is None else event.value)
        return max(-_LARGEST, min(_LARGEST, weight))

    def decay(self, times: NDArray[np.int64], now: int) -> NDArray[np.float64]:
        """What is left of events of some times, in (0, 1] or 0 where it is too small for a number."""
        if self.half_life_seconds is None:
            return np.ones(len(times))
        ages = np.where(times > 0, np.maximum(now - times, 0), 0)
        return np.asarray(0.5 ** (ages / self.half_life_seconds))


@dataclass(frozen=True, kw_only=True, eq=False)
class Tallied:
    """What a user's events come to at a time, an item a row, sorted by item.

    Attributes:
        items: Positions in the catalogue, int64, distinct.
        weights: Strength of preference, 0 or more; 0 for items that no event speaks for.
        against: Strength of the last event against the item, 0 or more; 0 if one for it came since.
        times: Of the last event on the item, whatever it was, int64.
        order: Rank of that event among all events, by time.
    """

    items: NDArray[np.int64]
    weights: NDArray[np.float64]
    against: NDArray[np.float64]
    times: NDArray[np.int64]
    order: NDArray[np.int64]


class Tally:
    """The events of one device on items of a catalogue.

    Args:
        catalogue: Gives items their positions.
        weighting: The rule.
    """

    def __init__(self, catalogue: Catalogue, weighting: Weighting) -> None:
        """No events yet."""
        self.weighting = weighting
        self.unknown_items: set[str] = set()
        self.unknown_events = 0
        self._catalogue = catalogue
        self._items, self._strengths, self._times = array("q"), array("d"), array("q")

    def __len__(self) -> int:
        """Number of events on items that the catalogue has."""
        return len(self._items)

    def add(self, event: Event) -> int | None:
        """Add an event; the position of its item, or None if the catalogue does not have it."""
        index = self._catalogue.index(event.item) if event.item else None
        if index is None:
            if event.item:
                self.unknown_items.add(event.item)
                self.unknown_events += 1
            return None
        self._items.append(index)
        self._strengths.append(self.weighting.strength(event))
        self._times.append(event.time)
        return index

    @property
    def items(self) -> NDArray[np.int64]:
        """Item of each event, in the order in which they were added."""
        return np.array(self._items, np.int64)

    @property
    def times(self) -> NDArray[np.int64]:
        """Time of each event, in the same order."""
        return np.array(self._times, np.int64)

    @property
    def strengths(self) -> NDArray[np.float64]:
        """Strength of each event when it happened, in the same order."""
        return np.array(self._strengths, np.float64)

    def at(self, now: int, selected: NDArray[np.bool_] | None = None) -> Tallied:
        """What the events come to.

        Args:
            now: Unix seconds, for decay.
            selected: Of each event, in the order of adding, whether it counts; all if not given.
        """
        order = np.argsort(self.times, kind="stable")
        if selected is not None:
            order = order[selected[order]]
        of, times, strengths = self.items[order], self.times[order], self.strengths[order]
        decayed = strengths * self.weighting.decay(times, now)
        place, count = np.arange(len(order)), len(self._catalogue)
        last, ended = np.full(count, -1), np.full(count, -1)
        last[of] = place  # of repeated items the last assignment counts
        below = np.flatnonzero(strengths < 0)
        ended[of[below]] = below
        alive = place > ended[of]
        strongest = np.zeros(count)
        np.maximum.at(strongest, of[alive], decayed[alive])
        items = np.flatnonzero(last >= 0)
        last, ended, weights = last[items], ended[items], strongest[items]
        against = np.where((ended >= 0) & (weights == 0), -decayed[ended], 0.0)
        return Tallied(items=items, weights=weights, against=against, times=times[last], order=last)


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
    tally = Tally(catalogue, weighting or Weighting())
    for event in events:
        tally.add(event)
    found = tally.at(now)
    kept = found.weights > 0
    return History(
        cohort=cohort_of(
            found.items[kept], found.weights[kept], found.times[kept], n_items=len(catalogue)
        ),
        order=np.argsort(found.order[kept]).astype(np.int64),
        unknown_items=len(tally.unknown_items),
        unknown_events=tally.unknown_events,
    )


def cohort_of(
    items: NDArray[np.int64],
    weights: NDArray[np.float64],
    times: NDArray[np.int64],
    *,
    n_items: int,
) -> Cohort:
    """A cohort of one device with these items, sorted and distinct."""
    return Cohort(
        devices=np.zeros(1, np.int64),
        indptr=np.array([0, len(items)], np.int64),
        items=items.astype(np.int32),
        weights=weights,
        times=times,
        n_items=n_items,
    )
