"""The conformance suite that every model passes, yours included.

Inherit from :class:`ModelConformance` in a test module, name the model, and pytest runs the rest::

    class TestMyModel(ModelConformance):
        model = MyModel()

Needs hypothesis, which is imported only when a generated test runs. The suite calls the model as
fleets do, but in one process, without transport, and without any claim of privacy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import LocalState, Model, Release, SharedState, state_hash
from privet.models.plan import PublicFacts, StepPlan
from privet.models.planning import make_plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.clipping import clip
from privet.privacy.contribution import Contribution, NeighbouringRelation, sensitivity
from privet.privacy.encoding import encode
from privet.privacy.randomness import Randomness
from privet.privacy.samplers import sample_rounded_gaussian

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_CATALOGUE = "0" * 64
_GRID = 1 << 20
_ROUNDING = 1 + 1e-9
_EPSILONS = (0.5, 8.0, float("inf"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """One step of a training, as a device meets it."""

    step: StepPlan
    shared: SharedState
    local: LocalState


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A finished training: every step's moment, the final states and the plan's hash."""

    moments: tuple[Moment, ...]
    shared: SharedState
    local: LocalState
    plan_hash: str


def checkerboard(users: int = 60, items: int = 20, *, hide: bool = True) -> Cohort:
    """Users of an even row like even items, the others odd ones; each may have one item hidden.

    Args:
        users: Number of users.
        items: Number of items.
        hide: Leave out one liked item a user, in turn: what a model should recommend.
    """
    row, item = np.meshgrid(np.arange(users), np.arange(items), indexing="ij")
    liked = (row + item) % 2 == 0
    if hide:
        liked &= item != hidden_items(users, items)[:, None]
    found_rows, found_items = np.nonzero(liked)
    return Cohort.from_pairs(found_rows, found_items, n_users=users, n_items=items)


