import functools
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.privacy.errors import InputError
from privet.simulations.data.sampling import draw_histories
from privet.simulations.data.splits import random_split
from privet.simulations.data.synthetic import SyntheticConfig, SyntheticWorld, synthesize

Floats = NDArray[np.float64]


@functools.cache
def _world(**changes: Any) -> SyntheticWorld:
    return synthesize(SyntheticConfig(**changes), seed=3)


def _digest(world: SyntheticWorld) -> tuple[Any, ...]:
    cohort = world.dataset.cohort
    arrays = (cohort.indptr, cohort.items, cohort.times, world.tastes, world.popularity)
    return (world.dataset.catalogue, *(array.tobytes() for array in arrays))


def test_the_seed_decides_everything() -> None:
    config = SyntheticConfig(users=40, items=60)
    assert _digest(synthesize(config, seed=1)) == _digest(synthesize(config, seed=1))
    assert _digest(synthesize(config, seed=1)) != _digest(synthesize(config, seed=2))


def test_longer_histories_change_nobodys_taste() -> None:
    short = synthesize(SyntheticConfig(users=40, items=60), seed=1)
    long = synthesize(SyntheticConfig(users=40, items=60, history_mean=25), seed=1)
    assert np.array_equal(short.tastes, long.tastes)
    assert short.dataset.catalogue == long.dataset.catalogue


def test_the_data_set_is_whole_and_its_catalogue_public() -> None:
    world = _world()
    dataset, config = world.dataset, world.config
    assert (len(dataset.user_ids), len(dataset.catalogue)) == (600, 400)
    assert dataset.catalogue.declared_public
    assert dataset.rows_read == len(dataset.cohort.items), "each user chooses an item once"
    assert len(set(dataset.catalogue.titles)) == 400
    names = sorted({item[0] for item in dataset.catalogue.categories})
    assert len(names) == config.categories
    assert all(
        item == (names[k],)
        for item, k in zip(dataset.catalogue.categories, world.category_of.tolist(), strict=True)
    )


def test_history_lengths_are_log_normal_within_their_bounds() -> None:
    world = _world(users=3000)
    sizes = world.dataset.cohort.sizes
    assert sizes.min() >= world.config.history_min
    assert sizes.max() <= world.config.longest
    assert sizes.mean() == pytest.approx(world.config.history_mean, rel=0.05)
    assert np.log(sizes).std() == pytest.approx(world.config.history_sigma, rel=0.08)


def test_popularity_follows_zipf() -> None:
    world = _world(users=3000)
    ranks = np.arange(1, 401)
    slope = np.polyfit(np.log(ranks), np.log(np.sort(world.popularity)[::-1]), 1)[0]
    assert slope == pytest.approx(-world.config.zipf_exponent)
    counts = np.bincount(world.dataset.cohort.items, minlength=400)
    order = np.argsort(world.popularity)
    assert np.corrcoef(np.log(world.popularity), np.log(counts + 1))[0, 1] > 0.8
    assert counts[order[-40:]].sum() > 4 * counts[order[:200]].sum() / 5


