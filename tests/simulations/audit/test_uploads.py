"""Attacks on uploads succeed where nothing protects, and tell nothing where masks do."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.models.model import Model
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.report.audit import Attack
from privet.simulations.audit import items, uploads
from privet.simulations.audit.attributes import infer_attributes
from privet.simulations.audit.game import play
from privet.simulations.audit.items import recover_items, sample_targets
from privet.simulations.audit.pseudonyms import disclosure, find_uploads
from privet.simulations.audit.uploads import Readings, masked, read_uploads
from privet.simulations.data.synthetic import SyntheticConfig, synthesize
from privet.simulations.federation import Target, plan_for
from privet.simulations.preparation import Task, prepare


@pytest.fixture(scope="module")
def task() -> Task:
    world = synthesize(SyntheticConfig(users=600), seed=3)
    found = prepare(world.dataset, seed=0)
    # Two kinds of people: those with an item of the popular half more often, and the others.
    half = np.bincount(found.train.items, minlength=found.train.n_items).argsort()[-40:]
    rows = found.train.dense()[:, half].mean(axis=1)
    gender = tuple("F" if value > np.median(rows) else "M" for value in rows)
    return replace(found, attributes={"gender": gender, "age": ("?",) * len(found.train)})


def read(model: Model, task: Task, trust: Trust) -> tuple[Readings, tuple[Attack, ...]]:
    rng = np.random.default_rng(5)
    plan = plan_for(model, task, Target(epsilon=2.0, trust=trust))
    played = play(model, task, plan, task.train)
    rows = sample_targets(task.train, 60, rng)
    found = read_uploads(model, played.releases[0].round.plan, task.train, played.releases, rows)
    return found, recover_items(model, task, plan, played, found, rng=rng)


def by_observable(found: tuple[Attack, ...]) -> dict[str, Attack]:
    return {attack.observable: attack for attack in found}


@pytest.mark.parametrize("model", [Popularity(), Spectral()], ids=lambda model: str(model.name))
def test_raw_uploads_give_histories_away_and_masked_ones_nothing(model: Model, task: Task) -> None:
    _, attacks = read(model, task, Trust.SECURE_AGGREGATION)
    found = by_observable(attacks)
    raw = found["raw upload"]
    assert raw.outcome == "control works"
    assert all(figure.value.mean == 1.0 for figure in raw.figures)
    assert found["masked upload"].outcome == "within the claim"
    noised = found["upload with its noise share"].figures[0].value.mean
    assert noised > found["masked upload"].figures[0].value.mean + 0.05
    assert {"sum", "model"} < found.keys()


def test_without_masks_the_attack_on_masked_uploads_is_above_the_claim(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "masked", lambda vectors: vectors)
    readings, attacks = read(Popularity(), task, Trust.SECURE_AGGREGATION)
    assert by_observable(attacks)["masked upload"].outcome == "above the claim"
    rng = np.random.default_rng(7)
    found = by_observable(find_uploads(task, readings, rng=rng))
    assert found["masked upload"].outcome == "above the claim"


def test_a_reading_that_is_broken_fails_its_control(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_control", _shuffled(items._control))
    _, attacks = read(Popularity(), task, Trust.SECURE_AGGREGATION)
    assert by_observable(attacks)["raw upload"].outcome == "control fails"


Control = Callable[[NDArray[np.float32], NDArray[np.bool_]], Attack]


def _shuffled(control: Control) -> Control:
    return lambda scores, truth: control(np.roll(scores, 1, axis=0), truth)


def test_under_central_trust_the_server_sees_raw_uploads_and_there_is_nothing_else(
    task: Task,
) -> None:
    readings, _ = read(Popularity(), task, Trust.CENTRAL)
    assert list(readings.scores) == ["raw upload"]


def test_real_masks_cover_each_vector_and_differ_between_devices() -> None:
    vectors = np.zeros((5, 4000), np.uint32)
    found = masked(vectors)
    assert found.shape == vectors.shape and len({row.tobytes() for row in found}) == 5
    high = (found >= 2**31).mean(axis=1)
    assert (np.abs(high - 0.5) < 0.05).all()  # 6 standard errors


def test_attributes_and_persons_are_found_in_raw_uploads_only(task: Task) -> None:
    readings, _ = read(Popularity(), task, Trust.SECURE_AGGREGATION)
    attributes = by_observable(infer_attributes(task, readings))
    assert {attack.name for attack in infer_attributes(task, readings)} == {"gender"}
    persons = by_observable(find_uploads(task, readings, rng=np.random.default_rng(9)))
    for found in (attributes, persons):
        assert found["raw upload"].outcome == "control works"
        assert found["masked upload"].outcome == "within the claim"


def test_more_known_items_single_out_more_users(task: Task) -> None:
    shares = [found.mean for found in disclosure(task, rng=np.random.default_rng(0)).values()]
    assert len(shares) == 3 and shares == sorted(shares) and shares[2] > 0.5


def test_targets_have_a_history() -> None:
    world = synthesize(SyntheticConfig(users=100), seed=1)
    cohort = prepare(world.dataset, seed=0).train
    rows = sample_targets(cohort, 1000, np.random.default_rng(0))
    assert (cohort.sizes[rows] > 0).all() and len(rows) <= 100
