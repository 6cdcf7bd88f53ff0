from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.client.learning.published import Published
from privet.client.profile.taste import Belief, Taste
from privet.client.ranking.categories import Categories
from privet.models.catalogue import Catalogue
from privet.models.spectral import Spectral

SIZES = st.tuples(st.integers(1, 6), st.integers(0, 8), st.integers(0, 2**32 - 1))


def drawn(size: int, answers: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((answers, size)), rng.choice([-1.0, 1.0], answers)


def of(catalogue: Catalogue, shared: Any, item_ids: tuple[str, ...] | None = None) -> Taste:
    published = Published(model=Spectral(), shared=shared, item_ids=item_ids)
    return Taste.of(catalogue, Categories.of(catalogue), published)


def new(size: int) -> Belief:
    return Belief(mean=np.zeros(size), covariance=np.eye(size))


@settings(deadline=None, max_examples=50)
@given(SIZES)
def test_a_belief_is_the_gaussian_conditioned_on_the_answers(sizes: tuple[int, int, int]) -> None:
    asked, values = drawn(*sizes)
    found = new(sizes[0]).after(asked, values.tolist())
    gram = asked @ asked.T + np.eye(len(asked))
    assert found.mean == pytest.approx(asked.T @ np.linalg.solve(gram, values), abs=1e-9)
    left = np.eye(sizes[0]) - asked.T @ np.linalg.solve(gram, asked)
    assert found.covariance == pytest.approx(left, abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(SIZES)
def test_what_an_answer_is_worth_is_the_variance_that_it_removes(
    sizes: tuple[int, int, int],
) -> None:
    asked, values = drawn(sizes[0], sizes[1] + 1, sizes[2])
    belief = new(sizes[0]).after(asked[1:], values[1:].tolist())
    metric = asked.T @ asked + np.eye(sizes[0])
    after = belief.after(asked[:1], [1.0])
    signed = belief.after_sign(asked[0], 1)
    worth = belief.variance(metric) - after.variance(metric)
    assert belief.narrowed(asked[:1], metric)[0] == pytest.approx(worth, rel=1e-6, abs=1e-9)
    worth = belief.variance(metric) - signed.variance(metric)
    exact = belief.narrowed(asked[:1], metric, by_sign=True)[0]
    assert exact == pytest.approx(worth, rel=1e-6, abs=1e-9)
    assert 0 <= worth <= belief.variance(metric)


def test_after_more_the_mean_and_variance_are_those_of_a_gaussian_known_to_be_above_0() -> None:
    drawn = np.abs(np.random.default_rng(0).standard_normal(1_000_000) * 3)
    found = Belief(mean=np.zeros(1), covariance=np.array([[9.0]])).after_sign(np.ones(1), 1)
    # 1e6 draws: standard errors of 0.0018 and 0.006; wrong with a chance below 1e-6
    assert found.mean[0] == pytest.approx(drawn.mean(), abs=0.01)
    assert found.covariance[0, 0] == pytest.approx(drawn.var(), abs=0.03)


def test_factors_of_a_published_model_give_its_own_map_back() -> None:
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.standard_normal((6, 3)))[0]
    weights = np.array([0.9, 0.5, 0.2])
    shared = {
        "popularity": np.arange(8.0),
        "head": np.array([0, 2, 3, 4, 5, 7]),
        "vectors": vectors,
        "weights": weights,
        "leave_out": np.ones(6),
    }
    taste = of(Catalogue(item_ids=tuple("abcdefgh")), shared)
    history = rng.integers(0, 2, 6).astype(float)
    belief = taste.before().after(taste.factors[shared["head"]], history.tolist())
    mapped = (vectors * weights) @ vectors.T @ history
    assert taste.factors[shared["head"]] @ belief.mean == pytest.approx(mapped, abs=1e-9)
    assert not taste.factors[[1, 6]].any()
    assert taste.known.tolist() == [item / 7 for item in range(8)]


def test_a_map_without_vectors_gives_the_same_directions() -> None:
    rng = np.random.default_rng(1)
    vectors = np.linalg.qr(rng.standard_normal((90, 90)))[0]
    weights = 0.9 * 0.5 ** np.arange(90.0)
    shared = {
        "popularity": np.ones(90),
        "head": np.arange(90),
        "item_map": (vectors * weights) @ vectors.T,
    }
    taste = of(Catalogue(item_ids=tuple(map(str, range(90)))), shared)
    kept = (vectors * (weights / (1 - weights))) @ vectors.T
    assert taste.factors @ taste.factors.T == pytest.approx(kept, abs=1e-6)


def test_items_are_found_by_name_where_the_catalogue_has_others_than_the_model() -> None:
    shared = {
        "popularity": np.array([1.0, 4.0, 2.0]),
        "head": np.array([1, 2]),
        "vectors": np.eye(2),
        "weights": np.array([0.5, 0.5]),
    }
    found = of(Catalogue(item_ids=("new", "c", "a")), shared, ("a", "b", "c"))
    assert found.known.tolist() == [0.0, 0.5, 0.25]
    assert found.factors.tolist() == [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    popular = of(Catalogue(item_ids=("c", "a")), {"popularity": np.ones(2)})
    assert popular.factors.shape == (2, 0) and popular.known.tolist() == [1.0, 1.0]
