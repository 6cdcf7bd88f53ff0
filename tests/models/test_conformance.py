"""Every model that ships passes the conformance suite, and the suite catches models that lie."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.models.hybrid import Hybrid
from privet.models.model import LocalState, SharedState
from privet.models.plan import PublicFacts, Step
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.models.testing import ModelConformance, checkerboard, hidden_items, train
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.errors import PrivacyError
from privet.privacy.randomness import Randomness


class TestPopularity(ModelConformance):
    model = Popularity()
    personal = False


class TestSpectral(ModelConformance):
    model = Spectral()


class TestHybrid(ModelConformance):
    model = Hybrid()


class TestTrending(ModelConformance):
    model = Trending(rounds=4, separation=2, bands=2)
    personal = False
    examples = 20


def test_the_checkerboard_hides_one_liked_item_of_each_user() -> None:
    full, board = checkerboard(hide=False).dense(), checkerboard().dense()
    assert (full.sum(axis=1) == 10).all() and (board.sum(axis=1) == 9).all()
    users = np.arange(60)
    assert (full - board)[users, hidden_items(60, 20)].all()


@dataclass(frozen=True, kw_only=True)
class Lying(Popularity):
    """Popularity with its contribution tampered with."""

    name: ClassVar[str] = "lying"
    tamper: str

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        honest, local = Popularity.contribute(self, step, shared, local, cohort, rng)
        return TAMPERS[self.tamper](honest), local


def suite(tamper: str) -> ModelConformance:
    conformance = ModelConformance()
    conformance.__dict__["model"] = Lying(tamper=tamper)
    return conformance


def longer(honest: Contribution) -> Contribution:
    return replace(honest, values=honest.values * 1.01)


def shared_out(honest: Contribution) -> Contribution:
    return replace(honest, values=honest.values / max(len(honest), 1))


def negative(honest: Contribution) -> Contribution:
    return replace(honest, values=-honest.values)


def loud(honest: Contribution) -> Contribution:
    n = len(honest)
    return replace(
        honest,
        indptr=np.arange(n + 1, dtype=np.int64),
        indices=np.zeros(n, np.int64),
        values=np.ones(n),
    )


TAMPERS = {"longer": longer, "shared out": shared_out, "negative": negative, "loud": loud}


def test_a_vector_longer_than_declared_is_caught() -> None:
    with pytest.raises(AssertionError, match="sensitivity"):
        suite("longer").test_measured_sensitivity_is_never_above_the_declared()
    with pytest.raises(AssertionError, match="longer than declared"):
        suite("longer").test_contributions_are_nonnegative_where_declared_and_never_clipped()


def test_a_row_that_depends_on_the_cohort_is_caught() -> None:
    with pytest.raises(AssertionError, match="depends on the cohort"):
        suite("shared out").test_a_cohort_of_one_equals_the_row_of_a_cohort_of_many()


def test_an_undeclared_negative_entry_is_caught() -> None:
    with pytest.raises(AssertionError, match="negative"):
        suite("negative").test_contributions_are_nonnegative_where_declared_and_never_clipped()


def test_an_empty_history_that_says_something_is_caught() -> None:
    with pytest.raises(AssertionError, match="not zero"):
        suite("loud").test_an_empty_history_contributes_the_zero_vector_and_gets_finite_scores()


@dataclass(frozen=True, kw_only=True)
class Twice(Popularity):
    """Two steps of one name."""

    def steps(self, facts: PublicFacts) -> tuple[Step, ...]:
        step = Step(name="popularity", dimension=facts.items, nonnegative=True, budget_share=0.5)
        return (step, step)


def test_two_steps_of_one_name_are_refused_by_suite_and_planner() -> None:
    # They would share one noise stream, and the second would pass as the first one's repeat.
    conformance = ModelConformance()
    conformance.__dict__["model"] = Twice()
    with pytest.raises(AssertionError, match="one name"):
        conformance.test_budget_shares_sum_to_one_and_steps_have_names_of_their_own()
    facts = PublicFacts(devices=60, items=20, epsilon=1.0, delta=1e-5, trust=Trust.CENTRAL)
    with pytest.raises(PrivacyError, match="distinct"):
        train(Twice(), checkerboard(), facts)


@dataclass(frozen=True, kw_only=True)
class Solving(Popularity):
    """Popularity with a local state: the history's mean popularity, as training finds it."""

    name: ClassVar[str] = "solving"
    off: float = 0.0

    def steps(self, facts: PublicFacts) -> tuple[Step, ...]:
        names = ("popularity", "popularity again")
        return tuple(
            Step(name=name, dimension=facts.items, nonnegative=True, budget_share=0.5)
            for name in names
        )

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        honest, _ = Popularity.contribute(self, step, shared, local, cohort, rng)
        return honest, {"mean": self.mean(shared, cohort)} if shared else {}

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        return {"mean": self.mean(shared, cohort) + self.off}

    def mean(self, shared: SharedState, cohort: Cohort) -> NDArray[np.float64]:
        liked = cohort.dense() @ np.asarray(shared["popularity"], np.float64)
        return np.asarray(liked / np.maximum(cohort.sizes, 1))


def test_a_local_state_that_training_does_not_leave_is_caught() -> None:
    conformance = ModelConformance()
    conformance.__dict__["model"] = Solving()
    conformance.test_personalising_gives_the_local_state_that_training_leaves()
    for off in (1e-4, -1.0):
        conformance.__dict__["model"] = Solving(off=off)
        with pytest.raises(AssertionError, match="training left another local state"):
            conformance.test_personalising_gives_the_local_state_that_training_leaves()
