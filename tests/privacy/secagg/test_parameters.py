"""Graph parameters: the table, its probabilities, and what has no graph."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from privet.privacy.errors import PrivacyError
from privet.privacy.secagg.parameters import graph_parameters, log2_split_failure

# devices, corrupt and dropping in thousandths, k, t
TABLE = [
    (30, 50, 100, 5, 2),
    (30, 100, 100, 7, 4),
    (100, 100, 100, 21, 11),
    (100, 100, 300, 33, 11),
    (100, 200, 200, 40, 21),
    (1000, 100, 100, 45, 26),
    (1000, 100, 300, 88, 36),
    (1000, 200, 200, 98, 54),
    (10_000, 100, 100, 53, 30),
    (10_000, 100, 300, 106, 43),
    (10_000, 200, 200, 119, 65),
]


@pytest.mark.parametrize(("n", "corrupt", "drop", "k", "t"), TABLE)
def test_the_table_of_k_and_t_is_the_published_one(
    n: int, corrupt: int, drop: int, k: int, t: int
) -> None:
    found = graph_parameters(n, corrupt_permille=corrupt, drop_permille=drop)
    assert (found.neighbours, found.threshold) == (k, t)
    assert found.log2_security_failure < -40
    assert found.log2_correctness_failure < -20


@pytest.mark.parametrize(("n", "corrupt", "drop", "k", "t"), TABLE)
def test_the_reported_probabilities_are_those_of_another_implementation(
    n: int, corrupt: int, drop: int, k: int, t: int
) -> None:
    found = graph_parameters(n, corrupt_permille=corrupt, drop_permille=drop)
    bad = n * hypergeom.sf(t - 1, n - 1, n * corrupt // 1000, k)
    few = n * hypergeom.cdf(t - 1, n - 1, n - 1 - n * drop // 1000, k)
    assert 2**found.log2_security_failure == pytest.approx(bad, rel=1e-6, abs=1e-30)
    assert 2**found.log2_correctness_failure == pytest.approx(few, rel=1e-6, abs=1e-30)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 300), st.integers(0, 250), st.integers(0, 250))
def test_two_quorums_share_more_devices_than_may_be_corrupt(
    n: int, corrupt: int, drop: int
) -> None:
    try:
        found = graph_parameters(n, corrupt_permille=corrupt, drop_permille=drop)
    except PrivacyError:
        return
    assert 2 * found.quorum - n > found.corrupt
    assert found.quorum <= n - found.dropped
    assert 2 <= found.threshold <= found.neighbours < n
    assert found.log2_security_failure < -40
    assert found.log2_correctness_failure < -20


def test_one_neighbour_less_would_break_a_bound() -> None:
    n, k = 1000, 44
    for t in range(1, k + 1):
        secure = n * hypergeom.sf(t - 1, n - 1, 100, k) < 2**-40
        correct = n * hypergeom.cdf(t - 1, n - 1, n - 1 - 100, k) < 2**-20
        assert not (secure and correct)


@pytest.mark.parametrize(
    ("n", "corrupt", "drop"),
    [(2, 0, 0), (20_001, 0, 0), (10, 500, 0), (10, 0, -1), (20, 400, 400), (3, 0, 334)],
)
def test_what_has_no_graph_is_refused(n: int, corrupt: int, drop: int) -> None:
    with pytest.raises(PrivacyError):
        graph_parameters(n, corrupt_permille=corrupt, drop_permille=drop)


@pytest.mark.parametrize(("n", "corrupt", "drop"), [row[:3] for row in TABLE if row[0] == 1000])
def test_a_server_that_picks_who_drops_can_hardly_cut_a_large_cohort_in_two(
    n: int, corrupt: int, drop: int
) -> None:
    found = graph_parameters(n, corrupt_permille=corrupt, drop_permille=drop)
    assert log2_split_failure(found, n - found.dropped) < -40


def test_the_bound_on_splits_says_when_it_claims_nothing() -> None:
    found = graph_parameters(30, corrupt_permille=100, drop_permille=100)
    assert -40 < log2_split_failure(found, 27) < math.inf
