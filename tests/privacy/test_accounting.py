"""Accounting: published numbers, algebraic laws, and two implementations that must agree."""

import math
from collections.abc import Sequence

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privet.privacy.accounting import accountants, renyi
from privet.privacy.accounting.accountants import (
    check_agreement,
    claimed_epsilon,
    own_accounts,
    second_opinion,
)
from privet.privacy.accounting.events import (
    Event,
    GaussianEvent,
    SkellamEvent,
    UnprotectedEvent,
    event_from_dict,
    event_to_dict,
)
from privet.privacy.accounting.gaussian import (
    gaussian_delta,
    gaussian_epsilon,
    gaussian_mu,
    total_mu,
)
from privet.privacy.accounting.renyi import renyi_divergence, renyi_epsilon
from privet.privacy.accounting.skellam import skellam_epsilon, total_variation_to_gaussian
from privet.privacy.encoding import Encoding
from privet.privacy.errors import InputError, IntegrityError, PrivacyError


def gaussians(sigma: float, times: int) -> list[Event]:
    return [GaussianEvent(noise_multiplier=sigma)] * times


def skellams(sigma: float, times: int, scale: float = 1000.0) -> list[Event]:
    event = SkellamEvent(
        l2_sensitivity=scale,
        l1_sensitivity=min(scale**2, scale * math.sqrt(1000)),
        variance=(sigma * scale) ** 2,
        dimension=1000,
    )
    return [event] * times


# --- anchors: PRIVACY.md, section 2 ---


@pytest.mark.parametrize(
    ("sigma", "times", "delta", "epsilon"),
    [
        (0.5, 1, 1e-6, 10.99715),
        (1.0, 1000, 1e-6, 649.38509),
        (1.0, 10, 1e-6, 19.4237),
        (5.0, 100, 1e-6, 10.99715),
    ],
)
def test_gaussian_anchors(sigma: float, times: int, delta: float, epsilon: float) -> None:
    assert claimed_epsilon(gaussians(sigma, times), delta) == pytest.approx(epsilon, rel=3e-6)


def test_mu_anchors() -> None:
    assert gaussian_mu(1, 1e-5) == pytest.approx(0.2680511, rel=1e-6)
    assert gaussian_mu(10.99715, 1e-6) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("mu", [0.01, 0.27, 1.0, 4.0, 30.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 3.0, 40.0])
def test_delta_agrees_with_mpmath(mu: float, epsilon: float) -> None:
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        exact = mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m)
        assert gaussian_delta(mu, epsilon) == pytest.approx(float(exact), rel=1e-9, abs=1e-300)


# Section 4's table: z = 5, T = 100, delta 1e-6, beta = e^-1/2. Its scale puts k = 4 standard
# deviations of an entry, sqrt(n/4 + s^2 (z^2 + n^2/d)), into half of 2^bits.
SKELLAM_ANCHORS = [
    (100, 65_536, 12, 102, 1.611, 21.519),
    (100, 65_536, 14, 408, 1.050, 12.562),
    (100, 65_536, 16, 1633, 1.003, 11.910),
    (100, 65_536, 20, 26_135, 1.000, 11.856),
    (1000, 65_536, 14, None, 1.078, 12.923),
    (1000, 65_536, 16, None, 1.005, 11.941),
    (1000, 65_536, 20, None, 1.000, 11.856),
    (1000, 1_048_576, 16, None, 1.050, 12.566),
    (1000, 1_048_576, 20, None, 1.000, 11.859),
]


@pytest.mark.parametrize(
    ("devices", "dimension", "bits", "scale", "inflation", "epsilon"), SKELLAM_ANCHORS
)
def test_skellam_anchors(
    devices: int,
    dimension: int,
    bits: int,
    scale: int | None,
    inflation: float,
    epsilon: float,
) -> None:
    half = 2**bits / 8
    found = math.sqrt((half**2 - devices / 4) / (25 + devices**2 / dimension))
    if scale is not None:
        assert found == pytest.approx(scale, abs=1)
    encoding = Encoding(
        dimension=dimension,
        l2_clip_norm=1.0,
        devices=devices,
        scale=found,  # type: ignore[arg-type]
    )
    assert encoding.l2_bound / found == pytest.approx(inflation, abs=6e-4)
    event = SkellamEvent(
        l2_sensitivity=encoding.l2_bound,
        l1_sensitivity=encoding.l1_bound,
        variance=(5 * found) ** 2,
        dimension=dimension,
    )
    assert renyi_epsilon([event] * 100, 1e-6) == pytest.approx(epsilon, abs=1.5e-3)


