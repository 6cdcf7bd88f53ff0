"""Scores of a catalogue for one request, and the terms that each of them is the sum of."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.client.learning.habits import Habit
from privet.client.learning.published import Pulled
from privet.client.learning.taste import Taste
from privet.client.ranking.categories import Categories
from privet.client.ranking.explain import Basis, Reason, Term, context_terms, topic_terms
from privet.models.content import ItemVectors


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pulling:
    """What a history adds to scores.

    Attributes:
        items: That events speak for, positions in the catalogue, sorted.
        weights: Of each, in (0, 1].
        model: What the published model says of them, or None.
        taste: Over the same items, those that events speak against, or fewer.
        told: Items that somebody spoke of.
        values: What all of it adds, shape ``(n_items,)``.
    """

    items: NDArray[np.int64]
    weights: NDArray[np.float64]
    model: Pulled | None
    taste: Taste
    told: frozenset[int]
    values: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scored:
    """Scores, in units of what one event says (:mod:`privet.client.learning.published`).

    It stays as it is, whatever the recommender learns afterwards.

    Attributes:
        values: Higher is better; finite, shape ``(n_items,)``.

    Formal Guarantees:
        ``terms(item)`` add up to ``values[item]`` within 1e-6 of the larger of 1 and the sum of
        their sizes. They are made from the same numbers as the score, anew.
    """

    values: NDArray[np.float64]
    _popularity: NDArray[np.float64]
    _vectors: ItemVectors
    _content: float
    _pulling: Pulling | None
    _categories: Categories
    _topics: NDArray[np.float64]
    _habits: tuple[Habit, ...] = field(default=())

    def terms(self, item: int) -> tuple[Term, ...]:
        """The summands of an item's score; those that are 0 are left away."""
        found = [
            Term(
                reason=Reason.POPULARITY,
                basis=Basis.EVERYONE,
                value=float(self._popularity[item]),
            ),
            *self._of_history(item),
            *topic_terms(self._categories, self._topics, item, basis=Basis.TOLD),
        ]
        for habit in self._habits:
            found += context_terms(self._categories, habit.weights, item, context=habit.context)
        return tuple(term for term in found if term.value != 0)

    def _of_history(self, item: int) -> list[Term]:
        """One term for each item of the history: what the model and the words say of the two."""
        held = self._pulling
        if held is None:
            return []
        items = np.union1d(held.items, held.taste.items)
        values, disliked = np.zeros(len(items)), np.zeros(len(items), bool)
        if held.model is not None:
            values[np.searchsorted(items, held.items)] += held.model.on(item)
        at = np.searchsorted(items, held.taste.items)
        cosines = self._vectors.cosines_between(item, held.taste.items)
        values[at] += self._content * held.taste.shares * cosines
        disliked[at] = held.taste.against
        return [
            Term(
                reason=Reason.DISLIKE if disliked[place] else Reason.HISTORY,
                basis=Basis.TOLD if int(items[place]) in held.told else Basis.INFERRED,
                value=float(values[place]),
                item=int(items[place]),
            )
            for place in np.flatnonzero(values).tolist()
        ]
