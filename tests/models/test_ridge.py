"""The closed-form item-item map."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.models.ridge import item_map
from privet.privacy.errors import InputError


def random_gram(items: int, seed: int, users: int = 40) -> NDArray[np.float64]:
    histories = (np.random.default_rng(seed).random((users, items)) < 0.3).astype(np.float64)
    return histories.T @ histories


def by_inverse(gram: NDArray[np.float64], reg: float) -> NDArray[np.float64]:
    inverse = np.linalg.inv(gram + reg * np.eye(len(gram)))
    out = np.eye(len(gram)) - inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(out, 0.0)
    return out


@settings(deadline=None, max_examples=30)
@given(items=st.integers(1, 30), seed=st.integers(0, 2**32 - 1), reg=st.floats(0.1, 1e4))
def test_the_map_equals_the_papers_formula(items: int, seed: int, reg: float) -> None:
    gram = random_gram(items, seed)
    np.testing.assert_allclose(item_map(gram, reg), by_inverse(gram, reg), atol=1e-10)


@pytest.mark.parametrize("items", [511, 512, 513, 1100])
def test_blocks_of_the_mirrored_triangle_meet_without_a_gap(items: int) -> None:
    gram = random_gram(items, seed=1, users=300)
    np.testing.assert_allclose(item_map(gram, 5.0), by_inverse(gram, 5.0), atol=1e-9)


def test_each_column_solves_its_ridge_regression_on_the_other_items() -> None:
    gram, reg = random_gram(12, seed=2), 3.0
    found = item_map(gram, reg)
    for item in range(12):
        rest = np.arange(12) != item
        ridge = gram[np.ix_(rest, rest)] + reg * np.eye(11)
        np.testing.assert_allclose(found[rest, item], np.linalg.solve(ridge, gram[rest, item]))
        assert found[item, item] == 0.0


def test_the_argument_is_untouched_unless_its_memory_is_offered() -> None:
    gram = random_gram(20, seed=3)
    before = gram.copy()
    kept = item_map(gram, 2.0)
    np.testing.assert_array_equal(gram, before)
    reused = item_map(gram, 2.0, overwrite=True)
    assert np.shares_memory(reused, gram)
    np.testing.assert_array_equal(reused, kept)


def test_memory_that_cannot_be_reused_is_copied() -> None:
    gram = random_gram(20, seed=4)
    expected = item_map(gram, 2.0)
    gram.setflags(write=False)
    np.testing.assert_array_equal(item_map(gram, 2.0, overwrite=True), expected)
    np.testing.assert_array_equal(
        item_map(gram.astype(np.int64), 2.0, overwrite=True),
        expected,
    )
    np.testing.assert_array_equal(item_map(np.asfortranarray(gram), 2.0, overwrite=True), expected)


def test_single_precision_stays_single_and_close() -> None:
    gram = random_gram(200, seed=5, users=500)
    found = item_map(gram.astype(np.float32), 10.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_inverse(gram, 10.0), atol=1e-4)


def test_an_item_that_nobody_has_neither_gives_nor_gets_a_score() -> None:
    gram = random_gram(10, seed=6)
    gram[4, :] = gram[:, 4] = 0.0
    found = item_map(gram, 1.0)
    assert not found[4].any()
    assert not found[:, 4].any()
    assert not np.signbit(found[:, 4]).any()


@pytest.mark.parametrize("reg", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_no_ridge_is_refused_by_name(reg: float) -> None:
    with pytest.raises(InputError, match="reg="):
        item_map(np.eye(3), reg)


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (np.ones((2, 3)), "square"),
        (np.ones(4), "square"),
        (np.ones((0, 0)), "square"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "NaN"),
        (np.array([[-9.0, 0.0], [0.0, 1.0]]), "not positive definite"),
    ],
)
def test_a_matrix_without_an_answer_is_refused(gram: NDArray[np.float64], message: str) -> None:
    with pytest.raises(InputError, match=message):
        item_map(gram, 1.0)
