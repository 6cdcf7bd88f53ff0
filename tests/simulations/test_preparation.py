"""What devices train on, what is held out, and that nothing marks the held-out item."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.simulations.world import small_dataset

from privet.models.cohort import Cohort
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Split
from privet.simulations.data.splits import leave_one_out
from privet.simulations.evaluation.metrics import SAMPLED_K, Evaluation, evaluate
from privet.simulations.evaluation.references import CentralisedPopularity, LocalOnly, Reference
from privet.simulations.federation import Target, plan_for
from privet.simulations.preparation import SplitKind, Task, prepare


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return small_dataset(users=400, items=200)


@pytest.fixture(scope="module")
def task(dataset: Dataset) -> Task:
    return prepare(dataset, seed=0, split=SplitKind.LEAVE_ONE_OUT)


def pairs(cohort: Cohort) -> set[tuple[int, int]]:
    return set(zip(cohort.rows.tolist(), cohort.items.tolist(), strict=True))


def measure(reference: Reference, task: Task) -> Evaluation:
    scorer = reference.fit(task.train, task.catalogue)
    return evaluate(scorer.score, task.train, task.test, negatives=task.negatives)


def test_a_drawn_positive_never_stays_among_its_negatives(dataset: Dataset) -> None:
    drawn = leave_one_out(dataset.cohort, rng=np.random.default_rng(0), n_negatives=150)
    assert drawn.negatives is not None
    rows = np.arange(len(dataset.cohort))[:, None]
    own = np.isin(rows * 1000 + drawn.negatives, drawn.test.rows * 1000 + drawn.test.items)
    assert own.any(), "the draw may not know what is held out"
    task = prepare(replace(dataset, split=drawn), seed=0)
    assert task.negatives is not None
    kept = {(r, i) for r, row in enumerate(task.negatives.tolist()) for i in row if i >= 0}
    assert not kept & pairs(task.test)
    assert not kept & pairs(task.train)


def test_local_only_scores_like_content_and_never_perfectly(task: Task) -> None:
    """Where training negatives leak the held-out item, a local model reaches 1.0."""
    alone = measure(LocalOnly(), task).metrics["sampled_hr@10"].mean
    popular = measure(CentralisedPopularity(), task).metrics["sampled_hr@10"].mean
    chance = SAMPLED_K / 100
    assert chance < alone < 0.7
    assert 0.5 * popular < alone < 1.8 * popular


def test_a_model_that_reads_the_gaps_between_negatives_gains_nothing(dataset: Dataset) -> None:
    """The attack: score what is neither in the history nor among the negatives highest."""
    drawn = leave_one_out(dataset.cohort, rng=np.random.default_rng(1), n_negatives=99)
    negatives = drawn.negatives
    assert negatives is not None

    def gaps(history: Cohort) -> NDArray[np.float64]:
        scores = np.ones((len(history), history.n_items))
        for row, device in enumerate(history.devices):
            pool = negatives[device]
            scores[row, pool[pool >= 0]] = 0.0
        return scores

    task = prepare(replace(dataset, split=drawn), seed=0)
    found = evaluate(gaps, task.train, task.test, negatives=task.negatives)
    unseen = 200 - float(task.train.sizes.mean())
    # The draw misses the held-out item with probability 1 - 99 / unseen, and then says so.
    assert found.metrics["sampled_hr@10"].mean == pytest.approx(1 - 99 / unseen, abs=0.08)
    assert found.metrics["sampled_hr@10"].mean < 0.6


def test_tiny_catalogues_have_no_sampled_metrics() -> None:
    tiny = prepare(small_dataset(users=50, items=12), seed=0, split=SplitKind.LEAVE_ONE_OUT)
    assert tiny.negatives is None
    assert "hr@10" in measure(CentralisedPopularity(), tiny).metrics


def test_a_split_trains_on_train_and_valid_together(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    shipped = prepare(dataset, seed=0)
    part = rng.integers(3, size=len(dataset.cohort.items))
    cohorts = [_part(dataset.cohort, part == k) for k in range(3)]
    split = Split(name="mine", train=cohorts[0], valid=cohorts[1], test=cohorts[2])
    shipping = replace(dataset, split=split)
    task = prepare(shipping, seed=0)
    assert pairs(task.train) == pairs(cohorts[0]) | pairs(cohorts[1])
    assert pairs(task.test) == pairs(cohorts[2])
    tuning = prepare(shipping, seed=0, validate=True)
    assert pairs(tuning.train) == pairs(cohorts[0])
    assert pairs(tuning.test) == pairs(cohorts[1])
    assert len({shipped.fingerprint, task.fingerprint, tuning.fingerprint}) == 3


def test_the_same_seed_makes_the_same_task_and_another_does_not(dataset: Dataset) -> None:
    prints = [prepare(dataset, seed=seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_a_negative_seed_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="seed=-1"):
        prepare(dataset, seed=-1)


def _part(cohort: Cohort, kept: NDArray[np.bool_]) -> Cohort:
    return Cohort.from_pairs(
        cohort.rows[kept], cohort.items[kept], n_users=len(cohort), n_items=cohort.n_items
    )


def test_when_anything_happened_is_public_only_where_a_model_needs_it(task: Task) -> None:
    """A plan is published: one user's first or last day must not show in it by accident."""
    later = replace(task.train, times=task.train.times + 400 * 24 * 3600)
    target = Target(epsilon=4.0, trust=Trust.CENTRAL)
    for model, public in ((Popularity(), False), (Spectral(), False), (Trending(), True)):
        plans = [plan_for(model, t, target) for t in (task, replace(task, train=later))]
        assert (plans[0].hash != plans[1].hash) is public
