"""Contributions refuse shapes that could void their bound; sensitivities follow the relation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.contribution import Contribution, NeighbouringRelation, sensitivity
from privet.privacy.errors import PrivacyError

GOOD = Contribution(
    indptr=np.array([0, 2, 2, 3]),
    indices=np.array([4, 1, 4]),
    values=np.array([0.6, 0.8, 1.0]),
    dimension=5,
    l2_bound=1.0,
)


def test_rows_and_dense_agree() -> None:
    assert len(GOOD) == 3
    assert GOOD.rows.tolist() == [0, 0, 2]
    expected = [[0, 0.8, 0, 0, 0.6], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]]
    assert GOOD.dense().tolist() == expected


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_a_bound_that_bounds_nothing_is_refused(bound: float) -> None:
    with pytest.raises(PrivacyError, match="l2_bound"):
        replace(GOOD, l2_bound=bound)


@pytest.mark.parametrize(
    "indptr", [[0, 2, 2, 2], [0, 2, 2, 4], [1, 2, 2, 3], [0, 2, 1, 3], [0, 4, 2, 3]]
)
def test_entries_that_belong_to_no_row_are_refused(indptr: list[int]) -> None:
    with pytest.raises(PrivacyError, match="fit together"):
        replace(GOOD, indptr=np.array(indptr))


@pytest.mark.parametrize("indices", [[-1, 1, 4], [5, 1, 4]])
def test_indices_outside_of_the_vector_are_refused(indices: list[int]) -> None:
    with pytest.raises(PrivacyError, match=r"\[0, 5\)"):
        replace(GOOD, indices=np.array(indices))


def test_a_repeated_index_is_refused_since_its_entries_add_up_beyond_the_norm() -> None:
    with pytest.raises(PrivacyError, match="distinct"):
        replace(GOOD, indices=np.array([4, 4, 4]))
    hundred = np.full(100, 0.1)  # norm 1 by its entries, 10 in the sum
    with pytest.raises(PrivacyError, match="distinct"):
        Contribution(
            indptr=np.array([0, 100]),
            indices=np.zeros(100, np.int64),
            values=hundred,
            dimension=5,
            l2_bound=1.0,
        )


@given(rows=st.lists(st.lists(st.integers(0, 6), max_size=5), min_size=1, max_size=5))
def test_exactly_the_contributions_with_distinct_indices_are_accepted(
    rows: list[list[int]],
) -> None:
    def build() -> Contribution:
        indices = np.array([i for row in rows for i in row], np.int64)
        return Contribution(
            indptr=np.cumsum([0, *map(len, rows)]),
            indices=indices,
            values=np.ones(len(indices)),
            dimension=7,
            l2_bound=1.0,
        )

    if all(len(set(row)) == len(row) for row in rows):
        assert build().dense().sum() == sum(map(len, rows))
    else:
        with pytest.raises(PrivacyError, match="distinct"):
            build()


@pytest.mark.parametrize(
    ("relation", "nonnegative", "factor"),
    [
        (NeighbouringRelation.ZERO_OUT, False, 1.0),
        (NeighbouringRelation.ZERO_OUT, True, 1.0),
        (NeighbouringRelation.REPLACE_ONE, True, math.sqrt(2)),
        (NeighbouringRelation.REPLACE_ONE, False, 2.0),
    ],
)
def test_sensitivity_follows_the_neighbouring_relation(
    relation: NeighbouringRelation, nonnegative: bool, factor: float
) -> None:
    assert sensitivity(3.0, relation, nonnegative=nonnegative) == pytest.approx(3 * factor)


@given(
    a=st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    b=st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    nonnegative=st.booleans(),
)
def test_no_two_bounded_vectors_are_further_apart_than_the_sensitivity(
    a: list[float], b: list[float], nonnegative: bool
) -> None:
    one, other = (
        v / max(1.0, float(np.linalg.norm(v)))
        for v in (np.abs(x) if nonnegative else np.array(x) for x in (a, b))
    )
    bound = sensitivity(1.0, NeighbouringRelation.REPLACE_ONE, nonnegative=nonnegative)
    assert np.linalg.norm(one - other) <= bound * (1 + 1e-12)
