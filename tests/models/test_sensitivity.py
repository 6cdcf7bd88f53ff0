"""The shipped models' vectors have exactly the norms that their docstrings derive."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.models.popularity import unit_histories
from privet.models.spectral import outer_products, unpack_triangle
from privet.models.testing import histories, stack

ITEMS = 9
rows = st.lists(histories(ITEMS), min_size=1, max_size=5)


@given(rows=rows)
def test_popularity_vectors_have_norm_one_and_empty_ones_norm_zero(
    rows: list[dict[int, float]],
) -> None:
    dense = unit_histories(stack(rows, ITEMS)).dense()
    for vector, history in zip(dense, rows, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1.0 if history else 0.0, abs=1e-12)
        assert set(np.flatnonzero(vector)) == set(history)


@given(rows=rows)
def test_popularity_does_not_depend_on_weights(rows: list[dict[int, float]]) -> None:
    plain: list[dict[int, float]] = [dict.fromkeys(row, 1.0) for row in rows]
    found = unit_histories(stack(rows, ITEMS)).dense()
    assert found.tolist() == unit_histories(stack(plain, ITEMS)).dense().tolist()


@given(one=histories(ITEMS), other=histories(ITEMS))
def test_popularity_neighbours_are_within_one_and_within_the_square_root_of_two(
    one: dict[int, float], other: dict[int, float]
) -> None:
    a, b = unit_histories(stack([one, other], ITEMS)).dense()
    assert np.linalg.norm(a - 0) <= 1 + 1e-12
    assert np.linalg.norm(a - b) <= math.sqrt(2) + 1e-12


def test_popularity_reaches_its_declared_sensitivities() -> None:
    a, b = unit_histories(stack([{0: 1.0, 1: 1.0}, {2: 1.0}], ITEMS)).dense()
    assert np.linalg.norm(a) == pytest.approx(1)
    assert np.linalg.norm(a - b) == pytest.approx(math.sqrt(2))


@given(rows=rows)
def test_spectral_vectors_have_norm_one_and_empty_ones_norm_zero(
    rows: list[dict[int, float]],
) -> None:
    found = outer_products(stack(rows, ITEMS))
    assert found.dimension == ITEMS * (ITEMS + 1) // 2
    for vector, history in zip(found.dense(), rows, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1.0 if history else 0.0, abs=1e-12)
        assert (vector >= 0).all()


@given(rows=rows)
def test_spectral_triangles_unpack_to_the_sum_of_outer_products(
    rows: list[dict[int, float]],
) -> None:
    cohort = stack(rows, ITEMS)
    total = outer_products(cohort).dense().sum(axis=0)
    unit = cohort.dense() / np.sqrt(np.maximum(cohort.sizes, 1))[:, None]
    np.testing.assert_allclose(unpack_triangle(total, ITEMS), unit.T @ unit, atol=1e-12)


def test_spectral_reaches_its_declared_sensitivities() -> None:
    a, b = outer_products(stack([{0: 1.0, 1: 1.0}, {2: 1.0}], ITEMS)).dense()
    assert np.linalg.norm(a) == pytest.approx(1)
    assert np.linalg.norm(a - b) == pytest.approx(math.sqrt(2))
