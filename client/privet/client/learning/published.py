"""A published model on one device, in units of its own evidence.

A model's scores have no unit, so everything that is added to them needs one. Here it is **what one
event says**: the root mean square, over the items that a history can pull, of how far the pull of one
item differs from the mean pull. Popularity, the score of an empty history, is scaled so that its
standard deviation over the same items is one unit, and its mean 0: it counts as one event. With no
event it is all there is, with ten it is a tenth; no weight has to be set for it.

The catalogue may have items that the model was not trained with. They are as popular as the mean of
those that it was, and no history pulls them: what is known of them is their words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from privet.client.vault.history import cohort_of
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError

if TYPE_CHECKING:  # a model brings its plan and accounting along; an app without one needs neither
    from privet.models.model import LocalState, SharedState
    from privet.models.score_parts import AdditiveModel

_SAMPLE = 256  # the most popular items, whose pulls make the unit


@dataclass(frozen=True, kw_only=True, eq=False)
class Published:
    """A model of a federation, or one that an app brings along.

    Attributes:
        model: Whose half on the device runs.
        shared: What was published; the output of releases, and nothing about this user.
        item_ids: Items that it was trained with, in their order; those of the device's catalogue
            if not given.
    """

    model: "AdditiveModel"
    shared: "SharedState" = field(repr=False)
    item_ids: Sequence[str] | None = field(default=None, repr=False)


class PublishedPart:
    """What a published model adds to scores on this device.

    Args:
        published: The model.
        catalogue: The device's.

    Raises:
        InputError: The model is of another catalogue, or damaged.

    Attributes:
        reach: Items that a history pulls, positions in the catalogue.
        popularity: In units, of the mean of the model's items, shape ``(n_items,)``.
    """

    def __init__(self, published: Published, catalogue: Catalogue) -> None:
        """Find the model's reach and its units."""
        self._model, self._shared = published.model, published.shared
        ids = catalogue.item_ids if published.item_ids is None else published.item_ids
        self._trained = len(ids)
        place = {item: at for at, item in enumerate(ids)}
        self._of_item = np.array([place.get(item, -1) for item in catalogue.item_ids], np.int64)
        known = self._of_item >= 0
        if not known.any():
            raise InputError("Expected a model of some of the catalogue's items, found none.")
        popularity = self._popularity()
        reached = np.zeros(self._trained, bool)
        reached[self._model.reach(self._shared)] = True
        self.reach = np.flatnonzero(known)[reached[self._of_item[known]]]
        spread = float((popularity[reached] if reached.any() else popularity).std())
        self._scaled = popularity / spread if spread > 0 else np.zeros(self._trained)
        self.popularity = np.zeros(len(catalogue))
        self.popularity[known] = self._scaled[self._of_item[known]] - self._scaled.mean()

    @cached_property
    def unit(self) -> float:
        """What one event says, in units of the model's score; 0 for a model of popularity."""
        best = self.reach[np.argsort(-self.popularity[self.reach], kind="stable")][:_SAMPLE]
        if not len(best):
            return 0.0
        cohort = self._cohort(np.sort(self._of_item[best]), np.ones(len(best)))
        local = self._model.personalise(self._shared, {}, cohort)
        reach = self._of_item[self.reach]
        parts = self._model.parts(self._shared, local, cohort, reach)
        weights = np.maximum(self._scaled[parts.history], 0)
        return _spread(parts.pulls, weights if weights.any() else np.ones(len(weights)))

    def pulled(self, items: NDArray[np.int64], weights: NDArray[np.float64]) -> "Pulled":
        """What a history pulls.

        Args:
            items: Positions in the catalogue, sorted and distinct.
            weights: Of each, above 0.
        """
        known = np.flatnonzero(self._of_item[items] >= 0)
        order = known[np.argsort(self._of_item[items[known]])]
        cohort = self._cohort(self._of_item[items[order]], weights[order])
        local = self._model.personalise(self._shared, {}, cohort)
        values = np.zeros(len(self._of_item))
        if len(order) and self.unit > 0:
            found = np.zeros(self._trained)
            found[self._model.reach(self._shared)] = self._model.pull(self._shared, local, cohort)
            values[self.reach] = found[self._of_item[self.reach]] / self.unit
        return Pulled(values=values, _of=self, _order=order, _size=len(items), _cohort=cohort,
                      _local=local)  # fmt: skip

    def pulls(self, pulled: "Pulled", item: int) -> NDArray[np.float64]:
        """See `Pulled.on`."""
        out, at = np.zeros(pulled._size), int(self._of_item[item])
        cohort = pulled._cohort
        if at >= 0 and len(cohort.items) and self.unit > 0:
            asked = np.array([at], np.int64)
            parts = self._model.parts(self._shared, pulled._local, cohort, asked)
            held = np.searchsorted(cohort.items, parts.history)
            out[pulled._order[held]] = cohort.weights[held] * parts.pulls[:, 0] / self.unit
        return out

    def _popularity(self) -> NDArray[np.float64]:
        """Scores of somebody without a history, of the items that the model was trained with."""
        nobody = self._cohort(np.zeros(0, np.int64), np.zeros(0))
        try:
            found = np.asarray(self._model.score(self._shared, {}, nobody)[0], np.float64)
        except (KeyError, IndexError, ValueError) as error:
            raise InputError("Expected a shared state of the model; it does not fit.") from error
        if found.shape != (self._trained,) or not np.isfinite(found).all():
            raise InputError(
                f"Expected a model of {self._trained} items with finite scores, found one of "
                f"{len(found)}. Say which items it was trained with."
            )
        return found

    def _cohort(self, items: NDArray[np.int64], weights: NDArray[np.float64]) -> Cohort:
        times = np.zeros(len(items), np.int64)
        return cohort_of(items, weights, times, n_items=self._trained)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pulled:
    """What a history pulls by a model, in units.

    Attributes:
        values: Shape ``(n_items,)``; 0 out of the model's reach.
    """

    values: NDArray[np.float64]
    _of: PublishedPart
    _order: NDArray[np.int64]
    _size: int
    _cohort: Cohort
    _local: "LocalState"

    def on(self, item: int) -> NDArray[np.float64]:
        """What each item of the history adds to one item's value, shape ``(h,)``."""
        return self._of.pulls(self, item)


def _spread(pulls: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Root mean square of the rows' distances from their weighted mean."""
    shares = weights / weights.sum()
    return float(np.sqrt(shares @ ((pulls - shares @ pulls) ** 2).mean(axis=1)))
