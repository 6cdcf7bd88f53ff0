"""Clipping enforces the bound whatever a model computed, and names its edge cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.privacy.properties import HUGE, TINY, check_clipped, contribution, exact_norm

from privet.privacy.clipping import clip, row_norms
from privet.privacy.contribution import Contribution

anything = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [0.0, -0.0, TINY, -TINY, 2.3e-308, HUGE, -HUGE, 1.7976931348623157e308, math.inf, math.nan]
)
rows = st.lists(st.lists(anything, min_size=1, max_size=8), min_size=1, max_size=4)


@given(rows=rows, l2_bound=st.sampled_from([1e-6, 1.0, 3.7, 1e9]), nonnegative=st.booleans())
def test_clipped_rows_are_finite_and_within_the_bound(
    rows: list[list[float]], l2_bound: float, nonnegative: bool
) -> None:
    check_clipped(rows, l2_bound, nonnegative)


@given(rows=rows)
def test_rows_within_the_bound_are_left_alone_and_the_rest_keep_their_direction(
    rows: list[list[float]],
) -> None:
    found = clip(contribution(rows))
    for row, offered in enumerate(rows):
        finite = [v if math.isfinite(v) else 0.0 for v in offered]
        kept = found.contribution.dense()[row, : len(finite)]
        norm = exact_norm(finite)
        if norm < 1 - 1e-12:
            assert kept.tolist() == finite
        elif norm > 1 + 1e-12:
            assert exact_norm(kept.tolist()) == pytest.approx(1.0, rel=1e-8)
            largest = max(map(abs, finite))
            relative = np.array(finite) / largest
            expected = relative / np.linalg.norm(relative)
            np.testing.assert_allclose(kept, expected, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize(
    ("row", "nonfinite", "clipped", "norm"),
    [
        ([0.0, 0.0], 0, 0, 0.0),
        ([math.nan, 0.5], 1, 0, 0.5),
        ([math.nan, math.nan], 2, 0, 0.0),
        ([math.inf, -math.inf], 2, 0, 0.0),
        ([math.inf, 3.0], 1, 1, 1.0),
        ([TINY, TINY], 0, 0, TINY),
        ([HUGE, HUGE], 0, 1, 1.0),
        ([1.79e308] * 8, 0, 1, 1.0),
        ([HUGE, TINY], 0, 1, 1.0),
        ([0.6, 0.8], 0, 0, 1.0),
        ([3.0, 4.0], 0, 1, 1.0),
    ],
)
def test_edge_cases_become_what_the_table_says(
    row: list[float], nonfinite: int, clipped: int, norm: float
) -> None:
    found = clip(contribution([row]))
    assert (found.nonfinite, found.rows_clipped) == (nonfinite, clipped)
    assert exact_norm(found.contribution.values.tolist()) == pytest.approx(norm, rel=1e-8)


def test_an_undeclared_negative_entry_becomes_zero_and_is_counted() -> None:
    found = clip(contribution([[-0.5, 0.5, -math.inf]], nonnegative=True))
    assert found.contribution.values.tolist() == [0.0, 0.5, 0.0]
    assert found.nonfinite == 2
    declared = clip(contribution([[-0.5, 0.5]]))
    assert declared.contribution.values.tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_narrow_inputs_are_clipped_in_float64(dtype: type[np.generic]) -> None:
    values = np.array([3, 4, 100, 0], dtype)
    offered = Contribution(
        indptr=np.array([0, 4]),
        indices=np.arange(4),
        values=values,
        dimension=4,
        l2_bound=0.1,
    )
    found = clip(offered).contribution.values
    assert found.dtype == np.float64
    assert exact_norm(found.tolist()) <= 0.1


def test_clipping_one_row_does_not_change_another() -> None:
    alone = clip(contribution([[0.3, 0.4]])).contribution.values
    together = clip(contribution([[HUGE, 1.0], [0.3, 0.4], [math.nan, 2.0]])).contribution
    assert together.values[2:4].tolist() == alone.tolist()


def test_rows_of_a_million_entries_stay_within_the_bound() -> None:
    row = (1 + np.arange(1_000_000) % 7).astype(np.float64).tolist()
    found = clip(contribution([row])).contribution.values
    assert 1 - 1e-8 < exact_norm(found.tolist()) <= 1.0


def test_a_cohort_without_entries_clips_to_itself() -> None:
    empty = Contribution(
        indptr=np.zeros(4, np.int64),
        indices=np.zeros(0, np.int64),
        values=np.zeros(0),
        dimension=3,
        l2_bound=1.0,
    )
    assert clip(empty).rows_clipped == 0
    assert row_norms(empty.values, empty.indptr).tolist() == [0, 0, 0]