# --- laws ---

sigmas = st.floats(0.05, 100)
deltas = st.sampled_from([1e-12, 1e-8, 1e-6, 1e-5, 1e-3])


@given(sigma=sigmas, times=st.integers(1, 200), delta=deltas)
def test_composing_n_times_is_one_gaussian_of_square_root_n(
    sigma: float, times: int, delta: float
) -> None:
    many = claimed_epsilon(gaussians(sigma, times), delta)
    one = claimed_epsilon(gaussians(sigma / math.sqrt(times), 1), delta)
    assert many == pytest.approx(one, rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(sigma=sigmas, times=st.integers(1, 50), delta=deltas)
def test_composing_skellams_adds_their_divergences(sigma: float, times: int, delta: float) -> None:
    events = skellams(sigma, times)
    order = np.array([2.0, 3.0, 17.0, 4096.0])
    single = renyi_divergence(events[0], order)
    total = sum(renyi_divergence(event, order) for event in events)
    np.testing.assert_allclose(np.asarray(total), times * single)
    assert renyi_epsilon(events, delta) == pytest.approx(
        renyi_epsilon(list(reversed(events)), delta)
    )
    assert claimed_epsilon(events, delta) <= claimed_epsilon([*events, events[0]], delta)


@pytest.mark.parametrize("make", [gaussians, skellams])
@settings(deadline=None, max_examples=40)
@given(
    sigma=sigmas, more=st.floats(1.0, 10), times=st.integers(1, 30), delta=deltas, data=st.data()
)
def test_epsilon_falls_with_noise_and_delta_and_rises_with_releases(
    make: type, sigma: float, more: float, times: int, delta: float, data: st.DataObject
) -> None:
    events: Sequence[Event] = make(sigma, times)
    here = claimed_epsilon(events, delta)
    slack = 1 + 1e-9
    assert claimed_epsilon(make(sigma * more, times), delta) <= here * slack
    assert claimed_epsilon(make(sigma, times + 1), delta) * slack >= here
    assert claimed_epsilon(events, min(delta * more, 0.5)) <= here * slack


EXTREMES = [1e-50, 1e-8, 1e-3, 0.1, 1.0, 50.0, 1e5, 1e50]


@pytest.mark.parametrize("make", [gaussians, skellams])
@pytest.mark.parametrize("sigma", EXTREMES)
@pytest.mark.parametrize("delta", [1e-300, 1e-16, 1e-5, 0.5, 1 - 1e-12])
def test_epsilon_is_never_nan_or_negative(make: type, sigma: float, delta: float) -> None:
    for times in (1, 1000):
        for account in own_accounts(make(sigma, times), delta):
            assert account.epsilon >= 0, account


def test_nothing_released_costs_nothing_and_no_noise_costs_everything() -> None:
    assert claimed_epsilon([], 1e-6) == 0
    assert claimed_epsilon([UnprotectedEvent()], 1e-6) == math.inf
    assert claimed_epsilon([*gaussians(1, 1), UnprotectedEvent()], 1e-6) == math.inf
    assert claimed_epsilon([*skellams(1, 1), UnprotectedEvent()], 1e-6) == math.inf
    assert gaussian_epsilon(0.0, 1e-6) == 0
    assert gaussian_epsilon(math.inf, 1e-6) == math.inf


def test_exact_composition_refuses_what_is_not_gaussian() -> None:
    with pytest.raises(PrivacyError, match="SkellamEvent"):
        total_mu([*gaussians(1, 1), *skellams(1, 1)])
    assert all(a.bound == "upper" for a in own_accounts(skellams(1, 1), 1e-6))
    assert [a.bound for a in own_accounts(gaussians(1, 1), 1e-6)] == ["exact"]


@settings(deadline=None, max_examples=60)
@given(
    sigma=st.floats(0.1, 50),
    times=st.integers(1, 20),
    delta=deltas,
    scale=st.sampled_from([16.0, 1000.0, 1e6]),
)
def test_skellam_epsilon_is_at_least_the_gaussians_of_the_same_mu(
    sigma: float, times: int, delta: float, scale: float
) -> None:
    gaussian = gaussian_epsilon(math.sqrt(times) / sigma, delta)
    for account in own_accounts(skellams(sigma, times, scale), delta):
        assert account.epsilon >= gaussian * (1 - 1e-9), account.name


@given(epsilon=st.floats(1e-3, 50), delta=deltas)
def test_mu_and_epsilon_are_inverse_and_rounded_to_the_private_side(
    epsilon: float, delta: float
) -> None:
    mu = gaussian_mu(epsilon, delta)
    assert gaussian_delta(mu, epsilon) <= delta
    assert gaussian_epsilon(mu, delta) == pytest.approx(epsilon, rel=1e-6)
    assert gaussian_delta(mu, gaussian_epsilon(mu, delta)) <= delta


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-9, 2.0, math.nan, math.inf])
def test_a_delta_outside_of_zero_to_one_is_refused(delta: float) -> None:
    for account in (own_accounts, second_opinion, check_agreement, claimed_epsilon):
        with pytest.raises(InputError, match="delta"):
            account(gaussians(1, 1), delta)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "1", None])