def hidden_items(users: int, items: int) -> NDArray[np.int64]:
    """The liked item that :func:`checkerboard` hides from each user, shape ``(users,)``."""
    user = np.arange(users)
    return np.asarray((2 * (user // 2) + user % 2) % (items - items % 2), np.int64)


def facts_for(cohort: Cohort, *, epsilon: float, trust: Trust) -> PublicFacts:
    """Public facts of a federation of this cohort."""
    return PublicFacts(
        devices=len(cohort), items=cohort.n_items, epsilon=epsilon, delta=1e-5, trust=trust
    )


def train(model: Model, cohort: Cohort, facts: PublicFacts, *, seed: int = 0) -> Trained:
    """Run a model's plan over a cohort, with seeded noise: NOT PRIVATE."""
    plan = make_plan(model, facts, catalogue_hash=_CATALOGUE, seeded_noise=True)
    rng = Randomness.insecure_seeded(seed)
    shared = model.begin(items_in_three_categories(cohort.n_items))
    local: LocalState = {}
    moments = []
    for step in plan.steps:
        moments.append(Moment(step=step, shared=shared, local=local))
        contribution, local = model.contribute(step.step, shared, local, cohort, rng)
        clipped = clip(contribution).contribution
        noise_std = step.noise_std(len(cohort))
        release = Release(
            step=step.step,
            total=_sum(clipped) + _noise(noise_std, clipped.dimension, rng, step.name),
            noise_std=noise_std,
            devices=len(cohort),
        )
        shared = model.update(step.step, shared, release, facts)
    return Trained(moments=tuple(moments), shared=shared, local=local, plan_hash=plan.hash)


def items_in_three_categories(n_items: int) -> Catalogue:
    """A catalogue for models that use one: categories that say nothing of what people like."""
    return Catalogue(
        item_ids=tuple(map(str, range(n_items))),
        categories=tuple((f"category {item % 3}",) for item in range(n_items)),
        years=tuple(1980 + item for item in range(n_items)),
    )


def _sum(contribution: Contribution) -> NDArray[np.float64]:
    size = contribution.dimension
    total = np.bincount(contribution.indices, weights=contribution.values, minlength=size)
    return np.asarray(total, np.float64)


def _noise(std: float, dimension: int, rng: Randomness, step: str) -> NDArray[np.float64]:
    if std == 0:
        return np.zeros(dimension)
    unit = sample_rounded_gaussian(_GRID, dimension, rng.stream("conformance", step))
    return unit.astype(np.float64) * np.float64(std / _GRID)


def histories(n_items: int) -> "SearchStrategy[dict[int, float]]":
    """Hypothesis strategy: one user's history as item to weight, empty ones among them."""
    from hypothesis import strategies as st

    weights = st.floats(1e-3, 1e3) | st.just(1.0)
    return st.dictionaries(st.integers(0, n_items - 1), weights, max_size=n_items)


def stack(rows: list[dict[int, float]], n_items: int, *, first_device: int = 0) -> Cohort:
    """A cohort of histories, as :func:`histories` generates them."""
    cohort = Cohort.from_pairs(
        np.array([row for row, history in enumerate(rows) for _ in history], np.int64),
        np.array([item for history in rows for item in history], np.int64),
        n_users=len(rows),
        n_items=n_items,
        weights=np.array([weight for history in rows for weight in history.values()]),
    )
    return replace(cohort, devices=cohort.devices + first_device)


class ModelConformance:
    """The tests. Inherit and set the class attributes.

    Attributes:
        model: Under test.
        personal: False if everyone gets the same list; then known answers are popular items.
        examples: Generated neighbours a test.
    """

    model: ClassVar[Model]
    personal: ClassVar[bool] = True
    examples: ClassVar[int] = 60

    def trainings(self, cohort: Cohort) -> Iterator[Trained]:
        """One training for each trust that the model supports and three targets."""
        for trust in sorted(self.model.trusts):
            for epsilon in _EPSILONS:
                yield train(self.model, cohort, facts_for(cohort, epsilon=epsilon, trust=trust))

    def without_noise(self, cohort: Cohort) -> Trained:
        """A training at epsilon infinity."""
        facts = facts_for(cohort, epsilon=float("inf"), trust=min(self.model.trusts))
        return train(self.model, cohort, facts)

    def scores(
        self, shared: SharedState, cohort: Cohort, local: LocalState | None = None
    ) -> NDArray[np.float64]:
        """What the devices rank by."""
        personal = self.model.personalise(shared, local or {}, cohort)
        found = self.model.score(shared, personal, cohort)
        expected = (len(cohort), cohort.n_items)
        _expect(found.shape == expected, f"scores have shape {found.shape}, not {expected}")
        return found

    def test_without_noise_the_known_answer_is_found(self) -> None:
        """Everyone's hidden item ranks above all items of the other colour."""
        if not self.personal:
            self._check_popular_items_come_first()
            return
        cohort = checkerboard()
        found = self.scores(self.without_noise(cohort).shared, cohort)
        user, item = np.meshgrid(np.arange(len(cohort)), np.arange(cohort.n_items), indexing="ij")
        wrong = np.where((user + item) % 2 == 1, found, -np.inf).max(axis=1)
        hidden = found[np.arange(len(cohort)), hidden_items(len(cohort), cohort.n_items)]
        missed = int((hidden <= wrong).sum())
        _expect(missed == 0, f"{missed} users are recommended the wrong colour first")

    def _check_popular_items_come_first(self) -> None:
        rows = [dict.fromkeys(range(user % 10 + 1), 1.0) for user in range(40)]
        cohort = stack(rows, 12)
        found = self.scores(self.without_noise(cohort).shared, cohort)
        _expect(bool((np.diff(found[:, :10]) < 0).all()), "a rarer item is above a popular one")

    def test_an_empty_history_contributes_the_zero_vector_and_gets_finite_scores(self) -> None:
        """Zero-out rests on it: one user's data gone is one vector less."""
        rows: list[dict[int, float]] = [{}, {0: 1.0, 2: 1.0}, {}, {1: 1.0}]
        cohort = stack(rows, 20, first_device=60)
        for trained in self.trainings(checkerboard()):
            for moment in trained.moments:
                dense = self._contribution(moment, cohort).dense()
                _expect(not dense[[0, 2]].any(), f"{moment.step.name}: an empty row is not zero")
            found = self.scores(trained.shared, cohort)
            _expect(bool(np.isfinite(found).all()), "a score is not finite")

    def test_items_and_users_never_seen_in_training_get_finite_scores(self) -> None:
        """The last items have no interaction; the users who ask were not there."""
        rows = [dict.fromkeys(range(user % 2, 16, 2), 1.0) for user in range(60)]
        newcomers = stack([{19: 1.0}, {0: 1.0, 19: 2.0}, {3: 1.0}], 20, first_device=900)
        for trained in self.trainings(stack(rows, 20)):
            found = self.scores(trained.shared, newcomers)
            _expect(bool(np.isfinite(found).all()), "a score is not finite")

    def test_personalising_gives_the_local_state_that_training_leaves(self) -> None:
        """Whoever was not there, or lost it, makes it anew: within 1e-5, from the same inputs."""
        cohort = checkerboard()
        for trained in self.trainings(cohort):
            for moment in trained.moments[1:]:
                step, rng = moment.step.step, Randomness.insecure_seeded(5)
                _, left = self.model.contribute(step, moment.shared, moment.local, cohort, rng)
                found = self.model.personalise(moment.shared, moment.local, cohort)
                _check_same(found, left, f"{step.name}: training left another local state")
            anew = self.model.personalise(trained.shared, {}, cohort)
            kept = self.model.personalise(trained.shared, trained.local, cohort)
            _check_same(anew, kept, "a device that was trained makes another local state")

    def test_a_cohort_of_one_equals_the_row_of_a_cohort_of_many(self) -> None:
        """Contribution, rounding and scores do not depend on who else is there."""
        cohort = checkerboard()
        for trained in self.trainings(cohort):
            for moment in trained.moments:
                self._check_rows(moment, cohort)
            together = self.scores(trained.shared, cohort)
            alone = [self.scores(trained.shared, cohort.slice(i, i + 1))[0] for i in range(8)]
            np.testing.assert_allclose(np.array(alone), together[:8], rtol=1e-7, atol=1e-9)

    def _check_rows(self, moment: Moment, cohort: Cohort) -> None:
        rng = Randomness.insecure_seeded(3)
        integers, dense = self._encoded(moment, cohort, rng)
        for row in range(8):
            one = cohort.slice(row, row + 1)
            local = {name: array[row : row + 1] for name, array in moment.local.items()}
            found, alone = self._encoded(replace(moment, local=local), one, rng)
            _expect(np.array_equal(alone[0], dense[row]), f"row {row} depends on the cohort")
            _expect(np.array_equal(found[0], integers[row]), f"row {row} is rounded otherwise")

    def _encoded(
        self, moment: Moment, cohort: Cohort, rng: Randomness
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        contribution = self._contribution(moment, cohort)
        streams = [rng.stream("rounding", moment.step.name, int(d)) for d in cohort.devices]
        clipped = clip(contribution).contribution
        integers = encode(clipped, moment.step.encoding, streams)
        return replace(clipped, values=integers.astype(np.float64)).dense(), contribution.dense()

    def _contribution(self, moment: Moment, cohort: Cohort) -> Contribution:
        rng = Randomness.insecure_seeded(5)
        local = moment.local if len(cohort) == _devices(moment.local, len(cohort)) else {}
        step = moment.step.step
        contribution, _ = self.model.contribute(step, moment.shared, local, cohort, rng)
        _expect(len(contribution) == len(cohort), f"{step.name}: not one vector a device")
        _expect(contribution.dimension == step.dimension, f"{step.name}: another dimension")
        _expect(contribution.nonnegative == step.nonnegative, f"{step.name}: another sign")
        _expect(
            contribution.l2_bound <= step.l2_clip_norm,
            f"{step.name}: bound {contribution.l2_bound} above the plan's {step.l2_clip_norm}",
        )
        return contribution

    def test_measured_sensitivity_is_never_above_the_declared(self) -> None:
        """One user's history emptied, or replaced, moves the sum by no more than was declared."""
        from hypothesis import given, settings
        from hypothesis import strategies as st

        # One noisy and one noiseless training; all steps of both meet the same neighbours.
        cohort = checkerboard()
        trust = min(self.model.trusts)
        noisy = train(self.model, cohort, facts_for(cohort, epsilon=8.0, trust=trust))
        moments = (*noisy.moments, *self.without_noise(cohort).moments)
        items = cohort.n_items
        others = st.lists(histories(items), min_size=1, max_size=4)

        @settings(max_examples=self.examples, deadline=None, database=None, derandomize=True)
        @given(rest=others, one=histories(items), other=histories(items))
        def check(
            rest: list[dict[int, float]], one: dict[int, float], other: dict[int, float]
        ) -> None:
            for moment in moments:
                self._check_neighbours(moment, rest, one, {}, NeighbouringRelation.ZERO_OUT)
                self._check_neighbours(moment, rest, one, other, NeighbouringRelation.REPLACE_ONE)

        check()

    def _check_neighbours(
        self,
        moment: Moment,
        rest: list[dict[int, float]],
        one: dict[int, float],
        other: dict[int, float],
        relation: NeighbouringRelation,
    ) -> None:
        items, step = 20, moment.step
        bare = replace(moment, local={})
        first = self._contribution(bare, stack([one, *rest], items))
        second = self._contribution(bare, stack([other, *rest], items))
        declared = sensitivity(first.l2_bound, relation, nonnegative=first.nonnegative)
        measured = float(np.linalg.norm(_sum(first) - _sum(second)))
        _expect(
            measured <= declared * _ROUNDING,
            f"{step.name}: measured {relation} sensitivity {measured:.6g} is above the declared "
            f"{declared:.6g}",
        )

    def test_contributions_are_nonnegative_where_declared_and_never_clipped(self) -> None:
        """What the model computes keeps its own promises, before clipping enforces them."""
        cohort = checkerboard()
        for trained in self.trainings(cohort):
            for moment in trained.moments:
                found = self._contribution(moment, cohort)
                if found.nonnegative:
                    _expect(bool((found.values >= 0).all()), f"{moment.step.name}: negative")
                _expect(bool(np.isfinite(found.values).all()), f"{moment.step.name}: not finite")
                norms = np.linalg.norm(found.dense(), axis=1)
                over = bool((norms > found.l2_bound * _ROUNDING).any())
                _expect(not over, f"{moment.step.name}: a vector is longer than declared")

    def test_training_is_deterministic_and_leaves_its_inputs_alone(self) -> None:
        """The same seed gives the same state; neither cohort nor shared state is changed."""
        cohort, untouched = checkerboard(), checkerboard()
        for first, second in zip(self.trainings(cohort), self.trainings(cohort), strict=True):
            _expect(state_hash(first.shared) == state_hash(second.shared), "two runs differ")
            for one, other in zip(first.moments, second.moments, strict=True):
                same = state_hash(one.shared) == state_hash(other.shared)
                _expect(same, f"{one.step.name}: two runs differ")
        for name in ("devices", "indptr", "items", "weights", "times"):
            same = np.array_equal(getattr(cohort, name), getattr(untouched, name))
            _expect(same, f"the cohort's {name} were changed")

    def test_shared_state_is_made_of_plain_arrays(self) -> None:
        """Numbers of a fixed type that every device may see; no objects, nothing non-finite."""
        for trained in self.trainings(checkerboard()):
            for name, array in trained.shared.items():
                _expect(array.dtype.kind in "fiu", f"{name} has type {array.dtype}")
                _expect(bool(np.isfinite(array).all()), f"{name} is not finite")

    def test_the_plans_hash_follows_from_model_and_facts_alone(self) -> None:
        """Same model and facts, same hash; another target, another hash."""
        cohort, trust = checkerboard(), min(self.model.trusts)
        facts = [facts_for(cohort, epsilon=e, trust=trust) for e in (1.0, 1.0, 2.0)]
        first, again, other = (
            make_plan(self.model, fact, catalogue_hash=_CATALOGUE).hash for fact in facts
        )
        _expect(first == again, "the same facts give two hashes")
        _expect(first != other, "another epsilon gives the same hash")

    def test_budget_shares_sum_to_one_and_steps_have_names_of_their_own(self) -> None:
        """Whatever the public facts are."""
        for trust in sorted(self.model.trusts):
            for devices in (2, 60, 6040, 1_000_000):
                for epsilon in (0.1, 1.0, 20.0):
                    self._check_steps(devices, epsilon, trust)

    def _check_steps(self, devices: int, epsilon: float, trust: Trust) -> None:
        facts = PublicFacts(
            devices=devices, items=50, epsilon=epsilon, delta=0.01 / devices, trust=trust
        )
        steps = self.model.steps(facts)
        shares = [step.budget_share for step in steps]
        _expect(abs(sum(shares) - 1) < 1e-9 and min(shares) > 0, f"budget shares are {shares}")
        _expect(len({step.name for step in steps}) == len(steps), "two steps have one name")
        _expect(all(step.dimension >= 1 for step in steps), "a step has no dimension")
        _expect(list(steps) == list(self.model.steps(facts)), "steps differ between calls")


def _devices(local: LocalState, default: int) -> int:
    return len(next(iter(local.values()))) if local else default


def _check_same(found: LocalState, expected: LocalState, message: str) -> None:
    same = found.keys() == expected.keys() and all(
        np.allclose(found[name], expected[name], rtol=0, atol=1e-5) for name in expected
    )
    _expect(same, message)


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
