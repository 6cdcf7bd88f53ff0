"""Tables take one type a column, one role a column, and at least two rows."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.anonymization.classes import equivalence_classes
from privet.privacy.anonymization.tables import Column, Table
from privet.privacy.errors import InputError


@given(st.lists(st.one_of(st.integers()), max_size=20) | st.lists(st.text(), max_size=20))
def test_a_column_gives_back_its_cells(cells: list[Any]) -> None:
    column = Column.of(cells)
    assert column.cells() == cells
    assert list(column.values) == sorted(set(cells))


def test_texts_that_differ_in_a_trailing_nul_or_in_blanks_stay_apart() -> None:
    assert len(Column.of(["a", "a\0", "a ", "A"]).values) == 4


@pytest.mark.parametrize(
    "cells",
    [
        [1.0, math.nan],
        np.array([1.0, np.nan]),
        [1.0, math.inf],
        [1, None],
        "text",
        5,
        ["a", 1],
        [True, 1],
        [b"a", b"b"],
        [[1], [2]],
        np.zeros((2, 2)),
        np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"),
    ],
    ids=repr,
)
def test_missing_not_finite_and_mixed_cells_are_refused(cells: Iterable[object]) -> None:
    with pytest.raises(InputError, match="'age'"):
        Table.of({"age": cells}, quasi_identifiers=["age"])


@pytest.mark.parametrize(
    ("columns", "quasi", "sensitive", "message"),
    [
        ({"a": [], "b": []}, ["a"], "b", "at least 2 rows"),
        ({"a": [1], "b": [1]}, ["a"], "b", "at least 2 rows"),
        ({"a": [1, 2], "b": [1]}, ["a"], "b", "one length"),
        ({"a": [1, 2]}, ["a", "zip"], None, "no column 'zip'"),
        ({"a": [1, 2]}, ["a"], "b", "no column 'b'"),
        ({"a": [1, 2], "b": [1, 2]}, ["a"], None, "no role"),
        ({"a": [1, 2]}, ["a", "a"], None, "two roles"),
        ({"a": [1, 2]}, ["a"], "a", "two roles"),
        ({"a": [1, 2]}, [], None, "quasi-identifier"),
        ({}, [], None, "quasi-identifier"),
    ],
)
def test_tables_that_cannot_be_measured_are_refused(
    columns: dict[str, list[int]], quasi: Sequence[str], sensitive: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Table.of(columns, quasi_identifiers=quasi, sensitive=sensitive)


def test_a_table_stays_as_it_was_checked() -> None:
    table = Table.of({"a": [1, 1, 2]}, quasi_identifiers=["a"])
    with pytest.raises(ValueError, match="read-only"):
        table.columns["a"].codes[0] = 1
    with pytest.raises(TypeError):
        table.columns["b"] = table.columns["a"]  # type: ignore[index]


def test_a_value_is_in_no_message_and_in_no_repr() -> None:
    with pytest.raises(InputError) as error:
        Column.of(["hepatitis", 1], "illness")
    assert "hepatitis" not in str(error.value)
    table = Table.of({"a": ["hepatitis", "flu"]}, quasi_identifiers=["a"])
    assert "hepatitis" not in repr(table)


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=2, max_size=30))
def test_two_rows_are_in_one_class_exactly_if_they_agree(rows: list[tuple[int, ...]]) -> None:
    columns = dict(zip("abc", zip(*rows, strict=True), strict=True))
    classes = equivalence_classes(Table.of(columns, quasi_identifiers="abc"))
    assert len(classes) == len(set(rows))
    assert int(classes.sizes.sum()) == len(rows)
    for i, row in enumerate(rows):
        for j, other in enumerate(rows):
            assert (classes.labels[i] == classes.labels[j]) == (row == other)


def test_many_wide_columns_do_not_overflow() -> None:
    cells = list(range(2000))
    columns = {f"c{i}": cells for i in range(12)}
    table = Table.of(columns, quasi_identifiers=list(columns))
    assert len(equivalence_classes(table)) == 2000
