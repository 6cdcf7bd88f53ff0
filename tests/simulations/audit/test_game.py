"""A play is the run's own mechanism, and leaves nothing behind."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.simulations.world import small_dataset

from privet.models.combination import Combination
from privet.models.known import model_named
from privet.models.model import Model, SharedState
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.encoding import wrap
from privet.privacy.errors import InputError
from privet.simulations.audit.game import coins, emptied, play, replaced
from privet.simulations.federation import Target, federate, plan_for
from privet.simulations.preparation import Task, prepare

TASK = prepare(small_dataset(), seed=0)
CASES = [
    ("popularity", Trust.CENTRAL),
    ("popularity", Trust.SECURE_AGGREGATION),
    ("popularity", Trust.LOCAL),
    ("spectral", Trust.CENTRAL),
    ("spectral", Trust.SECURE_AGGREGATION),
    ("trending", Trust.CENTRAL),
]


def planned(name: str, trust: Trust, **target: Any) -> tuple[Model, Plan]:
    model = model_named(name)
    return model, plan_for(model, TASK, Target(epsilon=50.0, trust=trust, **target))


@pytest.mark.parametrize(("name", "trust"), CASES)
def test_a_seeded_play_is_the_run_with_the_same_seed(
    name: str, trust: Trust, tmp_path: Path
) -> None:
    model = model_named(name)
    plan = plan_for(model, TASK, Target(epsilon=50.0, trust=trust), seeded_noise=True)
    run = federate(model, TASK, plan, tmp_path / "run", seed=3)
    played = play(model, TASK, plan, TASK.train, seed=3)
    assert played.shared.keys() == run.shared.keys()
    assert all(np.array_equal(played.shared[key], run.shared[key]) for key in run.shared)


@pytest.mark.parametrize(("name", "trust"), CASES)
def test_every_release_is_seen_as_the_model_gets_it(name: str, trust: Trust) -> None:
    model, plan = planned(name, trust)
    played = play(model, TASK, plan, TASK.train)
    shared: SharedState = {}
    assert [seen.round.step for seen in played.releases] == list(plan.steps)
    for seen in played.releases:
        assert seen.round.shared.keys() == shared.keys()
        assert np.allclose(
            sum(seen.sums) / seen.round.step.encoding.scale, seen.release.total, rtol=1e-12
        )
        shared = model.update(seen.round.step.step, seen.round.shared, seen.release, plan.facts)
    assert all(np.array_equal(shared[key], played.shared[key]) for key in played.shared)


def test_two_plays_have_different_noise_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model, plan = planned("trending", Trust.CENTRAL)
    first, second = (play(model, TASK, plan, TASK.train) for _ in range(2))
    assert not np.array_equal(first.releases[0].release.total, second.releases[0].release.total)
    assert list(tmp_path.iterdir()) == []


def test_groups_are_seen_one_by_one() -> None:
    model, plan = planned(
        "popularity", Trust.SECURE_AGGREGATION, groups=3, combination=Combination.MEDIAN
    )
    (seen,) = play(model, TASK, plan, TASK.train).releases
    assert len(seen.sums) == 3
    assert not np.allclose(sum(seen.sums), seen.release.total * seen.round.step.encoding.scale)


@pytest.mark.parametrize("trust", [Trust.LOCAL, Trust.SECURE_AGGREGATION])
def test_uploads_of_watched_devices_are_what_is_summed(trust: Trust) -> None:
    """All watched: the sum is theirs, and nobody draws their noise again."""
    model, plan = planned("popularity", trust)
    everyone = [int(device) for device in TASK.train.devices]
    played = play(model, TASK, plan, TASK.train, watched=everyone)
    uploads = [played.uploads["popularity", device] for device in everyone]
    total = wrap(np.sum(uploads, axis=0, dtype=np.int64))
    assert np.array_equal(total.astype(np.int32), played.releases[0].sums[0])
    step = plan.steps[0]
    empty = play(model, TASK, plan, emptied(TASK.train, np.arange(300)), watched=everyone[:7])
    noise = np.array(list(empty.uploads.values())).astype(np.int32)
    assert noise.shape == (7, step.encoding.dimension)
    assert noise.std() == pytest.approx(step.terms.share_variance**0.5, rel=0.15)
    sums = empty.releases[0].sums[0]
    assert sums.std() == pytest.approx((300 * step.terms.share_variance) ** 0.5, rel=0.5)


def test_histories_are_replaced_where_they_should_be_and_nowhere_else() -> None:
    cohort, rows = TASK.train, np.array([5, 2, 299])
    donors = cohort.take(np.array([7, 8, 9]))
    found = replaced(cohort, rows, donors)
    assert np.array_equal(found.devices, cohort.devices)
    expected = [*range(300)]
    expected[5], expected[2], expected[299] = 7, 8, 9
    for row, source in enumerate(expected):
        mine, theirs = found.slice(row, row + 1), cohort.slice(source, source + 1)
        assert np.array_equal(mine.items, theirs.items)
        assert np.array_equal(mine.times, theirs.times)
    without = emptied(cohort, rows)
    assert np.array_equal(np.flatnonzero(without.sizes == 0), np.sort(rows))


def test_histories_of_other_devices_are_refused() -> None:
    model, plan = planned("popularity", Trust.CENTRAL)
    with pytest.raises(InputError, match="own devices"):
        play(model, TASK, plan, TASK.train.slice(0, 299))
    with pytest.raises(InputError, match="history for each of 2"):
        replaced(TASK.train, np.array([1, 1]), TASK.train.slice(0, 2))


def test_coins_are_fair() -> None:
    heads = int(coins(10_000, np.random.default_rng(0)).sum())
    assert abs(heads - 5_000) < 300


def test_the_task_is_not_changed_by_a_play() -> None:
    before = Task.fingerprint.fget(TASK)  # type: ignore[attr-defined]
    model, plan = planned("spectral", Trust.CENTRAL)
    play(model, TASK, plan, emptied(TASK.train, np.arange(10)))
    assert TASK.fingerprint == before
