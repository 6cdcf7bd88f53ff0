"""Integer noise: the exact distributions, at every variance, on both sides of the comparison."""

import mpmath
import numpy as np
import pytest
from scipy import stats
from tests.privacy.statistics import FALSE_ALARM, chi_square_p, gaussian_cdf, skellam_cdf

from privet.privacy import samplers
from privet.privacy.distributions import MassFunction, Poisson, RoundedGaussian
from privet.privacy.errors import InputError
from privet.privacy.randomness import Randomness, WordStream
from privet.privacy.samplers import ExactSampler, sample_rounded_gaussian, sample_skellam

COUNT = 100_000
VARIANCES = [0.02, 0.5, 1.0, 3.7, 30.0, 400.0, 1e4, 1e6, 2.5e8, 1e12, 1.9e15, 7.3e15]
SCALES = [8.0, 8.3, 100.0, 1234.5, 1e6, 1e9, 3e13]
RATES = [1e-9, 0.01, 0.5, 1.0, 3.7, 15.5, 16.0, 200.0, 1e4, 12345.678, 1e8, 1e12, 1e15]


def stream(name: str, value: float) -> WordStream:
    return Randomness.insecure_seeded(11).stream(name, repr(value))


@pytest.mark.parametrize("variance", VARIANCES)
def test_skellam_draws_have_the_exact_distribution_and_no_other_scale(variance: float) -> None:
    draws = sample_skellam(variance, COUNT, stream("skellam", variance))
    assert chi_square_p(draws, skellam_cdf(variance)) > FALSE_ALARM
    assert chi_square_p(draws, skellam_cdf(variance * 4 / 9)) < 1e-12
    assert chi_square_p(draws, skellam_cdf(variance * 9 / 4)) < 1e-12


@pytest.mark.parametrize("scale", SCALES)
def test_rounded_gaussian_draws_have_the_exact_distribution_and_no_other_scale(
    scale: float,
) -> None:
    draws = sample_rounded_gaussian(scale, COUNT, stream("gaussian", scale))
    assert chi_square_p(draws, gaussian_cdf(scale)) > FALSE_ALARM
    assert chi_square_p(draws, gaussian_cdf(scale * 2 / 3)) < 1e-12
    assert chi_square_p(draws, gaussian_cdf(scale * 3 / 2)) < 1e-12


@pytest.mark.parametrize("rate", [0.3, 5.0, 80.0, 1e5])
def test_poisson_draws_have_the_exact_distribution(rate: float) -> None:
    draws = ExactSampler(Poisson(rate)).sample(COUNT, stream("poisson", rate))
    p = chi_square_p(draws, lambda k: np.asarray(stats.poisson.cdf(k, rate), np.float64))
    assert p > FALSE_ALARM


@pytest.mark.parametrize("variance", [0.02, 3.7, 1e6, 1e12])
def test_skellam_draws_have_mean_zero_and_the_variance_asked_for(variance: float) -> None:
    draws = sample_skellam(variance, COUNT, stream("moments", variance)).astype(np.float64)
    assert abs(draws.mean()) < 4.5 * np.sqrt(variance / COUNT)
    spread = np.sqrt((2 + 1 / variance) / COUNT)  # fourth cumulant of a Skellam variable is v
    assert abs(draws.var() / variance - 1) < 4.5 * spread


@pytest.mark.parametrize("devices", [3, 10])
def test_the_sum_of_skellam_shares_is_skellam_with_the_summed_variance(devices: int) -> None:
    source = stream("shares", devices)
    total = sum(sample_skellam(40.0 / devices, COUNT, source) for _ in range(devices))
    assert chi_square_p(np.asarray(total), skellam_cdf(40.0)) > FALSE_ALARM


@pytest.mark.parametrize("distance", [0, 1, 2, 5])
def test_draws_are_independent_at_small_distances(distance: int) -> None:
    draws = sample_skellam(25.0, COUNT, stream("independent", 25.0)).astype(np.float64)
    product = draws[: COUNT - distance] * draws[distance:]
    expected = 25.0 if distance == 0 else 0.0
    assert abs(product.mean() - expected) < 5 * product.std() / np.sqrt(COUNT)


def points(mass: MassFunction) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    steps = np.array([0, 0.01, 0.3, 1, 2.5, 5, 9, 13.4])
    offsets = np.unique(np.concatenate([-steps, steps]) * mass.std).astype(np.int64)
    k = mass.mode + np.unique(np.concatenate([offsets, [-2, -1, 0, 1, 2, 7, 40]]))
    return k if mass.minimum is None else k[k >= mass.minimum]


@pytest.mark.parametrize("rate", RATES)
def test_poisson_masses_agree_with_mpmath(rate: float) -> None:
    mass = Poisson(rate)
    found = mass.log_ratio(points(mass))
    with mpmath.workdps(90):
        for k, value in zip(points(mass).tolist(), found.tolist(), strict=True):
            ratio = (
                (k - mass.mode) * mpmath.log(mpmath.mpf(rate))
                - mpmath.loggamma(k + 1)
                + mpmath.loggamma(mass.mode + 1)
            )
            # Masses below e^-100 lie outside of every staircase; there a relative error will do.
            allowed = 1e-12 * max(1, abs(ratio) / 100)
            assert abs(value - ratio) < allowed, (k, float(value - ratio))
            exact = mpmath.mpf(str(mass.log_ratio_exact(k)))
            assert abs(exact - ratio) < mpmath.mpf("1e-25"), k


