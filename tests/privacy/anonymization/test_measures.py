"""Measures agree with hand-made tables, with another implementation and with brute force."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from privet.privacy.anonymization import measures
from privet.privacy.anonymization.classes import equivalence_classes
from privet.privacy.anonymization.hierarchies import Hierarchy, taxonomy
from privet.privacy.anonymization.measures import Distance
from privet.privacy.anonymization.tables import Column, Table, Value
from privet.privacy.errors import InputError

SALARIES = [3, 4, 5, 6, 11, 8, 7, 9, 10]
DISEASES = [
    *("gastric ulcer", "gastritis", "stomach cancer"),
    *("gastritis", "flu", "bronchitis"),
    *("bronchitis", "pneumonia", "stomach cancer"),
]
TREE = taxonomy(
    {
        "gastric ulcer": ("stomach",),
        "gastritis": ("stomach",),
        "stomach cancer": ("stomach",),
        "flu": ("lung",),
        "bronchitis": ("lung",),
        "pneumonia": ("lung",),
    }
)


def _patients(sensitive: list[int] | list[str]) -> Table:
    """Table 4 of Li et al. 2007: three classes of three."""
    return Table.of(
        {"zip": ["476**"] * 3 + ["4790*"] * 3 + ["4760*"] * 3, "sensitive": sensitive},
        quasi_identifiers=["zip"],
        sensitive="sensitive",
    )


def test_the_salaries_of_li_et_al_have_their_published_distances() -> None:
    table = _patients(SALARIES)
    classes = equivalence_classes(table)
    found = measures.distances(classes, table.columns["sensitive"], Distance.ORDERED)
    # Classes in the order 476**, 4760*, 4790*; section 4 has 0.375 for {3, 4, 5} and 0.167 for
    # {6, 8, 11}.
    assert found[0] == pytest.approx(0.375)
    assert found[2] == pytest.approx(1 / 6)
    assert measures.t_closeness(table, Distance.ORDERED) == pytest.approx(0.375)


def test_measures_of_a_table_computed_by_hand() -> None:
    table = _patients(DISEASES)
    assert measures.k_anonymity(table) == 3
    assert measures.distinct_l_diversity(table) == 3
    assert measures.entropy_l_diversity(table) == pytest.approx(3)
    assert measures.alpha(table) == pytest.approx(1 / 3)
    # First class: ulcer 1/3 - 1/9, gastritis 1/3 - 2/9, cancer 1/3 - 2/9: 4/9 to be moved.
    assert measures.t_closeness(table) == pytest.approx(4 / 9)
    # The same with a tree: of these 4/9 all must cross to the lung, whose share is 4/9 and 0 here.
    assert measures.t_closeness(table, TREE) == pytest.approx((4 / 9 + 4 / 9) / 2)


def test_l_diversity_of_an_uneven_class_computed_by_hand() -> None:
    table = Table.of(
        {"q": ["a"] * 10, "s": list("xxxxxyyyzw")}, quasi_identifiers=["q"], sensitive="s"
    )
    entropy = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.1))
    assert measures.distinct_l_diversity(table) == 4
    assert measures.entropy_l_diversity(table) == pytest.approx(math.exp(entropy))
    # Counts 5, 3, 1, 1 leave tails 10, 5, 2, 1, and 5 < c * tail is asked for.
    by_c = {0.5: 0, 0.6: 1, 1.0: 1, 1.1: 2, 2.5: 2, 2.6: 3, 5.0: 3, 5.1: 4}
    assert {c: measures.recursive_l_diversity(table, c) for c in by_c} == by_c
    assert measures.alpha(table) == 0.5
    assert measures.t_closeness(table) == 0


def test_measures_agree_with_another_implementation() -> None:
    # pycanon 1.3.6 (numpy 2.0.2, pandas 2.3.3), s as numbers for the ordered distance and as text
    # for the equal one. It cuts the l of an entropy to a whole number, here 1.
    rows = [(i % 4, i * i % 3, (i * i * i // 7) % 6) for i in range(90)]
    table = _table(rows)
    assert measures.k_anonymity(table) == 7
    assert measures.distinct_l_diversity(table) == 2
    assert int(measures.entropy_l_diversity(table)) == 1
    assert measures.t_closeness(table, Distance.ORDERED) == pytest.approx(0.22722222222222221)
    assert measures.t_closeness(table) == pytest.approx(0.6666666666666666)
    assert measures.alpha(table) == 0.625


CELLS = st.integers(0, 3)
ROWS = st.lists(st.tuples(CELLS, CELLS, st.integers(0, 4)), min_size=2, max_size=24)


def _table(rows: list[tuple[int, int, int]]) -> Table:
    a, b, s = zip(*rows, strict=True)
    return Table.of({"a": a, "b": b, "s": s}, quasi_identifiers=["a", "b"], sensitive="s")


def _by_class(rows: list[tuple[int, int, int]]) -> dict[tuple[int, int], Counter[int]]:
    found: dict[tuple[int, int], Counter[int]] = {}
    for a, b, s in rows:
        found.setdefault((a, b), Counter())[s] += 1
    return found


@given(rows=ROWS, c=st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_all_but_distances_agree_with_brute_force(
    rows: list[tuple[int, int, int]], c: float
) -> None:
    table, classes = _table(rows), list(_by_class(rows).values())
    assert measures.k_anonymity(table) == min(x.total() for x in classes)
    assert measures.distinct_l_diversity(table) == min(map(len, classes))
    shares = [[n / x.total() for n in x.values()] for x in classes]
    assert measures.alpha(table) == max(map(max, shares))
    entropies = [-sum(p * math.log(p) for p in x) for x in shares]
    assert measures.entropy_l_diversity(table) == pytest.approx(math.exp(min(entropies)))

    def largest_l(x: Counter[int]) -> int:
        r = sorted(x.values(), reverse=True)
        return max([0, *(n + 1 for n in range(len(r)) if r[0] < c * sum(r[n:]))])

    assert measures.recursive_l_diversity(table, c) == min(map(largest_l, classes))


def _ground(values: tuple[Value, ...], distance: Distance | Hierarchy) -> list[list[float]]:
    n = len(values)
    if isinstance(distance, Hierarchy):
        levels = [level.codes for level in distance.levels(Column.of(values))]
        height = len(levels) - 1
        return [
            [next(h for h, x in enumerate(levels) if x[i] == x[j]) / height for j in range(n)]
            for i in range(n)
        ]
    if distance is Distance.EQUAL:
        return [[float(i != j) for j in range(n)] for i in range(n)]
    return [[abs(i - j) / max(n - 1, 1) for j in range(n)] for i in range(n)]


def _transport(p: list[float], q: list[float], ground: list[list[float]]) -> float:
    """The earth mover's distance as the linear program that defines it."""
    n = len(p)
    rows = [[float(k // n == i) for k in range(n * n)] for i in range(n)]
    columns = [[float(k % n == j) for k in range(n * n)] for j in range(n)]
    solved = linprog(np.ravel(ground), A_eq=np.array(rows + columns), b_eq=np.array(p + q))
    assert solved.fun is not None
    return float(solved.fun)


HALVES = taxonomy(
    {0: ("low", "l"), 1: ("low", "l"), 2: ("high", "h"), 3: ("odd", "h"), 4: ("odd", "h")}
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, distance=st.sampled_from([Distance.EQUAL, Distance.ORDERED, HALVES]))
def test_distances_agree_with_the_transport_problem(
    rows: list[tuple[int, int, int]], distance: Distance | Hierarchy
) -> None:
    whole = Counter(row[2] for row in rows)
    values = tuple(sorted(whole))
    ground = _ground(values, distance)
    q = [whole[v] / len(rows) for v in values]
    expected = max(
        _transport([x[v] / x.total() for v in values], q, ground) for x in _by_class(rows).values()
    )
    assert measures.t_closeness(_table(rows), distance) == pytest.approx(expected, abs=1e-9)


@given(rows=ROWS)
def test_merging_classes_never_lowers_k_and_l_nor_raises_t_and_alpha(
    rows: list[tuple[int, int, int]],
) -> None:
    tables = [
        _table(rows),
        _table([(a // 2, b, s) for a, b, s in rows]),
        _table([(0, b, s) for _, b, s in rows]),
        _table([(0, 0, s) for *_, s in rows]),
    ]
    for fine, coarse in pairwise(tables):
        assert measures.k_anonymity(coarse) >= measures.k_anonymity(fine)
        assert measures.distinct_l_diversity(coarse) >= measures.distinct_l_diversity(fine)
        fine_l, coarse_l = (measures.entropy_l_diversity(table) for table in (fine, coarse))
        assert coarse_l >= fine_l * (1 - 1e-12)
        assert measures.alpha(coarse) <= measures.alpha(fine) + 1e-12
        for distance in (Distance.EQUAL, Distance.ORDERED, HALVES):
            found = [measures.t_closeness(table, distance) for table in (fine, coarse)]
            assert found[1] <= found[0] + 1e-12


@given(rows=ROWS)
def test_a_unique_row_makes_k_one(rows: list[tuple[int, int, int]]) -> None:
    assert measures.k_anonymity(_table([*rows, (9, 9, 0)])) == 1


def test_wide_sensitive_columns_are_handled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    table = _table(list(zip(*rng.integers(0, [[4], [4], [50]], (3, 200)).tolist(), strict=True)))
    whole = measures.t_closeness(table, Distance.ORDERED)
    monkeypatch.setattr(measures, "_DENSE_CELLS", 120)
    assert measures.t_closeness(table, Distance.ORDERED) == whole


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match="ordered"):
        measures.t_closeness(_patients(DISEASES), Distance.ORDERED)
    for c in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="c="):
            measures.recursive_l_diversity(_patients(DISEASES), c)
    bare = Table.of({"q": [1, 1]}, quasi_identifiers=["q"])
    with pytest.raises(InputError, match="sensitive"):
        measures.t_closeness(bare)
