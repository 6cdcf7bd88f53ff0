"""Popularity: what most people like. One noisy sum; the floor, and the prior for cold start.

Sensitivity. A device with history x (0/1 over items) offers x / sqrt(|x|): |x| entries of
1 / sqrt(|x|), so its L2 norm is exactly 1. An empty history offers the zero vector. Under
zero-out one user therefore moves the sum by at most 1; under replace-one by at most sqrt(2),
since no entry is negative. Tests: ``tests/models``, names starting with "popularity".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import LocalState, Release, SharedState
from privet.models.plan import PublicFacts, Step
from privet.models.score_parts import ScoreParts
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.randomness import Randomness


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """Rank items by a noisy, user-normalised count."""

    name: ClassVar[str] = "popularity"
    trusts: ClassVar[frozenset[Trust]] = frozenset(Trust)
    timed: ClassVar[bool] = False

    def begin(self, catalogue: Catalogue) -> SharedState:
        """Nothing: all is learnt from people."""
        return {}

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        """One sum over the whole catalogue."""
        return (popularity_step(facts.items, budget_share=1.0),)

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        """Each device's history, scaled to norm 1."""
        return unit_histories(cohort), local

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        """The noisy sum is the popularity."""
        return {"popularity": release.total}

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        """Nothing: everyone gets the same list."""
        return local

    def score(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """The popularity, for every device; shape ``(n, n_items)``."""
        return np.tile(np.asarray(shared["popularity"], np.float64), (len(cohort), 1))

    def reach(self, shared: SharedState) -> NDArray[np.int64]:
        """Nothing: everyone gets the same list."""
        return np.zeros(0, np.int64)

    def pull(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """Nothing."""
        return np.zeros(0)

    def parts(
        self, shared: SharedState, local: LocalState, cohort: Cohort, items: NDArray[np.integer]
    ) -> ScoreParts:
        """Popularity and nothing else."""
        return ScoreParts.without_history(np.asarray(shared["popularity"], np.float64)[items])


def popularity_step(items: int, *, budget_share: float) -> Step:
    """The step that sums unit histories over a catalogue of this size."""
    return Step(name="popularity", dimension=items, nonnegative=True, budget_share=budget_share)


def unit_histories(cohort: Cohort) -> Contribution:
    """Each history as 0/1 over items, scaled to norm 1; an empty one is the zero vector."""
    sizes = cohort.sizes
    return Contribution(
        indptr=cohort.indptr,
        indices=cohort.items.astype(np.int64),
        values=np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes),
        dimension=cohort.n_items,
        l2_bound=1.0,
        nonnegative=True,
    )