@pytest.mark.parametrize("scale", [8.0, 8.3, 20.0, 1234.5, 1e6, 1e9, 1e15])
def test_rounded_gaussian_masses_agree_with_mpmath(scale: float) -> None:
    mass = RoundedGaussian(scale)
    found = mass.log_ratio(points(mass))
    with mpmath.workdps(140):
        centre = cell(0, scale)
        for k, value in zip(points(mass).tolist(), found.tolist(), strict=True):
            ratio = mpmath.log(cell(abs(k), scale) / centre)
            assert abs(value - ratio) < 1e-12, (k, float(value - ratio))
            exact = mpmath.mpf(str(mass.log_ratio_exact(k)))
            assert abs(exact - ratio) < mpmath.mpf("1e-25"), k


def cell(k: int, scale: float) -> mpmath.mpf:
    unit = mpmath.mpf(scale) * mpmath.sqrt(2)
    low, high = (k - mpmath.mpf(1) / 2) / unit, (k + mpmath.mpf(1) / 2) / unit
    return mpmath.erfc(low) - mpmath.erfc(high)


MASSES = [Poisson(0.3), Poisson(7.5), Poisson(900.0), Poisson(1e12)] + [
    RoundedGaussian(scale) for scale in (8.0, 300.0, 1e9)
]


@pytest.mark.parametrize("mass", MASSES, ids=repr)
def test_the_exact_comparison_decides_as_the_fast_one(
    mass: MassFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = ExactSampler(mass).sample(150, stream("exact", 0))
    monkeypatch.setattr(samplers, "_MARGIN", 4.0)  # every comparison is now in doubt
    decided = []
    decide = ExactSampler._decide

    def counted(self: ExactSampler, k: int, height: int, word: int, source: WordStream) -> bool:
        decided.append(k)
        return decide(self, k, height, word, source)

    monkeypatch.setattr(ExactSampler, "_decide", counted)
    exact = ExactSampler(mass).sample(150, stream("exact", 0))
    assert len(decided) >= 150
    assert exact.tolist() == fast.tolist()


def test_draws_by_the_exact_comparison_alone_have_the_exact_distribution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samplers, "_MARGIN", 4.0)
    draws = sample_skellam(9.0, 4_000, stream("exact", 9.0))
    assert chi_square_p(draws, skellam_cdf(9.0), bins=20) > FALSE_ALARM
    assert chi_square_p(draws, skellam_cdf(4.0), bins=20) < 1e-12


def test_a_comparison_that_stays_in_doubt_is_refined_with_more_random_bits() -> None:
    # A word that equals the leading 64 bits of the ratio needs a second word to decide.
    mass, sampler = Poisson(2.0), ExactSampler(Poisson(2.0))
    height = 1 << 52
    with mpmath.workdps(80):
        ratio = mpmath.mpf(2) ** 3 / 6 / (mpmath.mpf(2) ** 2 / 2)  # p(3) / p(2) = 2/3
        word = int(mpmath.floor(ratio * 2**64))
        left = float(ratio * 2**64 - word)
    assert mass.mode == 2
    found = [
        sampler._decide(3, height, word, Randomness.insecure_seeded(i).stream("refine"))
        for i in range(400)
    ]
    assert abs(sum(found) - 400 * left) < 5 * np.sqrt(400 * left * (1 - left))
    assert sampler._decide(3, height, word - 1, stream("clear", 0))
    assert not sampler._decide(3, height, word + 1, stream("clear", 0))


@pytest.mark.parametrize("mass", [*MASSES, Poisson(1e-9), Poisson(40.0)], ids=repr)
def test_the_staircase_covers_the_mass_everywhere_and_its_tail_is_negligible(
    mass: MassFunction,
) -> None:
    low, bits, heights, cumulative = ExactSampler(mass)._staircase
    blocks = np.arange(len(heights))
    for offset in {0, ((1 << bits) - 1) // 2, (1 << bits) - 1}:
        k = low + (blocks << bits) + offset
        assert (np.exp(mass.log_ratio(k)) * 2.0**52 <= heights).all()
    assert int(cumulative[-1]) == sum(heights.tolist()) < 1 << 63
    high = low + (len(heights) << bits)
    assert mass.log_ratio(np.array([high]))[0] < -85
    assert low == mass.minimum or mass.log_ratio(np.array([low - 1]))[0] < -85


@pytest.mark.parametrize("variance", [0.0, -1.0, float("nan"), 1e-10])
def test_variances_out_of_range_are_refused(variance: float) -> None:
    with pytest.raises((InputError, ValueError)):
        sample_skellam(variance, 1, stream("refused", 0))


@pytest.mark.parametrize("scale", [0.0, -1.0, 7.9, 1.1e15, float("nan"), float("inf")])
def test_gaussian_scales_out_of_range_are_refused(scale: float) -> None:
    with pytest.raises(InputError, match="standard deviation"):
        sample_rounded_gaussian(scale, 1, stream("refused", 0))


def test_counts_are_exact_and_zero_is_a_count() -> None:
    for count in (0, 1, 2, 17, 70_001):
        assert len(sample_skellam(5.0, count, stream("count", count))) == count


def test_draws_do_not_depend_on_what_else_was_sampled() -> None:
    first = sample_skellam(5.0, 100, Randomness.insecure_seeded(1).stream("a"))
    sample_skellam(50.0, 100, Randomness.insecure_seeded(1).stream("b"))
    again = sample_skellam(5.0, 100, Randomness.insecure_seeded(1).stream("a"))
    assert first.tolist() == again.tolist()
