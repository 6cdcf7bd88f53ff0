"""The slack of Skellam noise: the proof's inequalities, checked, and the sampler's tail."""

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.accounting.accountants import (
    check_agreement,
    claimed_delta,
    claimed_epsilon,
    own_accounts,
)
from privet.privacy.accounting.adversaries import Adversary, ReleaseTerms, Trust
from privet.privacy.accounting.events import RepeatedEvent, SkellamEvent
from privet.privacy.accounting.skellam import (
    delta_with_slack,
    gaussian_floor,
    sampler_slack,
    skellam_delta,
    skellam_epsilon,
    total_variation_to_gaussian,
    with_slack,
)
from privet.privacy.contribution import NeighbouringRelation


def event(**changes: float) -> SkellamEvent:
    body = {"l2_sensitivity": 1e3, "l1_sensitivity": 3e4, "variance": 4e6, "dimension": 1000}
    return SkellamEvent(**{**body, **changes})  # type: ignore[arg-type]


def log_ratios(variance: int, at: list[int]) -> list[float]:
    """Logs of the Skellam's mass over the rounded Gaussian's, in 50 digits."""
    with mpmath.workdps(50):
        v = mpmath.mpf(variance)
        # exp(-v) I_k(v) by Miller's backward recurrence, normalised to sum to 1.
        mass, here, after = [], mpmath.mpf(1), mpmath.mpf(0)
        for k in range(20 * math.isqrt(variance), -1, -1):
            mass.append(here)
            here, after = after + 2 * k / v * here, here
        mass.reverse()
        total = mass[0] + 2 * mpmath.fsum(mass[1:])
        unit, half = mpmath.sqrt(2 * (v - mpmath.mpf(1) / 12)), mpmath.mpf(1) / 2
        cells = [(mpmath.erfc((k - half) / unit) - mpmath.erfc((k + half) / unit)) / 2 for k in at]
        return [
            float(mpmath.log(mass[k] / total / cell)) for k, cell in zip(at, cells, strict=True)
        ]


@pytest.mark.parametrize(
    "variance", [10_000, pytest.param(100_000, marks=pytest.mark.slow),
                 pytest.param(1_000_000, marks=pytest.mark.slow)],
)  # fmt: skip
def test_the_log_ratio_is_the_proofs_polynomial_up_to_its_remainder(variance: int) -> None:
    reach = math.sqrt(12 * math.log(variance))
    at = [round(i / 24 * reach * math.sqrt(variance)) for i in range(25)]
    for k, found in zip(at, log_ratios(variance, at), strict=True):
        x = k / math.sqrt(variance)
        leading = (x**4 - 6 * x**2 + 3) / (24 * variance)
        remainder = (0.11 + 3.73 * x**2 + 0.127 * x**4 + 0.0125 * x**6) / variance**2
        assert abs(found - leading) <= remainder, x
        assert abs(leading) + remainder <= 0.054


def test_the_proofs_constants_add_up() -> None:
    v = 1e4
    moments = {2: 1.0, 4: 3 + 1 / v, 6: 15 + 15 / v + v**-2}
    moments[8] = 105 + 210 / v + 63 * v**-2 + v**-3
    polynomial = moments[8] - 12 * moments[6] + 42 * moments[4] - 36 + 9
    assert polynomial == pytest.approx(24 + 72 / v + 51 * v**-2 + v**-3)
    inflated = {4: 3.3, 8: 115.5, 12: 11434.5}
    norm = 0.11 + 3.73 * inflated[4] ** 0.5 + 0.127 * inflated[8] ** 0.5
    norm += 0.0125 * inflated[12] ** 0.5
    assert norm <= 9.7
    bulk = math.exp(0.054) / 2 * (math.sqrt(24.01) / 24 + 9.7 / v) ** 2
    tail = 1.3 / v
    assert bulk + tail <= 1.08 / 48