def test_events_refuse_values_that_are_no_positive_number(value: object) -> None:
    with pytest.raises(InputError, match="noise_multiplier"):
        event_from_dict({"kind": "gaussian", "noise_multiplier": value})
    for name in ("l2_sensitivity", "l1_sensitivity", "variance", "dimension"):
        body = {**event_to_dict(skellams(1, 1)[0]), name: value}
        with pytest.raises(InputError, match=name):
            event_from_dict(body)


@pytest.mark.parametrize("event", [*gaussians(2, 1), *skellams(2, 1), UnprotectedEvent()])
def test_events_survive_a_round_trip_and_unknown_ones_are_refused(event: Event) -> None:
    assert event_from_dict(event_to_dict(event)) == event
    with pytest.raises(InputError, match="Unknown"):
        event_from_dict({"kind": "laplace"})
    with pytest.raises(InputError, match="malformed"):
        event_from_dict({**event_to_dict(event), "extra": 1})


# --- the total variation between Skellam and rounded Gaussian ---


def divergences(variance: int) -> tuple[float, float]:
    """Between Skellam and rounded Gaussian of one variance, summed in 60 digits.

    Kullback-Leibler (Skellam from Gaussian), and chi-square (Gaussian from Skellam: the other way
    round it is infinite, since a Skellam's tail is the heavier). Skellam masses are
    exp(-v) I_k(v), by Miller's backward recurrence, normalised to sum to 1.
    """
    with mpmath.workdps(60):
        reach = int(15 * math.sqrt(variance))
        mass, here, after = [], mpmath.mpf(1), mpmath.mpf(0)
        for k in range(reach + 60 + 4 * int(math.sqrt(variance)), -1, -1):
            mass.append(here)
            here, after = after + mpmath.mpf(2 * k) / variance * here, here
        mass.reverse()
        total = mass[0] + 2 * mpmath.fsum(mass[1:])
        unit = mpmath.sqrt(2 * (mpmath.mpf(variance) - mpmath.mpf(1) / 12))
        half = mpmath.mpf(1) / 2
        tails = [mpmath.erfc((k - half) / unit) / 2 for k in range(reach + 2)]
        cells = [(tails[k] - tails[k + 1], mass[k] / total) for k in range(reach + 1)]
        kl = [s * mpmath.log(s / g) for g, s in cells]
        chi = [(g - s) ** 2 / s for g, s in cells]
        return tuple(float(terms[0] + 2 * mpmath.fsum(terms[1:])) for terms in (kl, chi))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "variance", [10_000, 100_000, pytest.param(1_000_000, marks=pytest.mark.slow)]
)
def test_the_total_variation_bound_holds_against_the_divergence_summed_in_60_digits(
    variance: int,
) -> None:
    kl, chi_square = divergences(variance)
    assert kl == pytest.approx(1 / (48 * variance**2), rel=0.01)  # the leading terms
    assert kl <= 1.08 / (48 * variance**2)  # what docs/accounting.md proves
    assert chi_square == pytest.approx(1 / (24 * variance**2), rel=0.01)
    for dimension in (1, 1000):
        event = SkellamEvent(
            l2_sensitivity=1, l1_sensitivity=1, variance=variance, dimension=dimension
        )
        # Both KL divergences (one is at most log(1 + chi^2)) add up over coordinates, and
        # Pinsker's inequality turns either into a bound on the total variation.
        found = total_variation_to_gaussian(event)
        assert math.sqrt(dimension * math.log1p(chi_square) / 2) <= found
        assert math.sqrt(dimension * kl / 2) <= found <= 2.1 * math.sqrt(dimension * kl / 2)


