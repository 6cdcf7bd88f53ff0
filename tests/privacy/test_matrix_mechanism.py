"""The matrix mechanism: its sensitivity, its error, its noise on the grid."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from privet.privacy.accounting import matrix
from privet.privacy.accounting.accountants import check_agreement, claimed_epsilon, own_accounts
from privet.privacy.accounting.events import (
    GaussianEvent,
    MatrixEvent,
    RepeatedEvent,
    event_from_dict,
    event_to_dict,
)
from privet.privacy.accounting.gaussian import gaussian_epsilon, total_mu
from privet.privacy.accounting.matrix import (
    COEFFICIENT_BITS,
    inverse_coefficients,
    normalised_rmse,
    strategy_coefficients,
    toeplitz_sensitivity,
)
from privet.privacy.accounting.matrix_release import MatrixRelease
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.randomness import Randomness

UNIT = 1 << COEFFICIENT_BITS


def event(**changes: Any) -> MatrixEvent:
    body: dict[str, Any] = {
        "noise_multiplier": 20.0,
        "rounds": 100,
        "bands": 10,
        "separation": 10,
        "participations": 10,
    }
    return MatrixEvent(**{**body, **changes})


def toeplitz(coefficients: tuple[int, ...], rounds: int) -> NDArray[np.float64]:
    found = np.zeros((rounds, rounds))
    for k, value in enumerate(coefficients[:rounds]):
        found += np.diag(np.full(rounds - k, value / UNIT), -k)
    return found


# PRIVACY.md, section 2: T = 1000, normalised RMSE of prefix sums.
@pytest.mark.parametrize(
    ("separation", "participations", "identity", "full", "banded"),
    [(100, 10, 70.7, 15.7, 12.1), (1000, 1, 22.4, 3.1, 3.1), (20, 50, 158, None, 46.3)],
)
def test_prefix_error_anchors(
    separation: int, participations: int, identity: float, full: float | None, banded: float
) -> None:
    for bands, expected in [(1, identity), (1000, full), (separation, banded)]:
        found, _ = normalised_rmse(
            strategy_coefficients(bands),
            rounds=1000,
            separation=separation,
            participations=participations,
        )
        if expected is not None:
            assert found == pytest.approx(expected, rel=3e-3)


def test_largest_prefix_error_anchors() -> None:
    for bands, expected in [(1, 100.0), (100, 15.7)]:
        _, largest = normalised_rmse(
            strategy_coefficients(bands), rounds=1000, separation=100, participations=10
        )
        assert largest == pytest.approx(expected, rel=2e-3)


@settings(deadline=None, max_examples=60)
@given(
    rounds=st.integers(1, 9),
    bands=st.integers(1, 9),
    separation=st.integers(1, 9),
    participations=st.integers(1, 5),
)
def test_the_closed_form_is_the_worst_schedule_and_the_worst_signs(
    rounds: int, bands: int, separation: int, participations: int
) -> None:
    strategy = toeplitz(strategy_coefficients(min(bands, rounds)), rounds)
    worst = 0.0
    for size in range(1, participations + 1):
        for schedule in itertools.combinations(range(rounds), size):
            if all(b - a >= separation for a, b in itertools.pairwise(schedule)):
                for signs in itertools.product((1, -1), repeat=size):
                    column = strategy[:, schedule] @ np.array(signs)
                    worst = max(worst, float(np.linalg.norm(column)))
    found = toeplitz_sensitivity(
        strategy_coefficients(min(bands, rounds)), rounds, separation, participations
    )
    assert worst <= found * (1 + 1e-12) and found == pytest.approx(worst, rel=1e-12)


def test_the_closed_form_is_refused_where_it_does_not_hold() -> None:
    for coefficients in ((UNIT, UNIT // 2, UNIT), (UNIT, -1)):
        with pytest.raises(ValueError, match="never rise"):
            toeplitz_sensitivity(coefficients, 10, 1, 3)


@settings(deadline=None, max_examples=30)
@given(bands=st.integers(1, 50), rounds=st.integers(1, 80))
def test_the_inverse_and_the_error_are_those_of_the_matrices(bands: int, rounds: int) -> None:
    coefficients = strategy_coefficients(bands)
    strategy = toeplitz(coefficients, rounds)
    inverse = np.linalg.inv(strategy)
    np.testing.assert_allclose(inverse_coefficients(coefficients, rounds), inverse[:, 0], atol=1e-9)
    prefix = np.tril(np.ones((rounds, rounds))) @ inverse
    mean, largest = matrix.prefix_error(coefficients, rounds)
    assert mean == pytest.approx(float(np.linalg.norm(prefix)) / math.sqrt(rounds))
    assert largest == pytest.approx(float(np.linalg.norm(prefix, axis=1).max()))


def test_one_band_without_repeats_is_the_plain_gaussian() -> None:
    once = event(bands=1, participations=1)
    assert claimed_epsilon([once], 1e-6) == pytest.approx(gaussian_epsilon(1 / 20, 1e-6))
    ten = event(bands=1)
    expected = gaussian_epsilon(math.sqrt(10) / 20, 1e-6)
    assert claimed_epsilon([ten], 1e-6) == pytest.approx(expected, rel=1e-9)


def test_a_matrix_mechanism_is_one_gaussian_release_and_accountants_agree() -> None:
    release = event()
    assert release.gaussian.noise_multiplier == pytest.approx(20 / release.sensitivity)
    assert [a.bound for a in own_accounts([release], 1e-6)] == ["exact"]
    check_agreement([release, GaussianEvent(noise_multiplier=3.0)], 1e-6)
    twice = [RepeatedEvent(event=release, times=2)]
    assert total_mu(twice) == pytest.approx(math.sqrt(2) * total_mu([release]))


def test_epsilon_rises_with_participation_and_falls_with_separation() -> None:
    def epsilon(**changes: Any) -> float:
        return claimed_epsilon([event(**changes)], 1e-6)

    assert epsilon(participations=2) < epsilon(participations=5) < epsilon()
    assert epsilon(separation=50) < epsilon(separation=20) < epsilon() < epsilon(separation=5)
    assert epsilon(participations=11) == epsilon()  # ten fit into 100 rounds, ten apart
    assert epsilon(noise_multiplier=40.0) < epsilon()


def test_a_sensitivity_that_ignores_repeated_participation_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The mutant counts one column, or adds up columns as if they did not overlap.
    strategy = toeplitz(strategy_coefficients(20), 100)
    schedule = np.arange(0, 100, 10)
    real = float(np.linalg.norm(strategy[:, schedule].sum(axis=1)))
    one = float(np.linalg.norm(strategy[:, 0]))
    apart = math.sqrt(float((strategy[:, schedule] ** 2).sum()))
    found = event(bands=20).sensitivity
    assert found == pytest.approx(real, rel=1e-12)
    assert found > 1.1 * apart > 1.1 * one
    monkeypatch.setattr(matrix, "most_participations", lambda *_: 1)
    toeplitz_sensitivity.cache_clear()
    assert event(bands=20).sensitivity == pytest.approx(one)  # what the mutant would claim
    toeplitz_sensitivity.cache_clear()


@pytest.mark.parametrize("value", [0, -1, 1.5, math.nan, True, "3", None])
def test_impossible_matrices_are_refused_by_name(value: Any) -> None:
    for name in ("rounds", "bands", "separation", "participations"):
        with pytest.raises(InputError, match=name):
            event(**{name: value})
    with pytest.raises(InputError, match="at most rounds"):
        event(bands=101)
    assert event_from_dict(event_to_dict(event())) == event()


# --- noise on the grid ---


def test_without_noise_to_speak_of_the_release_is_the_sum() -> None:
    release = MatrixRelease(bands=8, noise_std=8 / UNIT, largest_sum=1000)
    stream = Randomness.insecure_seeded(1).stream("matrix")
    sums = np.random.default_rng(0).integers(-1000, 1001, (30, 5))
    found = np.array([release.release(total, stream) for total in sums])
    np.testing.assert_allclose(found, sums, atol=0.01)


@pytest.mark.parametrize(("bands", "std"), [(1, 50.0), (6, 50.0)])
def test_released_noise_has_the_correlations_of_the_strategy(bands: int, std: float) -> None:
    rounds, dimension = 12, 20_000
    release = MatrixRelease(bands=bands, noise_std=std, largest_sum=10)
    stream = Randomness.insecure_seeded(7).stream("matrix")
    zero = np.zeros(dimension, np.int64)
    noise = np.array([release.release(zero, stream) for _ in range(rounds)])
    inverse = np.linalg.inv(toeplitz(strategy_coefficients(bands), rounds))
    expected = std**2 * inverse @ inverse.T
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    error = (noise @ noise.T / dimension - expected) / scale
    assert np.abs(error).max() < 6 * math.sqrt(2 / dimension)
    for factor in (2 / 3, 3 / 2):  # and another noise would not pass
        assert np.abs(noise @ noise.T / dimension - factor**2 * expected).max() > 0.3 * std**2
    # What is coded, C times the estimates, lies on the grid.
    coded = toeplitz(strategy_coefficients(bands), rounds) @ noise * UNIT
    assert np.abs(coded - np.rint(coded)).max() < 1e-3


def test_sums_that_were_not_promised_and_grids_that_overflow_are_refused() -> None:
    release = MatrixRelease(bands=3, noise_std=1.0, largest_sum=10)
    stream = Randomness.insecure_seeded(1).stream("matrix")
    with pytest.raises(PrivacyError, match="larger than"):
        release.release(np.array([11]), stream)
    with pytest.raises(PrivacyError, match="64-bit"):
        MatrixRelease(bands=100, noise_std=1.0, largest_sum=1 << 43)
