"""Groups of users: who is in them, what they lose, and that small ones get no figure."""

from dataclasses import replace

import numpy as np
import pytest

from privet.privacy.report.sections import LEAST_USERS
from privet.simulations.data.synthetic import SyntheticConfig, synthesize
from privet.simulations.evaluation.groups import (
    METRICS,
    age_band,
    group_rows,
    groupings,
    popular_share,
    widest_gap,
)
from privet.simulations.preparation import Task, prepare


@pytest.fixture(scope="module")
def task() -> Task:
    found = prepare(synthesize(SyntheticConfig(users=400), seed=1).dataset, seed=0)
    gender = tuple("FM"[user % 2] if user > 2 else "" for user in range(len(found.train)))
    age = tuple(str(18 + user % 50) for user in range(len(found.train)))
    return replace(found, attributes={"gender": gender, "age": age})


def values(task: Task, seed: int) -> dict[str, np.ndarray]:
    users = int((task.test.sizes > 0).sum())
    rng = np.random.default_rng(seed)
    return {metric: rng.uniform(0.2, 1.0, users) for metric in METRICS}


def test_every_user_is_in_one_group_of_each_attribute(task: Task) -> None:
    found = groupings(task)
    assert set(found) == {"gender", "age", "activity", "taste"}
    assert (found["gender"] == "").sum() == 3
    for name in ("activity", "taste"):
        sizes = np.unique(found[name], return_counts=True)[1]
        assert len(sizes) == 3 and sizes.min() > len(task.train) / 5
    share = popular_share(task)
    niche, mainstream = (share[found["taste"] == kind] for kind in ("niche", "mainstream"))
    assert niche.max() <= mainstream.min()
    assert [age_band(age) for age in ("17", "25", "49", "50", "?")] == [
        "under 25", "25 to 34", "35 to 49", "50 and above", "",
    ]  # fmt: skip


def test_a_group_that_gets_half_as_much_loses_half(task: Task) -> None:
    without = values(task, 1)
    tested = np.flatnonzero(task.test.sizes > 0)
    female = groupings(task)["gender"][tested] == "F"
    private = {m: np.where(female, v / 2, v * 0.9) for m, v in without.items()}
    rows = group_rows(task, private, epsilon=2.0, without=without)
    losses = {(row.group, row.metric): row.loss for row in rows if row.attribute == "gender"}
    for metric in METRICS:
        half, tenth = losses["F", metric], losses["M", metric]
        assert half is not None and tenth is not None
        assert half.mean == pytest.approx(0.5) and half.low == pytest.approx(half.high)
        assert tenth.mean == pytest.approx(0.1)
    gap = widest_gap(task, private, without, "gender", METRICS[0])
    assert gap is not None and gap[:2] == ("F", "M") and gap[2].mean == pytest.approx(0.4)


def test_the_interval_of_a_loss_covers_the_truth_about_as_often_as_it_says(task: Task) -> None:
    rng, covered = np.random.default_rng(2), []
    users = int((task.test.sizes > 0).sum())
    for _ in range(60):
        without = {m: rng.uniform(0, 1, users) for m in METRICS}
        private = {m: np.clip(v * rng.binomial(1, 0.7, users), 0, 1) for m, v in without.items()}
        rows = group_rows(task, private, epsilon=1.0, without=without)
        covered += [row.loss.low <= 0.3 <= row.loss.high for row in rows if row.loss is not None]
    assert 0.9 < np.mean(covered) < 0.985


def test_without_privacy_nothing_is_lost_and_small_groups_get_no_figure(task: Task) -> None:
    found = group_rows(task, values(task, 3), epsilon=float("inf"))
    assert all(row.loss is None and row.users >= LEAST_USERS for row in found)
    few = replace(task, attributes={"gender": ("F",) * 5 + ("M",) * (len(task.train) - 5)})
    groups = {row.group for row in group_rows(few, values(task, 3), epsilon=1.0)}
    assert "F" not in groups and "M" in groups
    assert widest_gap(few, values(task, 3), values(task, 4), "gender", METRICS[0]) is None
