"""Trending: what is popular now, from a stream that is summed window by window.

The period that the run is about is cut into windows of equal length, a round each. A device's turn
comes every ``separation`` rounds; it then offers what it touched since its last turn. The rounds
are one series, whose noise is correlated so that much of it cancels in sums over rounds (banded
square-root matrix mechanism, Choquette-Choo et al. 2023, arXiv 2306.08153; Kalinin and Lampert
2024, arXiv 2405.13763). The server keeps a decayed sum of the rounds' estimates: with a long half
life nearly a prefix sum, which is what the correlation is made for.

Sensitivity. A device with m > 0 items in its window offers m entries of 1 / sqrt(m): L2 norm
exactly 1, no entry negative. With nothing in the window, an empty history above all, it offers the
zero vector. One user therefore moves one round's sum by at most 1 under zero-out, and it does so in
at most ``participations`` rounds that are ``separation`` or more apart, which the schedule keeps
and devices and server enforce. Tests: ``tests/models``, names with "trending".
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
from privet.models.popularity import unit_histories
from privet.models.score_parts import ScoreParts
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.accounting.series import SeriesRound
from privet.privacy.contribution import Contribution
from privet.privacy.errors import InputError
from privet.privacy.randomness import Randomness

SERIES = "trending"


@dataclass(frozen=True, kw_only=True)
class Trending:
    """Rank items by a decayed, noisy count of their recent users.

    Attributes:
        rounds: Windows that the period is cut into, at least 1.
        separation: Rounds between two turns of a device, at least 1.
        bands: Of the correlated noise; 1 for noise of its own in every round.
        half_life: Rounds after which a window counts half, above 0.

    Raises:
        InputError: A number out of its range.
    """

    name: ClassVar[str] = "trending"
    trusts: ClassVar[frozenset[Trust]] = frozenset({Trust.CENTRAL})
    timed: ClassVar[bool] = True

    rounds: int = 40
    separation: int = 10
    bands: int = 10
    half_life: float = 20.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if min(self.rounds, self.separation, self.bands) < 1 or self.bands > self.rounds:
            raise InputError(
                f"Expected rounds={self.rounds}, separation={self.separation} and bands="
                f"{self.bands} to be at least 1, and no more bands than rounds."
            )
        if not self.half_life > 0:
            raise InputError(f"Expected half_life={self.half_life} > 0.")

    def begin(self, catalogue: Catalogue) -> SharedState:
        """Nothing: all is learnt from people."""
        return {}

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        """A sum a window; where the period is not known, every window is all of a history."""
        length = facts.end - facts.start
        edges = [facts.start + length * i // self.rounds for i in range(self.rounds + 1)]
        return tuple(
            Step(
                name=f"window {number}",
                dimension=facts.items,
                nonnegative=True,
                budget_share=1 / self.rounds,
                series=self._round(number),
                since=edges[max(0, number + 1 - self.separation)],
                until=edges[number + 1],
            )
            for number in range(self.rounds)
        )

    def _round(self, number: int) -> SeriesRound:
        return SeriesRound(
            name=SERIES,
            round_number=number,
            rounds=self.rounds,
            bands=self.bands,
            separation=self.separation,
            participations=-(-self.rounds // self.separation),
        )

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        """What each device touched since its last turn, scaled to norm 1."""
        return unit_histories(cohort.within(step.since, step.until)), local

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        """The sum so far decays, and the window's estimate is added."""
        before = shared.get("weights", np.zeros(step.dimension))
        return {"weights": 0.5 ** (1 / self.half_life) * before + release.total}

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        """Nothing: everyone gets the same list."""
        return local

    def score(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """The weights, for every device; shape ``(n, n_items)``."""
        return np.tile(np.asarray(shared["weights"], np.float64), (len(cohort), 1))

    def reach(self, shared: SharedState) -> NDArray[np.int64]:
        """Nothing: everyone gets the same list."""
        return np.zeros(0, np.int64)

    def pull(self, shared: SharedState, local: LocalState, cohort: Cohort) -> NDArray[np.float64]:
        """Nothing."""
        return np.zeros(0)

    def parts(
        self, shared: SharedState, local: LocalState, cohort: Cohort, items: NDArray[np.integer]
    ) -> ScoreParts:
        """Popularity of late and nothing else."""
        return ScoreParts.without_history(np.asarray(shared["weights"], np.float64)[items])
