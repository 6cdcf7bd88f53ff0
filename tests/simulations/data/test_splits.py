import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Split
from privet.simulations.data.splits import (
    drop_positives,
    keep_events,
    leave_one_out,
    merge,
    random_split,
    time_split,
)

N_USERS, N_ITEMS = 6, 12


def _cohort(events: dict[tuple[int, int], int], *, n_items: int = N_ITEMS) -> Cohort:
    pairs = np.array(sorted(events), np.int64).reshape(-1, 2)
    times = np.array([events[user, item] for user, item in pairs.tolist()], np.int64)
    return Cohort.from_pairs(
        pairs[:, 0],
        pairs[:, 1],
        n_users=N_USERS,
        n_items=n_items,
        weights=np.arange(1, len(pairs) + 1, dtype=float),
        times=times,
    )


def _events(cohort: Cohort | None) -> list[tuple[Any, ...]]:
    if cohort is None:
        return []
    columns = (cohort.rows, cohort.items, cohort.weights, cohort.times)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _assert_partition(split: Split, cohort: Cohort) -> None:
    parts = _events(split.train) + _events(split.valid) + _events(split.test)
    assert sorted(parts) == _events(cohort)


def _cohorts(times: st.SearchStrategy[int], least: int) -> st.SearchStrategy[Cohort]:
    pair = st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1))
    return st.dictionaries(pair, times, min_size=least, max_size=40).map(_cohort)


@given(_cohorts(st.integers(0, 4), 7), st.integers(0, 99))
def test_leave_one_out_partitions_and_holds_out_each_users_last(cohort: Cohort, seed: int) -> None:
    split = leave_one_out(cohort, rng=np.random.default_rng(seed), n_negatives=3)
    _assert_partition(split, cohort)
    assert np.array_equal(split.test.sizes, cohort.sizes >= 2)
    for row, _, _, when in _events(split.test):
        start, stop = cohort.indptr[row], cohort.indptr[row + 1]
        assert when == cohort.times[start:stop].max()


@given(
    _cohorts(st.integers(0, 4), 4),
    st.sampled_from([(0.2, 0.08), (0.5, 0.0), (0.3, 0.3), (0.01, 0.2)]),
    st.integers(0, 99),
)
def test_random_splits_partition_in_the_sizes_asked_for(
    cohort: Cohort, fractions: tuple[float, float], seed: int
) -> None:
    test, valid = fractions
    split = random_split(
        cohort, rng=np.random.default_rng(seed), test_fraction=test, valid_fraction=valid
    )
    _assert_partition(split, cohort)
    n = len(cohort.items)
    assert len(split.test.items) == max(1, round(test * n))
    assert (split.valid is None) == (valid == 0)
    assert split.valid is None or len(split.valid.items) == round(valid * n)


@settings(max_examples=60)
@given(
    _cohorts(st.integers(1, 30), 8).filter(lambda cohort: len(set(cohort.times.tolist())) > 6),
    st.sampled_from([(0.2, 0.0), (0.3, 0.2)]),
)
def test_time_splits_partition_and_nothing_is_before_an_earlier_part(
    cohort: Cohort, fractions: tuple[float, float]
) -> None:
    try:
        split = time_split(cohort, test_fraction=fractions[0], valid_fraction=fractions[1])
    except InputError as error:
        assert "same time" in str(error)
        return
    _assert_partition(split, cohort)
    assert len(split.test.items) >= fractions[0] * len(cohort.items) - 1
    times = [part.times for part in (split.train, split.valid, split.test) if part is not None]
    known = [part for part in times if len(part)]
    for earlier, later in itertools.pairwise(known):
        assert earlier.max() < later.min()


@given(_cohorts(st.integers(0, 4), 4), st.integers(0, 99))
def test_merging_the_parts_gives_the_whole_back(cohort: Cohort, seed: int) -> None:
    split = random_split(cohort, rng=np.random.default_rng(seed), valid_fraction=0)
    assert _events(merge(split.train, split.test)) == _events(cohort)
    assert _events(merge(cohort, split.test)) == _events(cohort)


def test_merging_keeps_the_devices_and_refuses_others() -> None:
    cohort = _cohort({(user, item): 1 for user in range(N_USERS) for item in (1, 2)})
    late = cohort.slice(3, 6)
    assert merge(late, late).devices.tolist() == [3, 4, 5]
    with pytest.raises(InputError, match="same devices"):
        merge(late, cohort.slice(0, 3))
    with pytest.raises(InputError, match="same items"):
        merge(cohort, _cohort({(0, 1): 1}, n_items=N_ITEMS + 1))


