"""The self-test accepts the noise of releases, and finds any that is a little too small."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.privacy.audit.self_test import require_self_test, self_test
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.randomness import Randomness
from privet.privacy.samplers import sample_rounded_gaussian, sample_skellam

Noise = Callable[[int], NDArray[np.int64]]
STD = 400.0


def gaussian(count: int) -> NDArray[np.int64]:
    return sample_rounded_gaussian(STD, count, Randomness.secret().stream("self-test"))


def skellam(count: int) -> NDArray[np.int64]:
    return sample_skellam(STD**2, count, Randomness.secret().stream("self-test"))


@pytest.mark.parametrize("noise", [gaussian, skellam])
@pytest.mark.parametrize("bound", [40, 1000])
def test_noise_as_claimed_passes(noise: Noise, bound: int) -> None:
    outcome = self_test(noise, bound=bound, std=STD, rng=np.random.default_rng(0))
    assert outcome.passed
    assert outcome.bound > 0
    require_self_test(outcome)


@pytest.mark.parametrize("factor", [0.5, 2 / 3, 0.9])
def test_smaller_noise_is_found(factor: float) -> None:
    def smaller(count: int) -> NDArray[np.int64]:
        stream = Randomness.secret().stream("self-test")
        return sample_rounded_gaussian(factor * STD, count, stream)

    outcome = self_test(smaller, bound=1000, std=STD, rng=np.random.default_rng(0))
    assert not outcome.passed
    assert factor < outcome.power or factor == 0.9
    with pytest.raises(PrivacyError, match="smaller than claimed"):
        require_self_test(outcome)


def test_no_noise_at_all_is_found() -> None:
    outcome = self_test(
        lambda count: np.zeros(count, np.int64), bound=10, std=STD, rng=np.random.default_rng(0)
    )
    assert not outcome.passed and outcome.bound == np.inf


def test_power_is_printed_before_it_is_needed() -> None:
    outcome = self_test(gaussian, bound=400, std=STD, rng=np.random.default_rng(0))
    assert 0.93 < outcome.power < 1


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(InputError, match="bound"):
        self_test(gaussian, bound=0, std=STD, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="draws"):
        self_test(lambda n: gaussian(n - 1), bound=5, std=STD, rng=np.random.default_rng(0))
