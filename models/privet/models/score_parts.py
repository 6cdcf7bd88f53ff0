"""A score taken apart: what its model added up, so that explanations are the score itself."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.models.model import LocalState, Model, SharedState


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreParts:
    """One device's scores of some items as sums: ``pulls.sum(axis=0) + popularity + offset``.

    Attributes:
        history: Items of the history that pull, shape ``(h,)``.
        pulls: What each of them adds to each score, shape ``(h, m)``.
        popularity: What popularity adds, shape ``(m,)``.
        offset: What only places an item below those that more is known of, shape ``(m,)``.
    """

    history: NDArray[np.int64]
    pulls: NDArray[np.float64]
    popularity: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def without_history(cls, popularity: NDArray[np.float64]) -> "ScoreParts":
        """Parts of scores that are popularity alone."""
        return cls(
            history=np.zeros(0, np.int64),
            pulls=np.zeros((0, len(popularity))),
            popularity=popularity,
            offset=np.zeros(len(popularity)),
        )

    @property
    def totals(self) -> NDArray[np.float64]:
        """The scores, shape ``(m,)``."""
        return np.asarray(self.pulls.sum(axis=0) + self.popularity + self.offset)


class AdditiveModel(Model, Protocol):
    """A model whose score is a sum that it can take apart.

    A history pulls the scores of the items of ``reach`` and of no others. Popularity is what
    ``score`` gives for an empty history.
    """

    def reach(self, shared: SharedState) -> NDArray[np.int64]:
        """Items whose score a history pulls, sorted; none where all get the same list."""

    def pull(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """What a cohort of one pulls, each item of its history times its weight.

        With weights of 1 it is what ``parts`` adds up over the history.

        Returns:
            Shape ``(len(reach),)``.
        """

    def parts(
        self, shared: SharedState, local: LocalState, cohort: Cohort, items: NDArray[np.integer]
    ) -> ScoreParts:
        """The parts of some items' scores for a cohort of one.

        They add up to what ``score`` gives, up to rounding.
        """