def test_without_times_the_held_out_item_is_uniform() -> None:
    cohort = _cohort({(0, item): 0 for item in range(4)})
    rng = np.random.default_rng(7)
    drawn = [leave_one_out(cohort, rng=rng, n_negatives=0).test.items[0] for _ in range(2000)]
    counts = np.bincount(drawn, minlength=4)
    assert np.all(np.abs(counts - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75))


def test_the_same_seed_makes_the_same_split() -> None:
    cohort = _cohort({(user, item): 0 for user in range(4) for item in range(user, 9)})
    one, two = (leave_one_out(cohort, rng=np.random.default_rng(3)) for _ in range(2))
    assert _events(one.test) == _events(two.test)
    assert np.array_equal(np.asarray(one.negatives), np.asarray(two.negatives))


@given(_cohorts(st.just(0), 7), st.integers(0, 99), st.integers(0, 15))
def test_negatives_are_distinct_unseen_and_as_many_as_there_are(
    cohort: Cohort, seed: int, k: int
) -> None:
    split = leave_one_out(cohort, rng=np.random.default_rng(seed), n_negatives=k)
    assert split.negatives is not None and split.negatives.shape == (N_USERS, k)
    for row in range(N_USERS):
        drawn = [item for item in split.negatives[row].tolist() if item >= 0]
        seen = split.train.items[split.train.indptr[row] : split.train.indptr[row + 1]].tolist()
        assert len(set(drawn)) == len(drawn)
        assert not set(drawn) & set(seen)
        expected = min(k, N_ITEMS - len(seen)) if split.test.sizes[row] else 0
        assert len(drawn) == expected


def test_negatives_do_not_know_the_held_out_item() -> None:
    # Train histories equal, held-out items different, same rng: the negatives must be equal.
    train = {(user, item): 1 for user in range(N_USERS) for item in (2, 5)}
    drawn = []
    for held_out in (0, 3, 11):
        cohort = _cohort(train | {(user, held_out): 9 for user in range(N_USERS)})
        split = leave_one_out(cohort, rng=np.random.default_rng(1), n_negatives=4)
        assert set(split.test.items.tolist()) == {held_out}
        drawn.append(np.asarray(split.negatives))
    assert all(np.array_equal(drawn[0], other) for other in drawn[1:])


def test_the_held_out_item_is_drawn_as_often_as_any_other_unseen_item() -> None:
    cohort = _cohort({(0, 2): 1, (0, 5): 1, (0, 7): 9})
    rng = np.random.default_rng(11)
    counts = np.zeros(N_ITEMS)
    for _ in range(2000):
        negatives = leave_one_out(cohort, rng=rng, n_negatives=3).negatives
        assert negatives is not None
        counts[negatives[0]] += 1
    assert counts[[2, 5]].tolist() == [0, 0]
    expected, spread = 2000 * 3 / 10, np.sqrt(2000 * 0.3 * 0.7)
    unseen = np.delete(counts, [2, 5])
    assert np.all(np.abs(unseen - expected) < 5 * spread)


def test_dropping_positives_marks_exactly_the_users_own() -> None:
    test = keep_events(_cohort({(0, 3): 1, (1, 4): 1}), np.array([True, True]))
    negatives = np.full((N_USERS, 3), -1, np.int32)
    negatives[0] = [4, 3, -1]
    negatives[1] = [4, 0, 3]
    dropped = drop_positives(negatives, test)
    assert dropped[0].tolist() == [4, -1, -1]
    assert dropped[1].tolist() == [-1, 0, 3]
    assert dropped.dtype == np.int32
    assert np.array_equal(drop_positives(dropped, test), dropped)


def test_splits_that_cannot_be_made_are_refused() -> None:
    rng = np.random.default_rng(0)
    timeless = _cohort({(user, user): 0 for user in range(N_USERS)})
    with pytest.raises(InputError, match="two events"):
        leave_one_out(timeless, rng=rng)
    with pytest.raises(InputError, match="n_negatives=-1"):
        leave_one_out(timeless, rng=rng, n_negatives=-1)
    with pytest.raises(InputError, match="6 of 6"):
        time_split(timeless)
    at_once = _cohort({(user, user): 5 for user in range(N_USERS)})
    with pytest.raises(InputError, match="same time"):
        time_split(at_once)
    with pytest.raises(InputError, match=r"test_fraction=0\.9"):
        random_split(at_once, rng=rng, test_fraction=0.9, valid_fraction=0.2)
    with pytest.raises(InputError, match="too few"):
        random_split(_cohort({(0, 0): 1}), rng=rng)
