"""Drawing cohorts: each sampler draws as it says, and a rule and its sampler cannot differ."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.privacy.statistics import FALSE_ALARM

from privet.privacy import cohorts
from privet.privacy.accounting.events import SamplingKind
from privet.privacy.cohorts import EVERYONE, CohortRule, FixedSizeSampler, PoissonSampler, Sampler
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.randomness import Randomness

DEVICES = 40


def inclusion(sampler: Sampler, rounds: int, seed: int = 1) -> np.ndarray:
    """Who was in which round, shape (rounds, devices)."""
    source, found = Randomness.insecure_seeded(seed), np.zeros((rounds, DEVICES), bool)
    for number in range(rounds):
        found[number, sampler.draw(DEVICES, source.stream("cohort", number))] = True
    return found


def poisson_p(taken: np.ndarray, rate: float) -> tuple[float, float, float]:
    """P-values of: each device's inclusions, the cohorts' sizes, and pairs being independent."""
    rounds, devices = taken.shape
    expected = rounds * rate
    each = float(((taken.sum(axis=0) - expected) ** 2 / (expected * (1 - rate))).sum())
    mean, variance = devices * rate, devices * rate * (1 - rate)
    sizes = float(((taken.sum(axis=1) - mean) ** 2).sum() / variance)
    together = (taken[:, ::2] & taken[:, 1::2]).sum()
    pairs = stats.binomtest(int(together), rounds * (devices // 2), rate**2).pvalue
    both = stats.chi2.cdf(sizes, rounds), stats.chi2.sf(sizes, rounds)
    return float(stats.chi2.sf(each, devices)), 2 * min(both), float(pairs)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8])
def test_a_poisson_cohort_is_made_of_independent_coins(rate: float) -> None:
    assert min(poisson_p(inclusion(PoissonSampler(rate=rate), 2000), rate)) > FALSE_ALARM


@pytest.mark.parametrize("wrong", [2 / 3, 3 / 2])
def test_a_wrong_rate_is_noticed(wrong: float) -> None:
    assert min(poisson_p(inclusion(PoissonSampler(rate=0.3 * wrong), 2000), 0.3)) < 1e-9


def test_a_cohort_of_fixed_size_is_not_taken_for_poisson() -> None:
    taken = inclusion(FixedSizeSampler(size=12), 2000)
    each, sizes, _pairs = poisson_p(taken, 0.3)
    assert each > FALSE_ALARM and sizes < 1e-9


def test_a_cohort_of_fixed_size_has_it_and_treats_devices_and_pairs_alike() -> None:
    taken = inclusion(FixedSizeSampler(size=12), 4000)
    assert (taken.sum(axis=1) == 12).all()
    expected = 4000 * 12 / DEVICES
    each = ((taken.sum(axis=0) - expected) ** 2).sum() / (expected * (1 - 12 / DEVICES))
    # Counts of a fixed total have one degree of freedom less.
    assert stats.chi2.sf(each * (DEVICES - 1) / DEVICES, DEVICES - 1) > FALSE_ALARM
    together = int((taken[:, 0] & taken[:, 1]).sum())
    assert stats.binomtest(together, 4000, 12 * 11 / (40 * 39)).pvalue > FALSE_ALARM


@given(st.integers(1, 60), st.data())
def test_draws_are_sorted_distinct_and_repeat_with_their_stream(
    population: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, population))
    rate = data.draw(st.floats(1e-9, 1.0))
    for sampler in (FixedSizeSampler(size=size), PoissonSampler(rate=rate)):
        first, again = (
            sampler.draw(population, Randomness.insecure_seeded(3).stream("cohort"))
            for _ in range(2)
        )
        assert np.array_equal(first, again) and first.dtype == np.int64
        assert (np.diff(first) > 0).all()
        assert len(first) == 0 or 0 <= first[0] <= first[-1] < population
    everyone = PoissonSampler(rate=1.0).draw(
        population, Randomness.insecure_seeded(0).stream("cohort")
    )
    assert np.array_equal(everyone, np.arange(population))


def test_equal_random_words_are_drawn_again() -> None:
    class Repeating:
        def __init__(self, repeats: int) -> None:
            self.left = repeats

        def words64(self, count: int) -> np.ndarray:
            self.left -= 1
            return np.zeros(count, np.uint64) if self.left >= 0 else np.arange(count)[::-1]

    drawn = FixedSizeSampler(size=2).draw(5, Repeating(3))  # type: ignore[arg-type]
    assert drawn.tolist() == [3, 4]
    with pytest.raises(PrivacyError, match="no cohort was drawn"):
        FixedSizeSampler(size=2).draw(5, Repeating(99))  # type: ignore[arg-type]


# --- rules ---


@given(st.one_of(st.just("all"), st.integers(1, 10**6), st.floats(1e-6, 1.0)))
def test_a_rule_is_read_as_it_is_written(value: str | float) -> None:
    text = {str: "{}", int: "fixed:{}", float: "poisson:{!r}"}[type(value)].format(value)
    rule = CohortRule.parse(text)
    assert str(rule) == text and CohortRule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "text", ["", "some", "fixed", "fixed:", "fixed:0", "fixed:-3", "fixed:1.5", "poisson:0",
             "poisson:1.1", "poisson:nan", "poisson:inf", "poisson:-1", "all:3", "fixed:x"],
)  # fmt: skip
def test_a_rule_that_is_none_is_refused_and_told_what_to_use(text: str) -> None:
    with pytest.raises(InputError, match="use all, fixed:N or poisson:RATE"):
        CohortRule.parse(text)


@pytest.mark.parametrize(
    "changes",
    [{"kind": SamplingKind.SHUFFLED}, {"size": 3}, {"kind": SamplingKind.POISSON},
     {"kind": SamplingKind.POISSON, "rate": 0.5, "size": 3}, {"kind": SamplingKind.FIXED_SIZE},
     {"kind": SamplingKind.FIXED_SIZE, "size": True}],
)  # fmt: skip
def test_numbers_that_do_not_go_with_the_kind_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        CohortRule(**changes)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0.001, 1.0))
def test_a_poisson_cohort_is_smaller_than_its_public_minimum_once_in_a_million(
    devices: int, rate: float
) -> None:
    fewest = CohortRule(kind=SamplingKind.POISSON, rate=rate).fewest(devices)
    if fewest > 1:
        assert stats.binom.cdf(fewest - 1, devices, rate) < 1e-6
    assert fewest <= CohortRule(kind=SamplingKind.POISSON, rate=rate).expected(devices)


def test_the_expected_number_is_public_and_at_least_one() -> None:
    assert EVERYONE.expected(7) == EVERYONE.fewest(7) == 7
    assert CohortRule.parse("fixed:3").expected(7) == CohortRule.parse("fixed:3").fewest(7) == 3
    assert CohortRule.parse("poisson:0.01").expected(7) == 1
    assert CohortRule.parse("poisson:0.5").expected(1000) == 500


@pytest.mark.parametrize("text", ["all", "fixed:3", "poisson:0.25"])
def test_a_rules_own_sampler_is_what_it_declares(text: str) -> None:
    rule = CohortRule.parse(text)
    assert rule.checked_sampler(12) == rule.sampler()


@pytest.mark.parametrize(
    ("declared", "drawn"),
    [
        ("poisson:0.25", FixedSizeSampler(size=3)),
        ("poisson:0.25", PoissonSampler(rate=0.3)),
        ("poisson:0.25", None),
        ("fixed:3", PoissonSampler(rate=0.25)),
        ("fixed:3", FixedSizeSampler(size=4)),
        ("all", PoissonSampler(rate=1.0)),
    ],
)
def test_a_sampler_that_is_another_one_than_declared_is_refused(
    declared: str, drawn: Sampler | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohorts.CohortRule, "sampler", lambda self: drawn)
    with pytest.raises(PrivacyError, match=r"Cohorts are declared as .*, but drawn as"):
        CohortRule.parse(declared).checked_sampler(12)
    assert math.isclose(PoissonSampler(rate=0.25).probability(12), 0.25)
