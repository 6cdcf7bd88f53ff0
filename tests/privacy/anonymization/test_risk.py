"""Risks are one over the class in which the attacker must guess."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.anonymization.risk import journalist_risk, marketer_risk, prosecutor_risk
from privet.privacy.anonymization.tables import Table
from privet.privacy.errors import InputError

ROWS = st.lists(st.integers(0, 5), min_size=2, max_size=30)


def _table(cells: list[int] | list[str], name: str = "q") -> Table:
    return Table.of({name: cells}, quasi_identifiers=[name])


def test_risks_of_a_table_computed_by_hand() -> None:
    table = _table([1, 1, 1, 2, 2, 3])
    found = prosecutor_risk(table)
    assert (found.highest, found.mean, found.unique) == (1, 0.5, 1 / 6)
    assert marketer_risk(table) == 0.5
    population = _table([1] * 6 + [2] * 4 + [3] * 2 + [4])
    seen = journalist_risk(table, population)
    # Classes of 6, 4 and 2 in the population; the one of 1 is not in the sample.
    assert seen.highest == 0.5
    assert seen.mean == pytest.approx((3 / 6 + 2 / 4 + 1 / 2) / 6)
    assert seen.unique == 0


@given(rows=ROWS)
def test_risks_agree_with_a_count_row_by_row(rows: list[int]) -> None:
    counts = Counter(rows)
    risks = [1 / counts[row] for row in rows]
    found = prosecutor_risk(_table(rows))
    assert found.highest == max(risks)
    assert found.mean == pytest.approx(sum(risks) / len(rows))
    assert found.mean == pytest.approx(marketer_risk(_table(rows)))
    assert found.unique == pytest.approx(sum(r == 1 for r in risks) / len(rows))


@given(rows=ROWS, others=st.lists(st.integers(0, 7)))
def test_a_journalist_is_never_better_off_than_a_prosecutor(
    rows: list[int], others: list[int]
) -> None:
    sample, population = _table(rows), _table([*others, *rows])
    assert journalist_risk(sample, sample) == prosecutor_risk(sample)
    assert journalist_risk(sample, population).highest <= prosecutor_risk(sample).highest
    assert journalist_risk(sample, population).mean <= prosecutor_risk(sample).mean + 1e-12


@pytest.mark.parametrize(
    ("population", "message"),
    [
        (_table([1, 2, 2]), "no part"),
        (_table([3, 3]), "no part"),
        (_table(["1", "1"]), "text"),
        (_table([1, 1], "other"), "quasi-identifiers"),
    ],
)
def test_a_population_that_the_sample_is_no_part_of_is_refused(
    population: Table, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        journalist_risk(_table([1, 1]), population)
