"""Hierarchies are nested and end in suppression."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.anonymization.hierarchies import (
    Hierarchy,
    age_bands,
    like_dislike,
    suppression,
    taxonomy,
    time_blocks,
    time_calendar,
    zip_prefix,
)
from privet.privacy.anonymization.tables import Column
from privet.privacy.errors import InputError

DAY = 86_400


def _names(hierarchy: Hierarchy, value: Any) -> list[Any]:
    return [level.values[0] for level in hierarchy.levels(Column.of([value]))]


@pytest.mark.parametrize(
    ("hierarchy", "value", "names"),
    [
        (age_bands(), 34, [34, "30-34", "30-39", "20-39", "*"]),
        (age_bands(), 0, [0, "0-4", "0-9", "0-19", "*"]),
        (zip_prefix(), "48067", ["48067", "4806*", "480*", "48*", "4*", "*"]),
        (zip_prefix((3,)), "T8", ["T8", "T8*", "*"]),
        # 881250949 is 1997-12-04 15:55:49 UTC, a Thursday.
        (time_calendar(), 881250949, [881250949, "1997-12-04", "1997-12", "1997", "*"]),
        (
            time_blocks((1, 7)),
            881250949,
            [881250949, "1997-12-04/P1D", "1997-12-01/P7D", "*"],
        ),
        (time_blocks((7,)), -1, [-1, "1969-12-29/P7D", "*"]),
        (like_dislike(), 4, [4, "like", "*"]),
        (like_dislike(), 3.5, [3.5, "dislike", "*"]),
        (suppression(), "F", ["F", "*"]),
        (taxonomy({"flu": ("lung", "chest")}), "flu", ["flu", "lung", "chest", "*"]),
    ],
)
def test_a_value_has_these_names(hierarchy: Hierarchy, value: Any, names: list[Any]) -> None:
    assert _names(hierarchy, value) == names
    assert hierarchy.height == len(names) - 1


@given(
    ages=st.lists(st.integers(0, 120), min_size=1),
    times=st.lists(st.integers(-(10**9), 10**10), min_size=1),
    zips=st.lists(st.text("0123456789T-", min_size=1, max_size=10), min_size=1),
)
def test_what_is_equal_at_one_level_is_equal_above(
    ages: list[int], times: list[int], zips: list[str]
) -> None:
    cases: list[tuple[Hierarchy, list[Any]]] = [
        (age_bands(), ages),
        (time_blocks(), times),
        (time_calendar(), times),
        (zip_prefix(), zips),
    ]
    for hierarchy, cells in cases:
        for lower, upper in pairwise(hierarchy.levels(Column.of(cells))):
            names = dict(zip(lower.cells(), upper.cells(), strict=True))
            assert [names[cell] for cell in lower.cells()] == upper.cells()


def test_weeks_in_months_are_refused_since_they_do_not_nest() -> None:
    week, month = time_blocks((7,)).rules[0], time_calendar().rules[1]
    straddling = Column.of(
        [880_934_400, 880_934_400 - DAY]
    )  # 1 December 1997, a Monday, and before
    Hierarchy(name="weeks in months", rules=(week, month)).levels(straddling)
    straddling = Column.of(
        [883_612_800, 883_612_800 - DAY]
    )  # 1 January 1998, a Thursday, and before
    with pytest.raises(InputError, match="nested"):
        Hierarchy(name="weeks in months", rules=(week, month)).levels(straddling)


@pytest.mark.parametrize(
    ("hierarchy", "value"),
    [
        (age_bands(), "old"),
        (age_bands(), -1),
        (zip_prefix(), 48067),
        (time_blocks(), 1e18),
        (time_calendar(), "yesterday"),
        (like_dislike(), "good"),
        (like_dislike(), True),
        (taxonomy({"flu": ("lung",)}), "gout"),
    ],
)
def test_a_value_that_a_hierarchy_cannot_read_is_refused_and_not_shown(
    hierarchy: Hierarchy, value: Any
) -> None:
    with pytest.raises(InputError) as error:
        hierarchy.levels(Column.of([value]))
    assert str(value) not in str(error.value)


def test_hierarchies_that_cannot_nest_are_refused() -> None:
    for widths in [(0,), (5, 5), (5, 12), (10, 5)]:
        with pytest.raises(InputError):
            age_bands(widths)
        with pytest.raises(InputError):
            time_blocks(widths)
    for keep in [(0,), (2, 2), (2, 3)]:
        with pytest.raises(InputError):
            zip_prefix(keep)
    with pytest.raises(InputError):
        taxonomy({})
    with pytest.raises(InputError):
        taxonomy({"a": ("x",), "b": ()})
