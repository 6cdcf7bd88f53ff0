"""No number about the catalogue has fewer than k users behind it, subtraction included."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privet.privacy.anonymization import thresholds
from privet.privacy.anonymization.thresholds import GatedStatistics, gate_statistics
from privet.privacy.errors import InputError

# Users 0 to 8 have item 0, users 0 to 3 item 1, user 0 alone item 2; nobody has item 3.
USERS, ITEMS = [*range(9), *range(4), 0], [0] * 9 + [1] * 4 + [2]


def test_counts_computed_by_hand() -> None:
    found = gate_statistics(USERS, ITEMS, n_items=4, k=3)
    # Item 2 is rare. 14 - 9 - 4 would give it away, so item 1, the smallest shown, goes too.
    assert found == GatedStatistics(k=3, items=(9, None, None, None), groups=(), total=14)
    assert found.hidden == 3


def test_groups_computed_by_hand() -> None:
    found = gate_statistics(USERS, ITEMS, n_items=4, k=3, groups=[0, 0, 1, 1])
    # Group 1 has one user. 14 - 13 would give it away, so group 0 goes too, and since 14 - 9 - 4
    # would do as well, so does item 1.
    assert found == GatedStatistics(k=3, items=(9, None, None, None), groups=(None, None), total=14)


def test_sums_of_values_and_users_who_contribute_twice() -> None:
    found = gate_statistics([1, 1, 2, 3], [0, 0, 0, 1], n_items=2, k=2, values=[5, 4, 3, 9.5])
    assert found == GatedStatistics(k=2, items=(None, None), groups=(), total=21.5)
    assert gate_statistics([1, 1], [0, 0], n_items=1, k=2).total is None


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Any]:
    n_items = draw(st.integers(1, 5))
    pairs = draw(
        st.lists(st.tuples(st.integers(0, 6), st.integers(0, n_items - 1)), min_size=1, max_size=30)
    )
    users, items = zip(*pairs, strict=True)
    groups = draw(st.none() | st.lists(st.integers(0, 2), min_size=n_items, max_size=n_items))
    k = draw(st.integers(2, 4))
    return {"users": users, "items": items, "n_items": n_items, "k": k, "groups": groups}


def check_gate(case: dict[str, Any]) -> None:
    """Every sum over items that the release gives, by adding or subtracting, has k users."""
    found = gate_statistics(**case)
    n, groups = case["n_items"], case["groups"]
    published = [{i} for i in range(n) if found.items[i] is not None]
    for group, value in enumerate(found.groups):
        if value is not None:
            published.append({i for i in range(n) if groups[i] == group})
    if found.total is not None:
        published.append(set(range(n)))
    if not published:
        return
    vectors = np.array([[i in members for i in range(n)] for members in published], np.int64)
    signs = np.array(list(product((-1, 0, 1), repeat=len(vectors))))
    for sums in np.unique(signs @ vectors, axis=0):
        if sums.any() and set(sums.tolist()) <= {0, 1}:
            behind = {u for u, i in zip(case["users"], case["items"], strict=True) if sums[i]}
            assert len(behind) >= case["k"], "fewer than k users behind a sum"


@settings(max_examples=150, deadline=None)
@given(case=catalogues())
def test_nothing_below_the_threshold_can_be_had_by_adding_and_subtracting(
    case: dict[str, Any],
) -> None:
    check_gate(case)


@given(case=catalogues())
def test_what_is_published_is_true(case: dict[str, Any]) -> None:
    found = gate_statistics(**case)
    counts = np.bincount(case["items"], minlength=case["n_items"])
    assert all(v is None or v == counts[i] for i, v in enumerate(found.items))
    assert found.total in (None, len(case["users"]))
    for group, value in enumerate(found.groups):
        assert value in (None, counts[np.array(case["groups"]) == group].sum())


@given(case=catalogues())
def test_an_item_is_hidden_only_if_it_is_rare_or_one_of_few_complements(
    case: dict[str, Any],
) -> None:
    found = gate_statistics(**case)
    behind = [
        len({u for u, i in zip(case["users"], case["items"], strict=True) if i == item})
        for item in range(case["n_items"])
    ]
    extra = sum(v is None and n >= case["k"] for v, n in zip(found.items, behind, strict=True))
    assert extra <= len(set(case["groups"] or [0])) + 1


BY_HAND: list[dict[str, Any]] = [
    {"users": USERS, "items": ITEMS, "n_items": 4, "k": 3, "groups": groups}
    for groups in (None, [0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 1, 2])
]


def _check_all() -> None:
    for case in BY_HAND:
        check_gate(case)


def test_mutants_of_the_gate_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    _check_all()
    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(thresholds, "hide_complements", lambda *_: None)
        _check_all()
    real = thresholds.hide_complements

    def total_forgotten(pieces: Any, items: Any, groups: Any, total: bool) -> None:
        real(pieces, items, groups, False)

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(thresholds, "hide_complements", total_forgotten)
        _check_all()
    everybody = thresholds._Pieces.users_of_items

    def events_counted(self: Any) -> Any:
        return everybody(self) + 2

    with monkeypatch.context() as patch, pytest.raises(AssertionError):
        patch.setattr(thresholds._Pieces, "users_of_items", events_counted)
        _check_all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 1},
        {"k": True},
        {"users": [], "items": []},
        {"users": [1], "items": [0, 1]},
        {"items": [9] * 14},
        {"items": [-1] * 14},
        {"values": [1.0]},
        {"values": [np.nan] * 14},
        {"values": [np.inf] * 14},
        {"groups": [0]},
        {"groups": [-1] * 4},
        {"groups": [0.5] * 4},
        {"n_items": 0},
        {"n_items": 4.0},
    ],
    ids=str,
)
def test_statistics_that_cannot_be_gated_are_refused(wrong: dict[str, Any]) -> None:
    case: dict[str, Any] = {"users": USERS, "items": ITEMS, "n_items": 4, "k": 3}
    with pytest.raises(InputError, match="Expected"):
        gate_statistics(**{**case, **wrong})
