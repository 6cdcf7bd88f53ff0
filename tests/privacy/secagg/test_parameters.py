"""Graph parameters: the table, its probabilities, and what has no graph."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom
from tests.privacy.secagg.world import SERVER_KEY, cohort, run_until, terms

from privet.privacy.errors import PrivacyError
from privet.privacy.secagg import terms as terms_module
from privet.privacy.secagg.parameters import (
    GraphParameters,
    graph_parameters,
    log2_split_failure,
    split_resistant_parameters,
)
from privet.privacy.secagg.splits import split_failure

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


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 250), st.integers(0, 200), st.integers(0, 250), st.floats(0, 1))
def test_no_roster_that_a_device_accepts_can_be_cut_in_two(
    n: int, corrupt: int, drop: int, share: float
) -> None:
    try:
        plain = graph_parameters(n, corrupt_permille=corrupt, drop_permille=drop)
    except PrivacyError:
        return
    fewest = min(n, max(plain.corrupt + 2, int(share * n)))
    chosen = terms(corrupt_permille=corrupt, drop_permille=drop, min_survivors=fewest)
    found = chosen.parameters(n)
    assert log2_split_failure(found, fewest) < -40
    assert found.log2_security_failure < -40 and found.log2_correctness_failure < -20
    assert found.neighbours >= plain.neighbours
    if log2_split_failure(plain, fewest) < -40:
        assert found == plain


def test_small_cohorts_need_more_neighbours_and_large_ones_the_published_table() -> None:
    fractions = {"corrupt_permille": 50, "drop_permille": 100}
    found = {
        n: split_resistant_parameters(n, min_survivors=fewest, **fractions).neighbours
        for n, fewest in ((10, 5), (30, 15), (100, 50), (101, 90), (200, 100), (1000, 500))
    }
    assert found == {10: 7, 30: 19, 100: 38, 101: 15, 200: 23, 1000: 35}


@pytest.mark.parametrize("survivors", [5, 6, 7])
def test_the_bound_on_splits_is_not_below_what_is_counted(survivors: int) -> None:
    """Graphs of seven devices, two of them corrupt: how often honest survivors fall apart."""
    rng, tries = np.random.default_rng(survivors), 3000
    graphs = [
        [rng.choice([j for j in range(7) if j != i], 2, replace=False).tolist() for i in range(7)]
        for _ in range(tries)
    ]
    share = sum(_falls_apart(graph, survivors - 2) for graph in graphs) / tries
    bound = 2 ** split_failure(devices=7, neighbours=2, threshold=2, corrupt=2, survivors=survivors)
    assert share > 0.01
    assert share - 6.7 * math.sqrt(share / tries) < bound < 20 * share


def _falls_apart(graph: list[list[int]], fewest: int) -> bool:
    """Whether so many honest survivors can be two parts without a mask between them, each able to
    answer for itself with the corrupt devices 5 and 6."""
    honest = range(5)
    parts = [set(p) for size in (1, 2, 3, 4) for p in itertools.combinations(honest, size)]
    able = [p for p in parts if all(sum(j in p or j > 4 for j in graph[i]) >= 2 for i in p)]
    return any(
        not one & other
        and len(one | other) >= fewest
        and not any(j in graph[i] or i in graph[j] for i in one for j in other)
        for one, other in itertools.combinations(able, 2)
    )


def test_a_bound_on_splits_that_is_not_enforced_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(devices: int, *, min_survivors: int, **fractions: int) -> GraphParameters:
        return graph_parameters(devices, **fractions)

    check = test_a_device_refuses_a_roster_whose_graph_a_server_could_cut
    check()
    monkeypatch.setattr(terms_module, "split_resistant_parameters", lax)
    with pytest.raises(pytest.fail.Exception):
        check()


def test_a_device_refuses_a_roster_whose_graph_a_server_could_cut() -> None:
    """The server signs the small table; a device's own one has more neighbours."""
    world = cohort(30, min_survivors=15, corrupt_permille=50, drop_permille=100)
    device = world.clients[0]
    inbox = run_until(world, "sharing")
    small = graph_parameters(30, corrupt_permille=50, drop_permille=100)
    at = 6 + sum(len(value) for _, value in terms().fields) + 4
    body = bytearray(inbox[0][:-64])
    body[at : at + 4] = small.neighbours.to_bytes(2, "big") + small.threshold.to_bytes(2, "big")
    roster = bytes(body) + SERVER_KEY.sign(b"roster", hashlib.sha256(body).digest())
    with pytest.raises(PrivacyError, match="table"):
        device.share(roster)