def test_below_the_measured_range_the_total_variation_bound_claims_nothing() -> None:
    event = SkellamEvent(l2_sensitivity=1, l1_sensitivity=1, variance=9_999, dimension=1)
    assert total_variation_to_gaussian(event) == math.inf
    assert skellam_epsilon([event], 1e-6) == math.inf
    assert math.isfinite(claimed_epsilon([event], 1e-6))


@pytest.mark.parametrize("scale", [20.0, 300.0, 1500.0])
def test_a_single_skellam_coordinate_is_as_private_as_claimed(scale: float) -> None:
    # The hockey-stick divergence of two shifted Skellam variables, summed directly.
    from scipy import special

    variance, shift, delta = (2 * scale) ** 2, int(scale), 1e-6
    event = SkellamEvent(l2_sensitivity=shift, l1_sensitivity=shift, variance=variance, dimension=1)
    epsilon = claimed_epsilon([event], delta)
    k = np.arange(-16 * int(2 * scale), 16 * int(2 * scale) + 1)
    one = special.ive(np.abs(k).astype(float), variance)
    other = special.ive(np.abs(k - shift).astype(float), variance)
    found = float(np.maximum(one - math.exp(epsilon) * other, 0).sum())
    assert 0.1 * delta < found <= delta * (1 + 1e-6)


# --- second opinion ---


@pytest.mark.parametrize(
    "events",
    [
        gaussians(1, 10),
        gaussians(0.7, 1),
        gaussians(30, 3),
        [*gaussians(2, 1), *gaussians(5, 2)],
        skellams(1, 3),
        skellams(5, 100, scale=1e6),
        [*skellams(2, 1), *gaussians(3, 1)],
        [UnprotectedEvent()],
        [],
    ],
    ids=["ten", "one", "weak", "mixed", "skellam", "hundred", "both", "unprotected", "none"],
)
def test_the_second_opinion_agrees(events: list[Event]) -> None:
    *own, second = check_agreement(events, 1e-6)
    assert second.epsilon >= min(a.epsilon for a in own) - 1e-6


def test_the_second_opinion_on_skellams_says_that_it_is_no_independent_proof() -> None:
    assert "not an independent proof" in second_opinion(skellams(1, 1), 1e-6).method


@pytest.mark.parametrize("factor", [0.8, 0.97, 1.1])
def test_a_sabotaged_gaussian_accountant_is_caught(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = gaussian_epsilon
    monkeypatch.setattr(accountants, "gaussian_epsilon", lambda mu, d: factor * honest(mu, d))
    with pytest.raises(IntegrityError, match="disagree"):
        check_agreement(gaussians(1, 1), 1e-6)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("curve_epsilon", 0.5),
        ("curve_epsilon", 0.75),
        ("curve_epsilon", 2.0),
        ("skellam_epsilon", 0.5),
        ("skellam_epsilon", 0.75),
        ("skellam_epsilon", 0.97),
    ],
)
def test_a_sabotaged_skellam_accountant_is_caught(
    name: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = getattr(accountants, name)
    monkeypatch.setattr(accountants, name, lambda released, d: factor * honest(released, d))
    with pytest.raises(IntegrityError, match="disagree"):
        check_agreement(skellams(1, 3, scale=1e6), 1e-6)


def test_a_bound_that_is_too_loose_is_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = skellam_epsilon
    monkeypatch.setattr(accountants, "skellam_epsilon", lambda events, d: 2 * honest(events, d))
    renyi_bound, loose, _ = check_agreement(skellams(1, 3, scale=1e6), 1e-6)
    assert loose.epsilon > renyi_bound.epsilon
    assert claimed_epsilon(skellams(1, 3, scale=1e6), 1e-6) == renyi_bound.epsilon


def test_halved_divergences_are_caught_although_both_converters_share_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = renyi.renyi_divergence
    monkeypatch.setattr(renyi, "renyi_divergence", lambda event, order: honest(event, order) / 2)
    with pytest.raises(IntegrityError, match="disagree"):
        check_agreement(skellams(1, 3, scale=1e6), 1e-6)