def test_times_keep_to_the_period_and_to_the_evening() -> None:
    world = _world(users=3000)
    since = world.dataset.cohort.times - world.config.start
    assert since.min() >= 0
    assert since.max() < world.config.days * 86_400
    by_hour = np.bincount(since % 86_400 // 3600, minlength=24)
    assert by_hour.argmax() in (19, 20)
    assert by_hour[19:21].sum() > 10 * by_hour[7:9].sum()
    assert np.ptp(since) > 0.9 * world.config.days * 86_400


def test_the_truth_is_a_distribution_made_of_known_tastes() -> None:
    world = _world()
    truth = world.choice_probabilities([5, 9])
    assert truth.shape == (2, 400)
    assert truth.sum(axis=1) == pytest.approx([1, 1])
    by_hand = (
        world.tastes[9, world.category_of]
        * world.style_tastes[9, world.style_of]
        * world.popularity
    )
    assert truth[1] == pytest.approx(by_hand / by_hand.sum())


def test_choices_correlate_with_the_truth() -> None:
    world = _world()
    cohort = world.dataset.cohort
    truth = world.choice_probabilities(np.arange(600))
    chosen = cohort.dense()
    # Against somebody else's truth it must fail, else popularity alone would pass.
    own = np.mean([np.corrcoef(truth[u], chosen[u])[0, 1] for u in range(600)])
    others = np.mean([np.corrcoef(truth[u - 1], chosen[u])[0, 1] for u in range(600)])
    assert own > 0.4
    assert others < own / 2


def test_draws_have_the_probabilities_of_successive_sampling() -> None:
    # Two of three items: the chance of a pair is p q (1 / (1 - p) + 1 / (1 - q)).
    n = 20_000
    tastes = np.tile([1.0, 3.0], (n, 1))
    rows, items = draw_histories(
        lengths=np.full(n, 2),
        cell_tastes=tastes,
        cell_of=np.array([1, 0, 1]),
        popularity=np.array([0.2, 0.5, 0.3]),
        rng=np.random.default_rng(0),
    )
    assert np.array_equal(rows, np.repeat(np.arange(n), 2))
    p = np.array([0.6, 0.5, 0.9]) / 2.0
    pairs = items.reshape(n, 2)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        expected = p[a] * p[b] * (1 / (1 - p[a]) + 1 / (1 - p[b]))
        found = np.mean((pairs == (a, b)).all(axis=1))
        assert abs(found - expected) < 5 * np.sqrt(expected * (1 - expected) / n)


def test_histories_may_be_the_whole_catalogue() -> None:
    world = _world(users=5, items=30, history_min=30, history_max=30)
    assert world.dataset.cohort.sizes.tolist() == [30] * 5


def test_collaboration_beats_content_and_popularity() -> None:
    world = _world()
    split = random_split(world.dataset.cohort, rng=np.random.default_rng(0), valid_fraction=0)
    train, test = split.train.dense(), split.test.dense()
    popularity = np.tile(train.sum(axis=0), (600, 1))
    categories = np.eye(world.config.categories)[world.category_of]
    counted = train @ categories + 0.5
    content = (counted / counted.sum(axis=1, keepdims=True)) @ categories.T * popularity
    truth = world.choice_probabilities(np.arange(600))
    scores = {
        name: _recall(score, train, test)
        for name, score in {
            "popularity": popularity,
            "content": content,
            "collaboration": train @ _ease(train, reg=100.0),
            "truth": truth,
        }.items()
    }
    assert scores["content"] > 1.3 * scores["popularity"]
    assert scores["collaboration"] > 1.15 * scores["content"]
    assert scores["truth"] > 1.2 * scores["collaboration"]


def _ease(train: Floats, *, reg: float) -> Floats:
    inverse = np.linalg.inv(train.T @ train + reg * np.eye(train.shape[1]))
    weights: Floats = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def _recall(scores: Floats, train: Floats, test: Floats, k: int = 20) -> float:
    ranked = np.argsort(np.where(train > 0, np.inf, -scores), axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(test, ranked, axis=1).sum(axis=1)
    wanted = test.sum(axis=1)
    some = wanted > 0
    return float(np.mean(hits[some] / np.minimum(wanted[some], k)))


def test_a_large_world_takes_seconds() -> None:
    begin = time.process_time()
    world = synthesize(SyntheticConfig(users=30_000, items=40_000), seed=1)
    assert time.process_time() - begin < 20
    assert len(world.dataset.cohort.items) > 500_000


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"users": 1}, "users=1"),
        ({"items": 1}, "items=1"),
        ({"concentration": 0.0}, r"concentration=0\.0"),
        ({"history_sigma": -1.0}, r"history_sigma=-1\.0"),
        ({"zipf_exponent": float("nan")}, "zipf_exponent=nan"),
        ({"history_min": 300, "history_max": 200}, "history_min=300"),
        ({"history_max": 401}, "history_max=401"),
    ],
)
def test_impossible_worlds_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        SyntheticConfig(**changes)
    with pytest.raises(InputError, match="seed=-1"):
        synthesize(SyntheticConfig(), seed=-1)
