"""A published model on one device, in units of its own evidence.

A model's scores have no unit, so everything that is added to them needs one. Here it is **what one
event says**: the root mean square, over the items that a history can pull, of how far the pull of one
item differs from the mean pull. Popularity, the score of an empty history, is scaled so that its
standard deviation over the same items is one unit: it counts as one event. With no event it is all
there is, with ten it is a tenth; no weight has to be set for it.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from privet.client.vault.history import cohort_of
from privet.models.cohort import Cohort
from privet.models.model import LocalState, SharedState
from privet.models.score_parts import AdditiveModel
from privet.privacy.errors import InputError

_SAMPLE = 256  # the most popular items, whose pulls make the unit


@dataclass(frozen=True, kw_only=True, eq=False)
class Published:
    """A model of a federation, or one that an app brings along.

    Attributes:
        model: Whose half on the device runs.
        shared: What was published; the output of releases, and nothing about this user.
    """

    model: AdditiveModel
    shared: SharedState = field(repr=False)

    def popularity(self, n_items: int) -> NDArray[np.float64]:
        """Scores of somebody without a history, shape ``(n_items,)``.

        Raises:
            InputError: The model is of another catalogue, or its scores are not finite.
        """
        nobody = _cohort(np.zeros(0, np.int64), n_items)
        try:
            found = np.asarray(self.model.score(self.shared, {}, nobody)[0], np.float64)
        except (KeyError, IndexError, ValueError) as error:
            raise InputError("Expected a shared state of the model; it does not fit.") from error
        if found.shape != (n_items,) or not np.isfinite(found).all():
            raise InputError(
                f"Expected a model of a catalogue of {n_items} items with finite scores, found "
                f"one of {len(found)}."
            )
        return found


class PublishedPart:
    """What a published model adds to scores on this device.

    Args:
        published: The model.
        n_items: Size of the catalogue.

    Raises:
        InputError: The model is of another catalogue, or damaged.
    """

    def __init__(self, published: Published, n_items: int) -> None:
        """Find the model's reach and its units."""
        self._model, self._shared, self._n_items = published.model, published.shared, n_items
        popularity = published.popularity(n_items)
        self.reach = self._model.reach(self._shared)
        spread = float(popularity[self.reach].std() if len(self.reach) else popularity.std())
        self.popularity = popularity / spread if spread > 0 else np.zeros(n_items)

    @cached_property
    def unit(self) -> float:
        """What one event says, in units of the model's score; 0 for a model of popularity."""
        best = self.reach[np.argsort(-self.popularity[self.reach], kind="stable")][:_SAMPLE]
        if not len(best):
            return 0.0
        cohort = _cohort(np.sort(best), self._n_items)
        parts = self._model.parts(self._shared, self._local(cohort), cohort, self.reach)
        if not len(parts.history):
            return 0.0
        weights = np.maximum(self.popularity[parts.history], 0)
        weights = (
            weights / weights.sum() if weights.any() else np.full(len(weights), 1 / len(weights))
        )
        mean = weights @ parts.pulls
        return float(np.sqrt(weights @ ((parts.pulls - mean) ** 2).mean(axis=1)))

    def pull(self, items: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a history pulls, in units, shape ``(n_items,)``; 0 out of the model's reach."""
        out = np.zeros(self._n_items)
        if len(items) and self.unit > 0:
            cohort = _cohort(items, self._n_items, weights)
            pulled = self._model.pull(self._shared, self._local(cohort), cohort)
            out[self.reach] = pulled / self.unit
        return out

    def pulls(
        self, items: NDArray[np.int64], weights: NDArray[np.float64], item: int
    ) -> NDArray[np.float64]:
        """What each item of a history adds to `pull` of one item, shape ``(h,)``."""
        out = np.zeros(len(items))
        if len(items) and self.unit > 0:
            cohort = _cohort(items, self._n_items, weights)
            parts = self._model.parts(
                self._shared, self._local(cohort), cohort, np.array([item], np.int64)
            )
            at = np.searchsorted(items, parts.history)
            out[at] = weights[at] * parts.pulls[:, 0] / self.unit
        return out

    def _local(self, cohort: Cohort) -> LocalState:
        return self._model.personalise(self._shared, {}, cohort)


def _cohort(
    items: NDArray[np.int64], n_items: int, weights: NDArray[np.float64] | None = None
) -> Cohort:
    held = np.ones(len(items)) if weights is None else weights
    return cohort_of(items, held, np.zeros(len(items), np.int64), n_items=n_items)
