"""A release meets its requirement with the least loss, or there is none."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from privet.privacy.anonymization import generalisation, measures
from privet.privacy.anonymization.generalisation import Released, generalise, release
from privet.privacy.anonymization.hierarchies import age_bands, suppression
from privet.privacy.anonymization.measures import Distance
from privet.privacy.anonymization.requirements import Diversity, Requirement
from privet.privacy.anonymization.tables import Table
from privet.privacy.errors import InputError, PrivacyError

HIERARCHIES = {"age": age_bands((5, 10)), "sex": suppression()}
ROWS = st.lists(
    st.tuples(st.integers(20, 39), st.sampled_from("fm"), st.integers(0, 3)),
    min_size=2,
    max_size=25,
)
REQUIREMENTS = st.builds(
    Requirement,
    k=st.integers(2, 4),
    l=st.sampled_from([None, 1, 2, 3]),
    diversity=st.sampled_from(Diversity),
    c=st.sampled_from([0.8, 2.0]),
    t=st.sampled_from([None, 0.2, 0.5]),
    distance=st.sampled_from(Distance),
    alpha=st.sampled_from([None, 0.5, 0.8]),
    max_suppressed=st.sampled_from([0.0, 0.1, 0.4, 0.9]),
)


def _table(rows: list[tuple[int, str, int]], names: bool = False) -> Table:
    age, sex, s = zip(*rows, strict=True)
    columns: dict[str, Any] = {"age": age, "sex": sex, "s": s}
    if names:
        columns["name"] = [f"person {i}" for i in range(len(rows))]
    return Table.of(
        columns,
        quasi_identifiers=["age", "sex"],
        sensitive="s",
        direct_identifiers=["name"] if names else [],
    )


def _meets(table: Table, asked: Requirement) -> bool:
    """The requirement read from the public measures alone."""
    near = 1e-9
    found = measures.k_anonymity(table) >= asked.k
    if asked.l is not None:
        found &= (
            asked.l - near
            <= {
                Diversity.DISTINCT: measures.distinct_l_diversity(table),
                Diversity.ENTROPY: measures.entropy_l_diversity(table),
                Diversity.RECURSIVE: measures.recursive_l_diversity(table, asked.c),
            }[asked.diversity]
        )
    if asked.t is not None:
        found &= measures.t_closeness(table, asked.distance) <= asked.t + near
    return found and (asked.alpha is None or measures.alpha(table) <= asked.alpha + near)


def check_release(rows: list[tuple[int, str, int]], asked: Requirement) -> None:
    """What is released meets the requirement and accounts for every row; else PrivacyError."""
    try:
        found = release(_table(rows), asked, HIERARCHIES)
    except PrivacyError as error:
        assert "Nothing was released" in str(error)
        return
    assert _meets(found.table, asked)
    assert found.table.rows + found.suppressed == len(rows)
    assert found.suppressed <= asked.max_suppressed * len(rows)
    assert 0 <= found.loss <= 1
    raised = generalise(_table(rows), HIERARCHIES, found.levels)
    before, after = (
        Counter(zip(*(t.columns[n].cells() for n in ("age", "sex", "s")), strict=True))
        for t in (raised, found.table)
    )
    assert after <= before


@settings(deadline=None)
@given(rows=ROWS, asked=REQUIREMENTS)
def test_a_release_meets_its_requirement(
    rows: list[tuple[int, str, int]], asked: Requirement
) -> None:
    check_release(rows, asked)


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        (Requirement(k=4), 0),
        (Requirement(k=5), 3),
        (Requirement(k=4, l=2), 3),
        (Requirement(k=4, l=1.7, diversity=Diversity.ENTROPY), 0),
        (Requirement(k=4, l=1.8, diversity=Diversity.ENTROPY), 3),
        (Requirement(k=4, l=2, diversity=Diversity.RECURSIVE, c=3.1), 0),
        (Requirement(k=4, l=2, diversity=Diversity.RECURSIVE, c=3.0), 3),
        (Requirement(k=4, alpha=0.75), 0),
        (Requirement(k=4, alpha=0.74), 3),
        (Requirement(k=4, t=0.25), 0),
        (Requirement(k=4, t=0.24), 3),
        (Requirement(k=4, t=0.24, distance=Distance.ORDERED), 3),
    ],
)
def test_each_part_of_a_requirement_is_enforced(asked: Requirement, level: int) -> None:
    # Two classes of 4, with one sensitive value thrice and the other once: 3/4 against 1/2.
    rows = [(20, "f", s) for s in (0, 0, 0, 1)] + [(39, "f", s) for s in (0, 1, 1, 1)]
    if asked.l == 2 and asked.diversity is Diversity.DISTINCT:
        rows = [(age, sex, int(age > 30)) for age, sex, _ in rows]
    assert release(_table(rows), asked, HIERARCHIES).levels["age"] == level


UNIQUE = [(20, "f", 0), (20, "f", 1), (21, "f", 0), (39, "m", 1)]


def test_a_mutant_that_skips_suppression_cannot_release(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Requirement(k=3, max_suppressed=0.3)
    assert release(_table(UNIQUE), asked, HIERARCHIES).suppressed == 1
    everything = np.ones(len(UNIQUE), np.bool_)
    monkeypatch.setattr(generalisation, "kept_rows", lambda *_: everything)
    with pytest.raises(PrivacyError, match="classes fall short"):
        release(_table(UNIQUE), asked, HIERARCHIES)


def test_mutants_without_self_check_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Released, "__post_init__", lambda _: None)
    check_release(UNIQUE, Requirement(k=3, max_suppressed=0.3))
    monkeypatch.setattr(generalisation, "_within_budget", lambda *_: True)
    with pytest.raises(AssertionError):
        check_release(UNIQUE, Requirement(k=3, max_suppressed=0.0))
    monkeypatch.setattr(generalisation, "kept_rows", lambda c, *_: np.ones(len(c[0]), np.bool_))
    with pytest.raises(AssertionError):
        check_release(UNIQUE, Requirement(k=3, max_suppressed=0.3))


def _least_loss(rows: list[tuple[int, str, int]], k: int, budget: float) -> float:
    """All levels tried, classes counted and losses added by hand."""
    ages, best = {row[0] for row in rows}, math.inf
    bands: list[Callable[[int], int]] = [
        lambda a: a,
        lambda a: a // 5,
        lambda a: a // 10,
        lambda _: 0,
    ]
    sexes: list[Callable[[str], str]] = [lambda s: s, lambda _: ""]
    n_sexes = len({row[1] for row in rows})
    for (i, band), (j, sex) in product(enumerate(bands), enumerate(sexes)):
        classes = Counter((band(a), sex(s)) for a, s, _ in rows)
        lost, left_out = 0.0, 0
        for a, s, _ in rows:
            if classes[band(a), sex(s)] < k:
                left_out += 1
                continue
            merged = sum(band(other) == band(a) for other in ages)
            of_age = (merged - 1) / (len(ages) - 1) if i and len(ages) > 1 else 0
            lost += (of_age + float(j and n_sexes > 1)) / 2
        if left_out <= budget * len(rows) and left_out < len(rows):
            best = min(best, (lost + left_out) / len(rows))
    return best


@settings(deadline=None)
@given(rows=ROWS, k=st.integers(2, 5), budget=st.sampled_from([0.0, 0.2, 0.5]))
def test_the_search_finds_the_least_loss(
    rows: list[tuple[int, str, int]], k: int, budget: float
) -> None:
    least = _least_loss(rows, k, budget)
    assume(least < math.inf)
    found = release(_table(rows), Requirement(k=k, max_suppressed=budget), HIERARCHIES)
    assert found.loss == pytest.approx(least, abs=1e-9)


@settings(deadline=None)
@given(rows=ROWS, seed=st.integers(0, 99))
def test_a_release_is_the_same_for_every_order_of_the_rows(
    rows: list[tuple[int, str, int]], seed: int
) -> None:
    asked = Requirement(k=2, max_suppressed=0.5)
    shuffled = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    try:
        first = release(_table(rows), asked, HIERARCHIES)
    except PrivacyError:
        return
    second = release(_table(shuffled), asked, HIERARCHIES)
    assert (first.levels, first.suppressed) == (second.levels, second.suppressed)
    for name, column in first.table.columns.items():
        assert column.cells() == second.table.columns[name].cells()


@given(rows=ROWS, age=st.integers(0, 2), sex=st.integers(0, 1))
def test_generalising_never_lowers_k(rows: list[tuple[int, str, int]], age: int, sex: int) -> None:
    lower = generalise(_table(rows), HIERARCHIES, {"age": age, "sex": 0})
    upper = generalise(_table(rows), HIERARCHIES, {"age": age + 1, "sex": sex})
    assert measures.k_anonymity(upper) >= measures.k_anonymity(lower)


def test_direct_identifiers_are_dropped() -> None:
    found = release(_table([(30, "f", 0)] * 3, names=True), Requirement(k=3))
    assert set(found.table.columns) == {"age", "sex", "s"}
    assert found.loss == 0
    with pytest.raises(PrivacyError, match="Direct identifiers"):
        Released(
            table=_table([(30, "f", 0)] * 3, names=True),
            requirement=Requirement(k=2),
            levels={},
            suppressed=0,
            loss=0,
        )


def test_a_released_table_cannot_be_made_by_hand_unless_it_meets_its_requirement() -> None:
    with pytest.raises(PrivacyError, match="3 of 3 classes"):
        Released(
            table=_table(UNIQUE), requirement=Requirement(k=3), levels={}, suppressed=0, loss=0
        )
    with pytest.raises(PrivacyError, match="budget"):
        Released(
            table=_table([(30, "f", 0)] * 3),
            requirement=Requirement(k=3),
            levels={},
            suppressed=1,
            loss=0,
        )


def test_a_refusal_has_counts_and_no_values() -> None:
    table = _table([(37, "f", 3), (37, "m", 3), (37, "m", 3), (37, "m", 2)])
    with pytest.raises(PrivacyError) as error:
        release(table, Requirement(k=2, max_suppressed=0.2), {"age": age_bands()})
    assert str(error.value) == (
        "At the most general level 1 of 2 classes fall short of the requirement, with 1 rows, 1 of "
        "4 in all. Meeting it takes leaving out 1 rows; the budget is 0. Nothing was released: "
        "raise the budget, add hierarchies, or ask for less."
    )
    with pytest.raises(PrivacyError, match=r"1 of 2 classes fall short .* Nothing was released\."):
        Requirement(k=2).check(generalise(table, {"age": age_bands()}, {"age": 4}))


def test_nothing_is_released_if_all_rows_would_be_left_out() -> None:
    with pytest.raises(PrivacyError, match="leaving out 4 rows"):
        release(_table(UNIQUE), Requirement(k=5, max_suppressed=0.99), HIERARCHIES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 1},
        {"k": True},
        {"k": 2.5},
        {"k": 2, "l": 0.5},
        {"k": 2, "l": math.nan},
        {"k": 2, "c": 0.0},
        {"k": 2, "t": 1.5},
        {"k": 2, "t": math.nan},
        {"k": 2, "alpha": 0.0},
        {"k": 2, "max_suppressed": 1.0},
        {"k": 2, "max_suppressed": math.nan},
    ],
    ids=str,
)
def test_a_requirement_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Expected"):
        Requirement(**wrong)


def test_hierarchies_and_levels_that_fit_no_column_are_refused() -> None:
    table = _table(UNIQUE)
    with pytest.raises(InputError, match="'s'"):
        release(table, Requirement(k=2), {"s": suppression()})
    with pytest.raises(InputError, match="'zip'"):
        generalise(table, HIERARCHIES, {"zip": 1})
    with pytest.raises(InputError, match="from 0 to 3"):
        generalise(table, HIERARCHIES, {"age": 4})
    bare = Table.of({"q": [1, 1]}, quasi_identifiers=["q"])
    with pytest.raises(InputError, match="sensitive"):
        release(bare, Requirement(k=2, l=2))
    wide = Table.of(
        {f"c{i}": [1, 1] for i in range(20)}, quasi_identifiers=[f"c{i}" for i in range(20)]
    )
    with pytest.raises(InputError, match="combinations"):
        release(wide, Requirement(k=2), {name: suppression() for name in wide.columns})
