"""Unicity is the share of users whom p of their own items single out."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.anonymization.histories import Histories, Proportion
from privet.privacy.anonymization.unicity import unicity
from privet.privacy.errors import InputError

EVENTS = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 4)),
    st.tuples(st.integers(1, 2), st.integers(0, 20)),
    min_size=1,
)


def _histories(events: dict[tuple[int, int], tuple[int, int]]) -> Histories:
    users, items = zip(*events, strict=True)
    ratings, times = zip(*events.values(), strict=True)
    return Histories.of(users, items, ratings=ratings, times=times)


def test_unicity_of_histories_computed_by_hand() -> None:
    # Users 1 and 2 have the same items, user 3 shares item 10 with them, user 4 has one item.
    users, items = [1, 1, 2, 2, 3, 3, 4], [10, 11, 10, 11, 10, 12, 12]
    rng = np.random.default_rng(0)
    found = unicity(Histories.of(users, items), 2, rng=rng)
    assert (found.unique.successes, found.unique.trials, found.too_short) == (1, 3, 1)
    ratings = [5, 5, 5, 4, 5, 5, 5]
    found = unicity(Histories.of(users, items, ratings=ratings), 2, rng=rng, ratings=True)
    assert found.unique.share == 1
    times = [0, 10, 8, 7, 0, 0, 0]
    dated = Histories.of(users, items, times=times)
    assert unicity(dated, 2, rng=rng, time_bucket=9).unique.share == 1
    assert unicity(dated, 2, rng=rng, time_bucket=11).unique.successes == 1


@given(events=EVENTS, p=st.integers(1, 3), ratings=st.booleans(), bucket=st.sampled_from([None, 7]))
def test_the_share_lies_between_the_least_and_the_most_that_any_draw_gives(
    events: dict[tuple[int, int], tuple[int, int]], p: int, ratings: bool, bucket: int | None
) -> None:
    known: dict[int, set[Any]] = {}
    for (user, item), (rating, time) in events.items():
        token = (item, rating if ratings else 0, time // bucket if bucket else 0)
        known.setdefault(user, set()).add(token)
    draws = {
        user: [
            sum(set(drawn) <= other for other in known.values()) == 1
            for drawn in combinations(own, p)
        ]
        for user, own in known.items()
        if len(own) >= p
    }
    if not draws:
        with pytest.raises(InputError, match=f"{p} items"):
            unicity(_histories(events), p, rng=np.random.default_rng(0))
        return
    found = unicity(
        _histories(events), p, rng=np.random.default_rng(1), ratings=ratings, time_bucket=bucket
    )
    assert found.unique.trials == len(draws)
    assert found.too_short == len(known) - len(draws)
    assert sum(map(all, draws.values())) <= found.unique.successes
    assert found.unique.successes <= sum(map(any, draws.values()))


def test_a_sample_of_users_is_what_was_asked_for_and_repeats_with_its_generator() -> None:
    rng = np.random.default_rng(3)
    data = Histories.of(
        np.repeat(np.arange(50), 4),
        rng.permuted(np.tile(np.arange(9), (50, 1)), axis=1)[:, :4].ravel(),
    )
    first, second = (unicity(data, 3, rng=np.random.default_rng(8), max_users=20) for _ in range(2))
    assert first == second
    assert first.unique.trials == 20


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20 and 1 of 29.
    for successes, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = Proportion.of(successes, trials)
        assert found.low == pytest.approx(low, abs=6e-5)
        assert found.high == pytest.approx(high, abs=6e-5)
    assert Proportion.of(20, 20).high == 1
    for wrong in [(1, 0), (-1, 5), (6, 5)]:
        with pytest.raises(InputError):
            Proportion.of(*wrong)
    with pytest.raises(InputError):
        Proportion.of(1, 2, confidence=1)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ({"users": [], "items": []}, "at least one event"),
        ({"users": [1, 2], "items": [1]}, "one length"),
        ({"users": [1, 1], "items": [2, 2]}, "twice"),
        ({"users": [[1], [2, 3]], "items": [2, 3]}, "users"),
        ({"users": [1.5], "items": [2]}, "users"),
        ({"users": [1], "items": ["a"]}, "items"),
        ({"users": [[1]], "items": [[2]]}, "users"),
        ({"users": [1], "items": [2], "ratings": [np.nan]}, "ratings"),
        ({"users": [1], "items": [2], "ratings": ["5"]}, "ratings"),
        ({"users": [1], "items": [2], "times": [np.inf]}, "times"),
        ({"users": [1], "items": [2], "times": [1, 2]}, "one length"),
    ],
)
def test_histories_that_are_none_are_refused(events: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Histories.of(**events)


def test_what_cannot_be_known_is_refused() -> None:
    bare, rng = Histories.of([1, 2], [1, 2]), np.random.default_rng(0)
    with pytest.raises(InputError, match="ratings"):
        unicity(bare, 1, rng=rng, ratings=True)
    with pytest.raises(InputError, match="times"):
        unicity(bare, 1, rng=rng, time_bucket=1)
    for wrong in [0, -1]:
        with pytest.raises(InputError, match="at least 1"):
            unicity(bare, wrong, rng=rng)
        with pytest.raises(InputError, match="at least 1"):
            unicity(bare, 1, rng=rng, max_users=wrong)
    timed = Histories.of([1, 2], [1, 2], times=[1, 2])
    for bucket in [0, -1, np.nan, np.inf]:
        with pytest.raises(InputError, match="time_bucket"):
            unicity(timed, 1, rng=rng, time_bucket=bucket)
