"""What is reported of a run's privacy: every figure a bound, and consistent with the others."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy import special

from privet.privacy.accounting.accountants import claimed_delta, claimed_epsilon
from privet.privacy.accounting.events import (
    Event,
    FixedSizeGaussianEvent,
    GaussianEvent,
    MatrixEvent,
    PoissonGaussianEvent,
    RandomizedResponseEvent,
    RepeatedEvent,
    SamplingKind,
    SkellamEvent,
    UnprotectedEvent,
)
from privet.privacy.accounting.gaussian import gaussian_delta, mu_bound
from privet.privacy.accounting.profile import PrivacyProfile, privacy_profile, true_positive_rate
from privet.privacy.accounting.renyi import renyi_divergence, zero_concentrated
from privet.privacy.errors import InputError

DELTA = 1e-6
SKELLAM = SkellamEvent(l2_sensitivity=1e3, l1_sensitivity=3e4, variance=1e6, dimension=1000)
POISSON = PoissonGaussianEvent(
    noise_multiplier=1.0,
    sampling_probability=0.01,
    implemented=SamplingKind.POISSON,
    secret=True,
)
FIXED = FixedSizeGaussianEvent(
    noise_multiplier=1.0,
    cohort=100,
    population=10_000,
    implemented=SamplingKind.FIXED_SIZE,
    secret=True,
)
RUNS: dict[str, list[Event]] = {
    "gaussian": [GaussianEvent(noise_multiplier=0.5)],
    "skellam": [SKELLAM] * 3,
    "poisson": [RepeatedEvent(event=POISSON, times=1000)],
    "fixed": [RepeatedEvent(event=FIXED, times=1000)],
    "matrix": [
        MatrixEvent(noise_multiplier=5, rounds=50, bands=5, separation=5, participations=10)
    ],
    "answers": [RandomizedResponseEvent(epsilon=1.0, categories=4)] * 2,
    "nothing": [],
    "unprotected": [UnprotectedEvent()],
}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> tuple[list[Event], PrivacyProfile]:
    events = RUNS[request.param]
    return events, privacy_profile(events, DELTA)


def test_every_figure_is_in_range_and_falls_as_it_must(run: tuple[Any, PrivacyProfile]) -> None:
    _, profile = run
    deltas = [delta for _, delta in profile.points]
    assert deltas == sorted(deltas, reverse=True) and 0 <= deltas[-1] <= deltas[0] <= 1
    assert profile.advantage == deltas[0]
    rates = [rate for _, rate in profile.true_positive_rates]
    assert rates == sorted(rates)
    for false, true in profile.true_positive_rates:
        assert false <= true <= 1
        assert true - false <= profile.advantage + 1e-9
    assert not any(isinstance(v, float) and math.isnan(v) for v in vars(profile).values())


def test_the_profile_and_epsilon_say_the_same(run: tuple[Any, PrivacyProfile]) -> None:
    events, profile = run
    assert profile.epsilon == claimed_epsilon(events, DELTA)
    if math.isinf(profile.epsilon):
        assert {delta for _, delta in profile.points} == {1.0}
        return
    assert claimed_delta(events, profile.epsilon) <= DELTA * (1 + 1e-6)
    if profile.epsilon > 0:
        assert claimed_delta(events, profile.epsilon * 0.99) > DELTA
    for epsilon, delta in profile.points:
        assert (delta <= DELTA * (1 + 1e-9)) == (epsilon >= profile.epsilon * (1 - 1e-9))


def test_a_mu_that_is_reported_bounds_the_profile(run: tuple[Any, PrivacyProfile]) -> None:
    events, profile = run
    assert (profile.mu is None) == (profile.mu_kind is None)
    if profile.mu is not None:
        assert profile.mu == mu_bound(events)
        for epsilon, delta in profile.points:
            assert delta <= gaussian_delta(profile.mu, epsilon) + 1e-15
            if profile.mu_kind == "exact":
                assert delta == gaussian_delta(profile.mu, epsilon)


def test_a_profile_is_plain_json(run: tuple[Any, PrivacyProfile]) -> None:
    _, profile = run
    body = json.loads(json.dumps(profile.to_dict(), allow_nan=False))
    assert body["points"] == [list(point) for point in profile.points]
    assert (body["epsilon"] is None) == math.isinf(profile.epsilon)
    with pytest.raises(AttributeError):
        profile.epsilon = 0.0  # type: ignore[misc]


def test_who_has_a_mu_and_a_rho_and_of_which_kind() -> None:
    kinds = {name: privacy_profile(events, DELTA) for name, events in RUNS.items()}
    assert {n: p.mu_kind for n, p in kinds.items()} == {
        "gaussian": "exact", "skellam": None, "poisson": "upper", "fixed": "upper",
        "matrix": "exact", "answers": "upper", "nothing": "exact", "unprotected": None,
    }  # fmt: skip
    assert kinds["gaussian"].mu == 2.0 and kinds["gaussian"].rho == 2.0
    assert kinds["skellam"].rho_kind == "upper" and kinds["nothing"].epsilon == 0
    assert kinds["fixed"].relation == "replace-one"


@pytest.mark.parametrize("mu", [0.1, 1.0, 2.0, 5.0])
def test_the_bound_from_the_profile_is_just_above_the_exact_gaussian_trade_off(mu: float) -> None:
    grid = [i / 100 for i in range(3000)]
    points = [(epsilon, gaussian_delta(mu, epsilon)) for epsilon in grid]
    for rate in (0.001, 0.01, 0.05, 0.5):
        exact = float(special.ndtr(special.ndtri(rate) + mu))
        assert true_positive_rate(points, rate, mu=mu) == pytest.approx(exact)
        found = true_positive_rate(points, rate)
        assert exact - 1e-12 <= found <= exact * 1.0005 + 1e-9


@pytest.mark.parametrize("make", ["skellam", "answers"])
def test_real_tests_of_membership_stay_below_the_bound(make: str) -> None:
    # Skellam in one coordinate, and one answer out of two: the most powerful tests, summed up.
    if make == "skellam":
        event: Event = SkellamEvent(l2_sensitivity=30, l1_sensitivity=30, variance=900, dimension=1)
        k = np.arange(-600, 601)
        absent, present = special.ive(abs(k), 900.0), special.ive(abs(k - 30), 900.0)
    else:
        event = RandomizedResponseEvent(epsilon=1.0, categories=2)
        truth = math.e / (math.e + 1)
        absent, present = np.array([truth, 1 - truth]), np.array([1 - truth, truth])
    profile = privacy_profile([event], DELTA)
    order = np.argsort(-present / absent)
    false, true = np.cumsum(absent[order]), np.cumsum(present[order])
    for rate, bound in profile.true_positive_rates:
        assert float(np.interp(rate, [0, *false], [0, *true])) <= bound + 1e-12
    assert float((true - false).max()) <= profile.advantage + 1e-9


def test_a_skellams_rho_bounds_its_chords_at_every_order() -> None:
    for event in (
        SKELLAM,
        SkellamEvent(l2_sensitivity=9, l1_sensitivity=9, variance=2, dimension=1),
    ):
        rho = zero_concentrated([event])
        assert rho is not None
        integers = np.arange(1.0, 200.0)
        generating = (integers - 1) * renyi_divergence(event, integers)
        orders = np.linspace(1.0001, 199, 50_000)
        chords = np.interp(orders, integers, generating)
        assert (chords <= rho * orders * (orders - 1) * (1 + 1e-12)).all()
        assert rho <= 2.1 * event.l2_sensitivity**2 / (2 * event.variance) or event.variance < 10


@pytest.mark.parametrize("grid", [(), (0.1, 1.0), (0.0, 1.0, 1.0), (0.0, math.nan)])
def test_a_grid_that_is_none_is_refused(grid: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="grid"):
        privacy_profile(RUNS["gaussian"], DELTA, grid=grid)
    for epsilon in (-1.0, math.nan):
        with pytest.raises(InputError, match="epsilon"):
            claimed_delta(RUNS["gaussian"], epsilon)
