"""Intervals contain the truth as often as they say.

Coverage is counted over 4,000 repetitions: its standard deviation is 0.0034 at 0.95, and we accept
four of them, so a fresh seed would raise a false alarm once in 16,000 runs. A 90 % or a 99 %
interval is 10 or more standard deviations away.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from privet.privacy.errors import InputError
from privet.simulations.evaluation.intervals import (
    NORMAL_FROM,
    Estimate,
    mean_interval,
    over_seeds,
    paired_difference,
)

REPETITIONS = 4000
SLACK = 4 * (0.95 * 0.05 / REPETITIONS) ** 0.5

Draw = Callable[[np.random.Generator], Estimate]


def share_covered(draw: Draw, truth: float) -> float:
    rng = np.random.default_rng(20240611)
    estimates = [draw(rng) for _ in range(REPETITIONS)]
    return float(np.mean([one.low <= truth <= one.high for one in estimates]))


@pytest.mark.parametrize("n", [2, 5, 30, NORMAL_FROM, 400])
def test_the_interval_of_a_normal_mean_covers_it_19_times_in_20(n: int) -> None:
    covered = share_covered(lambda rng: mean_interval(rng.normal(3, 2, n)), 3.0)
    assert abs(covered - 0.95) < SLACK + 0.003  # the normal quantile at n = 100 gives 0.9472


def test_the_interval_of_a_hit_rate_covers_it_19_times_in_20() -> None:
    covered = share_covered(
        lambda rng: mean_interval((rng.random(2000) < 0.1).astype(float), bounds=(0, 1)), 0.1
    )
    assert abs(covered - 0.95) < SLACK + 0.005  # counts are discrete


def test_paired_differences_cover_the_difference_that_separate_intervals_cannot_see() -> None:
    def draw(rng: np.random.Generator) -> Estimate:
        user = rng.normal(0.5, 0.2, 200)
        first, second = (user + gap + rng.normal(0, 0.01, 200) for gap in (0.01, 0.0))
        paired = paired_difference(first, second)
        assert (paired.high - paired.low) < 0.2 * (
            mean_interval(first).high - mean_interval(first).low
        )
        return paired

    assert abs(share_covered(draw, 0.01) - 0.95) < SLACK + 0.003


def test_means_over_seeds_cover_the_truth_with_three_runs() -> None:
    covered = share_covered(lambda rng: over_seeds(list(rng.normal(0.2, 0.01, 3))), 0.2)
    assert abs(covered - 0.95) < SLACK


@pytest.mark.parametrize("n", [2, 40, 2000])
def test_no_hit_at_all_leaves_every_rate_that_would_show_none_once_in_20_times(n: int) -> None:
    found = mean_interval(np.zeros(n), bounds=(0, 1))
    assert (found.mean, found.low) == (0, 0)
    assert (1 - found.high) ** n == pytest.approx(0.05)


@pytest.mark.parametrize("n", [2, 17, NORMAL_FROM - 1])
def test_small_samples_get_students_t(n: int) -> None:
    values = np.random.default_rng(n).random(n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    found = mean_interval(values)
    assert (found.low, found.high) == pytest.approx((low, high))
    seeds = over_seeds(list(values))
    assert (seeds.low, seeds.high, seeds.users) == pytest.approx((low, high, n))


def test_intervals_stay_within_what_a_metric_can_be() -> None:
    found = mean_interval(np.array([0.0, 0.0, 1.0]), bounds=(0, 1))
    assert (found.low, found.high) == (0.0, 1.0)


def test_one_value_says_nothing_of_the_spread() -> None:
    bounded = mean_interval(np.array([0.3]), bounds=(0, 1))
    assert (bounded.low, bounded.high) == (0, 1)
    free = mean_interval(np.array([0.3]))
    assert (free.low, free.high) == (-np.inf, np.inf)
    assert free.to_dict() == {"mean": 0.3, "low": None, "high": None, "users": 1}


def test_two_equal_models_differ_by_zero_but_not_certainly() -> None:
    hits = np.ones(60)
    found = paired_difference(hits, hits)
    assert found.mean == 0
    assert found.low == pytest.approx(-found.high)
    assert 0.04 < found.high < 0.06


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([]), "at least one value"),
        (np.array([0.1, np.nan]), "finite"),
        (np.array([0.1, np.inf]), "finite"),
        (np.array([0.1, 1.5]), "outside"),
    ],
)
def test_values_without_a_mean_are_refused(values: NDArray[np.float64], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mean_interval(values, bounds=(0, 1))


def test_pairs_of_different_users_are_refused() -> None:
    with pytest.raises(InputError, match="same users"):
        paired_difference(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize("runs", [[], [0.1]])
def test_one_seed_is_no_sample_of_seeds(runs: list[float]) -> None:
    with pytest.raises(InputError, match="at least 2 runs"):
        over_seeds(runs)
