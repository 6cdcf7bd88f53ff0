"""A device that has nothing to do looks less and less often, and finds a request in time all the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.client.embedded.pace import Pace
from privet.privacy.errors import InputError

SECONDS = st.floats(0.01, 100.0)


@given(first=SECONDS, factor=st.floats(1.0, 1000.0), quiet=SECONDS)
def test_a_request_is_found_within_half_of_the_quiet_before_it(
    first: float, factor: float, quiet: float
) -> None:
    pace = Pace(poll_seconds=first, idle_seconds=first * factor)
    looked = pace.busy()
    while looked < quiet:
        looked += pace.idle()
    late = looked - quiet
    # 0.8 is how much a wait may be shortened: the quiet that was waited for counts that much more.
    assert late <= first + 0.5 * quiet / 0.8
    assert late <= first * factor


@given(first=SECONDS, factor=st.floats(1.0, 1000.0))
def test_looks_become_rare_and_begin_anew_after_a_request(first: float, factor: float) -> None:
    longest = first * factor
    pace = Pace(poll_seconds=first, idle_seconds=longest)
    waits = [pace.idle() for _ in range(30)]
    assert all(0.8 * first <= wait <= longest for wait in waits)
    assert waits[-1] >= 0.8 * longest
    assert 0.8 * first <= pace.busy() <= first
    assert pace.idle() <= 1.5 * first


def test_an_hour_of_quiet_costs_few_looks() -> None:
    pace, looks, passed = Pace(), 0, 0.0
    while passed < 3600:
        looks, passed = looks + 1, passed + pace.idle()
    assert looks < 320  # 3,600 at one a second


@given(devices=st.integers(1, 1_000_000))
def test_however_many_devices_look_about_ten_times_a_second_together(devices: int) -> None:
    pace = Pace.among(devices)
    assert pace.busy() <= max(1.0, devices / 20)
    waits = [pace.idle() for _ in range(40)]
    assert 0.8 * max(15.0, devices / 10) <= waits[-1] <= max(15.0, devices / 10)
    assert devices < 150 or devices / waits[-1] <= 10 / 0.8 + 1e-6


def test_devices_that_were_asked_together_come_back_apart() -> None:
    paces = [Pace(poll_seconds=10.0, idle_seconds=60.0) for _ in range(50)]
    waits = sorted(pace.busy() for pace in paces)
    assert waits[-1] - waits[0] > 1.0


@pytest.mark.parametrize("poll, idle", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_a_pace_that_is_none_is_refused(poll: float, idle: float) -> None:
    with pytest.raises(InputError, match="poll_seconds"):
        Pace(poll_seconds=poll, idle_seconds=idle)
