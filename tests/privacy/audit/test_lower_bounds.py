"""Lower bounds: below the truth as often as they say, above a false claim, with the power printed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.accounting.gaussian import gaussian_epsilon
from privet.privacy.audit.canaries import CanaryScores
from privet.privacy.audit.counting import clopper_pearson, counting_bound
from privet.privacy.audit.curve import curve_bound, rules_out
from privet.privacy.audit.lower_bounds import audit_claim
from privet.privacy.audit.mu_test import mu_bound, mu_power
from privet.privacy.audit.one_run import one_run_bound, p_value
from privet.privacy.audit.one_shot import one_shot_estimate
from privet.privacy.audit.power import ideal_scores
from privet.privacy.errors import InputError

DELTA = 1e-5
"""Of all claims here."""


def gaussian_scores(canaries: int, mu: float, seed: int) -> CanaryScores:
    """What canaries in directions of their own look like in Gaussian noise."""
    return ideal_scores(np.random.default_rng([seed, canaries]).standard_normal(canaries), mu)


def bounds(scores: CanaryScores, confidence: float = 0.95) -> dict[str, float]:
    """All methods, each bound as a mu or an epsilon, whichever it is."""
    return {
        "mu": mu_bound(scores, confidence=confidence),
        "curve": curve_bound(scores, confidence=confidence),
        "counting": counting_bound(scores, delta=DELTA, confidence=confidence),
        "one-run": one_run_bound(scores, delta=DELTA, confidence=confidence),
    }


def test_mu_bound_is_below_the_truth_as_often_as_it_says() -> None:
    # 1,000 audits at 90 %: 100 failures expected, 60 to 140 are within four deviations.
    wrong = sum(
        mu_bound(gaussian_scores(60, 1.5, seed), confidence=0.9) > 1.5 for seed in range(1000)
    )
    assert 60 <= wrong <= 140


def randomized_response(canaries: int, epsilon: float, seed: int) -> CanaryScores:
    """The coins, each told truly with the most probability that pure epsilon allows."""
    rng = np.random.default_rng(seed)
    coins = rng.random(canaries) < 0.5
    told = coins ^ (rng.random(canaries) > 1 / (1 + math.exp(-epsilon)))
    return CanaryScores.of(told + 1e-9 * rng.random(canaries), coins)


@pytest.mark.parametrize("method", ["one-run", "counting"])
def test_epsilon_bounds_hold_where_they_are_tight(method: str) -> None:
    wrong, found = 0, []
    for seed in range(100):
        scores = randomized_response(400, 1.0, seed)
        bound = one_run_bound if method == "one-run" else counting_bound
        found.append(bound(scores, delta=0.0))
        wrong += found[-1] > 1.0
    assert wrong <= 12  # of 100 at 95 %: more than three deviations above 5
    assert np.median(found) > 0.3  # and says something


def test_curve_bound_holds_for_guesses_that_are_as_good_as_can_be() -> None:
    wrong = sum(curve_bound(gaussian_scores(200, 1.0, seed)) > 1.0 for seed in range(40))
    assert wrong <= 6


@pytest.mark.parametrize("mu", [0.5, 1.0])
def test_no_bound_is_above_what_a_sound_mechanism_has(mu: float) -> None:
    for seed in range(5):
        found = bounds(gaussian_scores(500, mu, seed), confidence=1 - 0.05 / 20)
        assert found["mu"] <= mu and found["curve"] <= mu
        assert found["counting"] <= gaussian_epsilon(mu, DELTA)
        assert found["one-run"] <= gaussian_epsilon(mu, DELTA)


def test_mu_test_sees_what_counting_does_not() -> None:
    # A fifth of the noise is missing: counting is far from seeing it, the parametric test sees it.
    found = bounds(gaussian_scores(1000, 1.0 / 0.8, 3))
    claimed = gaussian_epsilon(1.0, DELTA)
    assert found["mu"] > 1.0
    assert max(found["counting"], found["one-run"]) < claimed


def test_an_unprotected_mechanism_is_caught_by_all() -> None:
    rng = np.random.default_rng(0)
    coins = rng.random(2000) < 0.5
    scores = CanaryScores.of(coins + 1e-6 * rng.random(2000), coins)
    found = bounds(scores)
    claimed = gaussian_epsilon(0.5, DELTA)
    assert found["mu"] > 100 and found["curve"] > 0.5
    assert found["counting"] > claimed and found["one-run"] > claimed


@pytest.mark.parametrize("half", [100, 500])
def test_power_is_what_it_says(half: int) -> None:
    power = mu_power(included=half, excluded=half, claimed=1.0)
    assert 0.5 < power < 1
    seen = [
        np.mean([mu_bound(gaussian_scores(2 * half, 1 / f, seed)) > 1 for seed in range(400)])
        for f in (power, (1 + power) / 2)
    ]
    assert 0.84 < seen[0] < 0.96 and seen[1] < seen[0]


def test_more_canaries_see_smaller_flaws() -> None:
    epsilon = gaussian_epsilon(1.0, DELTA)
    few, many = (
        audit_claim(
            gaussian_scores(n, 1.0, 0),
            mu=1.0,
            epsilon=epsilon,
            delta=DELTA,
            rng=np.random.default_rng(7),
        )
        for n in (50, 400)
    )
    assert not few.broken and not many.broken
    for small, large in zip(few.bounds, many.bounds, strict=True):
        assert 0 <= small.power <= large.power < 1
    assert many.bounds[0].power == max(bound.power for bound in many.bounds) > 0.7


def test_an_audit_calls_a_false_claim_broken_and_says_by_what() -> None:
    epsilon = gaussian_epsilon(1.0, DELTA)
    found = audit_claim(
        gaussian_scores(400, 2.0, 0),
        mu=1.0,
        epsilon=epsilon,
        delta=DELTA,
        rng=np.random.default_rng(7),
    )
    assert found.broken
    assert {bound.method for bound in found.bounds if bound.broken} >= {"mu"}
    blind = audit_claim(
        gaussian_scores(400, 2.0, 0),
        mu=1.0,
        epsilon=epsilon,
        delta=DELTA,
        rng=np.random.default_rng(7),
        parametric=False,
    )
    assert "mu" not in {bound.method for bound in blind.bounds}


def test_false_alarms_of_chosen_thresholds_stay_within_the_confidence() -> None:
    # Choosing the best of a hundred thresholds on the canaries that are counted would alarm often.
    alarms = sum(
        counting_bound(gaussian_scores(200, 0.0, seed), delta=0.0) > 0 for seed in range(400)
    )
    assert alarms <= 35  # 20 expected at most, 35 is more than three deviations above


def test_clopper_pearson_covers() -> None:
    from scipy.stats import binom

    for p in (0.01, 0.3, 0.97):
        weights = binom.pmf(np.arange(31), 30, p)
        missed_low = sum(w for k, w in enumerate(weights) if clopper_pearson(k, 30, 0.05)[0] > p)
        missed_high = sum(w for k, w in enumerate(weights) if clopper_pearson(k, 30, 0.05)[1] < p)
        assert missed_low <= 0.05 and missed_high <= 0.05


def test_p_value_of_pure_privacy_is_the_binomial_tail() -> None:
    from scipy.stats import binom

    q = 1 / (1 + math.exp(-0.7))
    assert p_value(50, 20, 15, 0.7, 0.0) == pytest.approx(binom.sf(14, 20, q))
    assert p_value(50, 20, 15, 0.7, 1e-3) > p_value(50, 20, 15, 0.7, 0.0)


@given(st.integers(2, 60), st.data())
def test_curve_at_mu_zero_is_at_least_as_careful_as_coins(
    guesses: int, data: st.DataObject
) -> None:
    from scipy.stats import binom

    right = data.draw(st.integers(guesses // 2 + 1, guesses))
    if rules_out(0.0, canaries=guesses, guesses=guesses, right=right, error=0.05):
        assert binom.sf(right - 1, guesses, 0.5) <= 0.05


def test_ties_are_no_evidence() -> None:
    rng = np.random.default_rng(5)
    coins = rng.random(400) < 0.5
    found = bounds(CanaryScores.of(np.zeros(400), coins))
    assert set(found.values()) == {0.0}


def test_one_shot_estimates_a_gaussian_that_is_known() -> None:
    # Cosines with mean 2 / sqrt(d) and a stranger's deviation are a Gaussian mechanism of mu 2.
    rng = np.random.default_rng(1)
    d = 100_000
    cosines = (rng.standard_normal(2000) + 2) / math.sqrt(d)
    found = one_shot_estimate(cosines, dimension=d, delta=DELTA)
    assert found.epsilon == pytest.approx(gaussian_epsilon(2.0, DELTA), rel=0.08)
    nothing = one_shot_estimate(cosines - 2 / math.sqrt(d), dimension=d, delta=0.05)
    assert nothing.epsilon < 0.2


def test_bad_scores_are_refused() -> None:
    with pytest.raises(InputError, match="at least 8"):
        CanaryScores(included=np.ones(3), excluded=np.zeros(3))
    with pytest.raises(InputError, match="finite"):
        CanaryScores(included=np.full(9, np.nan), excluded=np.zeros(9))
    with pytest.raises(InputError, match="confidence"):
        mu_bound(gaussian_scores(20, 1.0, 0), confidence=1.0)
    with pytest.raises(InputError, match="dimension"):
        one_shot_estimate(np.zeros(20), dimension=10, delta=DELTA)
