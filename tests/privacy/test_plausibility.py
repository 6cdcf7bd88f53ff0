"""Sums that no honest devices can make are told from those that they can."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from privet.privacy.accounting.adversaries import ReleaseTerms, Trust
from privet.privacy.encoding import Encoding
from privet.privacy.plausibility import implausible, noise_limits
from privet.privacy.randomness import Randomness
from privet.privacy.samplers import sample_rounded_gaussian, sample_skellam

DEVICES, DIMENSION = 50, 2000
ENCODING = Encoding(dimension=DIMENSION, l2_clip_norm=1.0, devices=DEVICES, scale=1 << 14)
STREAM = Randomness.insecure_seeded(11)


def terms_of(trust: Trust, *, nonnegative: bool = True, groups: int = 1) -> ReleaseTerms:
    central = trust is Trust.CENTRAL
    return ReleaseTerms(
        trust=trust,
        dimension=DIMENSION,
        l2_bound=ENCODING.l2_bound,
        l1_bound=ENCODING.l1_bound,
        nonnegative=nonnegative,
        noise_multiplier=1.5 if central else 0.0,
        share_variance=0.0 if central else 2.0 * ENCODING.l2_bound**2 / DEVICES,
        survivors=DEVICES,
        colluders=1,
        groups=groups,
    )


def noise(terms: ReleaseTerms, number: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    stream = STREAM.stream("noise", str(terms.trust), number)
    if terms.trust is Trust.CENTRAL:
        return sample_rounded_gaussian(1.5 * terms.l2_bound, DIMENSION, stream)
    return sample_skellam(terms.share_variance * DEVICES, DIMENSION, stream)


@pytest.mark.parametrize("trust", list(Trust))
@pytest.mark.parametrize("signed", [False, True])
def test_honest_sums_at_the_extremes_are_never_refused(trust: Trust, signed: bool) -> None:
    """All devices alike, with all of their bound in one coordinate, or spread over all."""
    terms = terms_of(trust, nonnegative=not signed)
    bound = math.floor(ENCODING.l2_bound)
    spread = np.full(DIMENSION, math.floor(ENCODING.l2_bound / math.sqrt(DIMENSION)), np.int64)
    one = np.zeros(DIMENSION, np.int64)
    one[7] = bound
    for number in range(20):
        for vector in (one, spread, np.zeros_like(one), *([-one, -spread] if signed else [])):
            assert (
                implausible(DEVICES * vector + noise(terms, number), terms, devices=DEVICES) is None
            )


@given(st.floats(0.1, 1e13), st.integers(1, 1 << 22), st.integers(1, 100))
def test_the_largest_noise_is_exceeded_less_often_than_is_claimed(
    variance: float, dimension: int, groups: int
) -> None:
    shares = replace(
        terms_of(Trust.SECURE_AGGREGATION, groups=groups),
        dimension=dimension,
        share_variance=variance,
    )
    tail, norm = noise_limits(shares, devices=1)
    union = math.log(2 * dimension * groups)
    assert norm > math.sqrt(variance * dimension)
    # Skellam: P(X = k) = e^-v I_k(v), summed as far as it matters. Float64 holds it up to here.
    if variance < 1e5:
        k = math.ceil(tail) + np.arange(int(20 * math.sqrt(variance)) + 200)
        mass = float(special.ive(k, variance).sum())
        assert mass == 0 or math.log(mass) + union < -43 * math.log(2)
    central = replace(
        shares, share_variance=0.0, noise_multiplier=math.sqrt(variance) / shares.l2_bound
    )
    tail, _ = noise_limits(central, devices=1)
    assert stats.norm.logsf((tail - 0.5) / math.sqrt(variance)) + union < -43 * math.log(2)


def test_the_norms_limit_is_near_the_norm_that_noise_has() -> None:
    """Not a bound that holds because it is far away: it is within a third of what happens."""
    for trust in Trust:
        terms = terms_of(trust)
        _, norm = noise_limits(terms, devices=DEVICES)
        assert 0.7 < float(np.linalg.norm(noise(terms, 99).astype(float))) / norm < 1


@pytest.mark.parametrize("trust", list(Trust))
def test_garbage_is_noticed(trust: Trust) -> None:
    terms = terms_of(trust)
    tail, norm = noise_limits(terms, devices=DEVICES)
    limit = DEVICES * terms.l2_bound
    words = np.random.default_rng(1).integers(-(1 << 31), 1 << 31, DIMENSION)
    assert implausible(words, terms, devices=DEVICES) == "a coordinate that"
    for coordinate in (limit + tail + 1, -tail - 1):
        total = np.zeros(DIMENSION, np.int64)
        total[3] = math.ceil(coordinate) if coordinate > 0 else math.floor(coordinate)
        assert implausible(total, terms, devices=DEVICES) == "a coordinate that"
    flat = np.full(DIMENSION, math.ceil((limit + norm) / math.sqrt(DIMENSION)) + 1, np.int64)
    assert implausible(flat, terms, devices=DEVICES) == "a norm that"


def test_entries_below_zero_are_noticed_only_where_there_can_be_none() -> None:
    tail, _ = noise_limits(terms_of(Trust.SECURE_AGGREGATION), devices=DEVICES)
    total = np.zeros(DIMENSION, np.int64)
    total[3] = -math.ceil(tail) - 1
    for signed in (False, True):
        terms = terms_of(Trust.SECURE_AGGREGATION, nonnegative=not signed)
        assert (implausible(total, terms, devices=DEVICES) is None) == signed