@pytest.mark.parametrize("variance", [10_000, 123_456])
def test_the_twelve_moments_of_a_skellam_are_nearly_a_gaussians(variance: int) -> None:
    # From cumulants: all even ones are v. m_n = sum of C(n-1, j-1) kappa_j m_{n-j}.
    moments = [1.0] + [0.0] * 12
    for n in range(2, 13, 2):
        moments[n] = sum(
            math.comb(n - 1, j - 1) * variance ** (1 - j / 2) * moments[n - j]
            for j in range(2, n + 1, 2)
        )
    for n, gaussian in [(4, 3), (8, 105), (12, 10395)]:
        assert gaussian <= moments[n] <= 1.1 * gaussian


def test_the_samplers_tail_is_two_draws_a_coordinate_and_share() -> None:
    assert sampler_slack([event()]) == 2000 * 2.0**-100
    many = event(shares=6040)
    assert sampler_slack([RepeatedEvent(event=many, times=3)]) == 3 * 6040 * 2000 * 2.0**-100
    assert sampler_slack([]) == 0


def test_every_claim_about_skellam_noise_pays_for_the_tail() -> None:
    # With so many draws that it shows: 2^90 shares have a tail of about 2 a coordinate and 1000.
    cheap, dear = [event()], [event(shares=2**72)]
    assert sampler_slack(dear) == pytest.approx(7.45e-6, rel=1e-2)
    for one, other in zip(own_accounts(cheap, 1e-4), own_accounts(dear, 1e-4), strict=True):
        assert other.epsilon > one.epsilon * 1.001, one.name
    assert claimed_epsilon(dear, 1e-6) == math.inf
    assert claimed_delta(dear, 0.0) >= claimed_delta(cheap, 0.0) + 2 * 7.4e-6
    check_agreement(dear, 1e-4)


def test_an_adversary_is_charged_for_the_shares_that_it_does_not_know() -> None:
    terms = ReleaseTerms(
        trust=Trust.SECURE_AGGREGATION,
        dimension=10,
        l2_bound=100.0,
        l1_bound=300.0,
        nonnegative=True,
        noise_multiplier=0.0,
        share_variance=1e4,
        survivors=50,
        colluders=3,
    )
    for adversary, shares in [(Adversary.MODEL_CONSUMER, 50), (Adversary.COLLUDING_CLIENTS, 47)]:
        seen = terms.seen_by(adversary)
        assert isinstance(seen, SkellamEvent) and seen.shares == shares
        assert seen.relation is NeighbouringRelation.ZERO_OUT


def test_epsilon_and_delta_with_slack_are_inverse() -> None:
    fine = event(l2_sensitivity=1e6, l1_sensitivity=3e7, variance=4e12)
    events = [fine] * 3
    epsilon = skellam_epsilon(events, 1e-6)
    assert skellam_delta(events, epsilon) == pytest.approx(1e-6, rel=1e-6)
    assert skellam_delta([event(variance=100.0)], 1.0) == 1.0
    assert delta_with_slack(0.5, 800.0, 1e-3) == 1.0
    assert with_slack(lambda d: 1.0, 1e-6, 1e-6) == math.inf
    assert with_slack(lambda d: math.inf, 1e-6, 1e-9) == math.inf


def test_the_slack_is_tiny_where_integers_are_fine() -> None:
    fine = event(variance=(5 * 26_135) ** 2, dimension=65_536)
    assert total_variation_to_gaussian(fine) < 1e-8


@given(
    st.floats(0.5, 1e6), st.floats(1e-2, 1e3), st.integers(1, 10**5), st.integers(1, 2000),
    st.floats(1e-10, 0.1),
)  # fmt: skip
def test_no_bound_is_below_gaussian_noise_of_the_same_variance(
    l2: float, noise: float, dimension: int, times: int, delta: float
) -> None:
    l1 = min(math.sqrt(dimension) * l2, l2 * l2 + l2)
    one = event(
        l2_sensitivity=l2, l1_sensitivity=l1, variance=(noise * l2) ** 2, dimension=dimension
    )
    events = [RepeatedEvent(event=one, times=times)]
    floor = gaussian_floor(events, delta)
    assert all(account.epsilon >= floor * (1 - 1e-9) for account in own_accounts(events, delta))
