from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privet.client.ranking.categories import Categories
from privet.client.ranking.context import (
    context_weights,
    same_kind_of_day,
    same_part_of_day,
    same_session,
)
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

CATEGORIES = Categories.of(
    Catalogue(
        item_ids=("n", "c", "b", "-"), categories=(("News",), ("Comedy",), ("News", "Comedy"), ())
    )
)
_TIMES = st.integers(1, 4_000_000_000)


@settings(deadline=None)
@given(st.lists(_TIMES, min_size=1), _TIMES, st.integers(-12, 14))
def test_parts_and_kinds_of_days_are_those_of_the_calendar(
    times: list[int], now: int, hours: int
) -> None:
    zone = timezone(timedelta(hours=hours))
    local = [datetime.fromtimestamp(time, UTC).astimezone(zone) for time in (*times, now)]
    array, offset = np.array(times, np.int64), hours * 3600
    part = same_part_of_day(array, now, utc_offset_s=offset).tolist()
    kind = same_kind_of_day(array, now, utc_offset_s=offset).tolist()
    assert part == [t.hour // 6 == local[-1].hour // 6 for t in local[:-1]]
    assert kind == [(t.weekday() >= 5) == (local[-1].weekday() >= 5) for t in local[:-1]]


def test_a_session_goes_back_until_the_first_long_gap() -> None:
    now = 100_000
    times = np.array([now - 5000, now - 100, 0, now - 1500, now + 10, now - 1800 - 1501], np.int64)
    assert same_session(times, now).tolist() == [False, True, False, True, False, False]
    assert same_session(times, now, gap_s=1801).tolist() == [True, True, False, True, False, True]
    assert not same_session(times, now + 10_000).any()
    assert not same_session(np.zeros(0, np.int64), now).any()
    assert not same_session(np.zeros(3, np.int64), 100).any(), "unknown times are in no session"


def test_what_is_usual_or_unknown_weighs_nothing() -> None:
    items = np.array([0, 1, 0, 1, 3])
    assert not context_weights(CATEGORIES, items, np.zeros(5, bool), strength=1.0).any()
    usual = context_weights(CATEGORIES, items, np.array([1, 1, 0, 0, 1], bool), strength=1.0)
    np.testing.assert_allclose(usual, 0, atol=1e-12)
    assert not context_weights(CATEGORIES, np.array([3]), np.array([True]), strength=1.0).any()
    assert not context_weights(CATEGORIES, items, np.ones(5, bool), strength=0.0).any()


def test_news_in_the_morning_weighs_what_the_formula_says() -> None:
    items = np.array([0] * 10 + [1] * 10)
    morning = np.array([1] * 10 + [0] * 10, bool)
    comedy, news = context_weights(CATEGORIES, items, morning, strength=2.0, prior=20.0)
    assert news == pytest.approx(2 * np.log(((10 + 10) / 30) / 0.5))
    assert comedy == pytest.approx(2 * np.log(((0 + 10) / 30) / 0.5))


def test_what_does_not_fit_is_refused() -> None:
    for wrong in ({"strength": -1.0}, {"strength": np.nan}, {"strength": 1.0, "prior": 0.0}):
        with pytest.raises(InputError, match="strength"):
            context_weights(CATEGORIES, np.array([0]), np.array([True]), **wrong)
    with pytest.raises(InputError, match="each event"):
        context_weights(CATEGORIES, np.array([0]), np.ones(2, bool), strength=1.0)
