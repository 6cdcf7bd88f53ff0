import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Problem, Split, describe, gini


def _dataset(users: list[int], items: list[int], *, n_users: int = 3, n_items: int = 4) -> Dataset:
    times = np.arange(1, len(users) + 1) * 86_400
    return Dataset(
        name="made-up",
        catalogue=Catalogue(
            item_ids=tuple("abcdefgh"[:n_items]), categories=(("x", "y"),) * (n_items - 1) + ((),)
        ),
        user_ids=tuple("uvwxyz"[:n_users]),
        cohort=Cohort.from_pairs(
            np.array(users, int),
            np.array(items, int),
            n_users=n_users,
            n_items=n_items,
            times=times,
        ),
        problems=(Problem(line=7, reason="too short"),),
        rows_read=len(users) + 3,
    )


def test_describe_counts_what_is_there_and_is_json() -> None:
    figures = describe(_dataset([0, 0, 1, 2], [0, 1, 1, 1]))
    assert json.loads(json.dumps(figures)) == figures
    assert (figures["users"], figures["items"], figures["items_with_interactions"]) == (3, 4, 2)
    assert figures["density"] == pytest.approx(4 / 12)
    assert figures["history_quantiles"]["1"] == 2
    assert figures["categories"] == {"x": 3, "y": 3}
    assert figures["period"]["days"] == 3
    assert figures["period"]["first"] == "1970-01-02T00:00:00+00:00"
    assert (figures["rows_read"], figures["duplicates"], figures["problems"]) == (7, 2, 1)
    assert figures["first_problems"] == ["line 7: too short"]


def test_the_period_is_none_without_times() -> None:
    dataset = _dataset([0, 1], [0, 1])
    timeless = replace(dataset.cohort, times=np.zeros(2, np.int64))
    assert describe(replace(dataset, cohort=timeless))["period"] is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any))
def test_gini_is_half_the_relative_mean_absolute_difference(counts: list[int]) -> None:
    values = np.array(counts)
    expected = np.abs(values[:, None] - values).mean() / (2 * values.mean())
    assert gini(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("users", "items", "found"),
    [([], [], "0 user"), ([0, 0], [0, 1], "1 user"), ([0, 1], [2, 2], "1 item")],
)
def test_too_little_data_is_refused_with_what_is_needed(
    users: list[int], items: list[int], found: str
) -> None:
    with pytest.raises(InputError, match="at least 2 users with at least 2 items") as error:
        _dataset(users, items)
    assert found in str(error.value)
    assert "line 7: too short" in str(error.value)


def test_parts_that_do_not_fit_are_refused() -> None:
    dataset = _dataset([0, 1], [0, 1])
    with pytest.raises(InputError, match="distinct"):
        replace(dataset, user_ids=("u", "u", "v"))
    with pytest.raises(InputError, match="cohort of 2 users"):
        replace(dataset, user_ids=("u", "v"))
    with pytest.raises(InputError, match="gender"):
        replace(dataset, attributes={"gender": ("F",)})
    with pytest.raises(InputError, match="same users"):
        Split(name="bad", train=dataset.cohort, test=dataset.cohort.slice(0, 2))
    with pytest.raises(InputError, match="negatives"):
        Split(
            name="bad",
            train=dataset.cohort,
            test=dataset.cohort,
            negatives=np.zeros((2, 5), np.int32),
        )
