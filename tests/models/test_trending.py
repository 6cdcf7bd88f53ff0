"""Trending: windows, decay, and what a device says in its turn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.models.cohort import Cohort
from privet.models.model import Release
from privet.models.plan import PublicFacts, Step
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.randomness import Randomness

START, DAY = 1_000_000, 86_400
MODEL = Trending(rounds=10, separation=3, bands=3, half_life=2.0)


def facts(start: int = START, end: int = START + 10 * DAY) -> PublicFacts:
    return PublicFacts(
        devices=30, items=6, epsilon=4.0, delta=1e-4, trust=Trust.CENTRAL, start=start, end=end
    )


def one_device(times: list[int], items: list[int]) -> Cohort:
    return Cohort.from_pairs(
        np.zeros(len(items), np.int64),
        np.array(items, np.int64),
        n_users=1,
        n_items=6,
        times=np.array(times, np.int64),
    )


def offered(step: Step, cohort: Cohort) -> np.ndarray:
    found, _ = MODEL.contribute(step, {}, {}, cohort, Randomness.insecure_seeded(0))
    return found.dense()


def test_windows_follow_each_other_and_end_with_the_period() -> None:
    steps = MODEL.steps(facts())
    assert [step.until for step in steps] == [START + (i + 1) * DAY for i in range(10)]
    assert [step.since for step in steps] == [START + max(0, i - 2) * DAY for i in range(10)]


@given(
    st.integers(1, 30),
    st.integers(1, 9),
    st.integers(1, 10**6),
    st.integers(0, 10**9),
)
def test_every_moment_of_the_period_is_in_one_turn_of_every_device(
    rounds: int, separation: int, length: int, start: int
) -> None:
    """From its first turn to its last: nothing is told twice, and nothing is left out."""
    model = Trending(rounds=rounds, separation=separation, bands=1)
    steps = model.steps(facts(start + 1, start + 1 + length))
    for slot in range(min(separation, rounds)):
        turns = [s for i, s in enumerate(steps) if i % separation == slot]
        assert turns[0].since == start + 1
        assert all(a.until == b.since for a, b in pairwise(turns))
    assert steps[-1].until == start + 1 + length


def test_a_device_offers_what_it_touched_in_its_window_and_nothing_else() -> None:
    cohort = one_device([START, START + DAY, START + 4 * DAY - 1, START + 4 * DAY], [0, 1, 2, 3])
    steps = MODEL.steps(facts())
    assert np.allclose(offered(steps[3], cohort), [[0, 2**-0.5, 2**-0.5, 0, 0, 0]])
    assert np.allclose(offered(steps[0], cohort), [[1, 0, 0, 0, 0, 0]])
    assert not offered(steps[9], cohort).any()


def test_events_without_a_time_are_in_no_window_of_a_known_period() -> None:
    cohort = one_device([0, START + 1], [0, 1])
    assert np.allclose(offered(MODEL.steps(facts())[0], cohort), [[0, 1, 0, 0, 0, 0]])
    bare = MODEL.steps(facts(0, 0))
    assert np.allclose(offered(bare[0], cohort), [[2**-0.5, 2**-0.5, 0, 0, 0, 0]])


def test_what_was_popular_half_a_life_ago_counts_half() -> None:
    shared: dict[str, np.ndarray] = {}
    steps = MODEL.steps(facts())
    for number, step in enumerate(steps[:3]):
        total = np.array([1.0, 0, 0, 0, 0, 0]) if number == 0 else np.zeros(6)
        release = Release(step=step, total=total, noise_std=1.0, devices=10)
        shared = dict(MODEL.update(step, shared, release, facts()))
    assert shared["weights"][0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong",
    [{"rounds": 0}, {"separation": 0}, {"bands": 0}, {"bands": 41}, {"half_life": 0.0},
     {"half_life": float("nan")}],
)  # fmt: skip
def test_impossible_hyper_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Trending(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "end"), [(5, 5), (5, 4), (-5, 4), (5, 0)])
def test_a_period_that_is_none_is_refused(start: int, end: int) -> None:
    with pytest.raises((InputError, PrivacyError), match="before end"):
        facts(start, end)
