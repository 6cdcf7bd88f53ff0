"""Combinations of groups: what a few spoiled ones can move, and how much noise is left."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats
from tests.server.world import nobody

from privet.client.device import egress_policy
from privet.models import combination
from privet.models.combination import Combination, combine, noise_growth
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.combining import combined_release
from privet.server.fleet import Round
from privet.simulations.fleet import InProcessFleet

ROBUST = (Combination.MEDIAN, Combination.TRIMMED_MEAN)


def facts_of(combined: Combination, groups: int, **changes: object) -> PublicFacts:
    body = {"devices": 240, "items": 12, "epsilon": 8.0, "delta": 1e-5, **changes}
    trust = Trust.SECURE_AGGREGATION
    return PublicFacts(trust=trust, groups=groups, combination=combined, **body)  # type: ignore[arg-type]


def plan_of(combined: Combination, groups: int, **changes: object) -> Plan:
    return make_plan(Popularity(), facts_of(combined, groups, **changes), catalogue_hash="0" * 64)


# --- what spoiled groups can move ---

finite = st.floats(-1e9, 1e9)


@given(st.sampled_from(ROBUST), st.integers(3, 12), st.data())
def test_spoiled_groups_move_the_result_no_further_than_honest_ones_lie_apart(
    combined: Combination, groups: int, data: st.DataObject
) -> None:
    sums = data.draw(arrays(np.float64, (groups, 5), elements=finite))
    devices = data.draw(st.lists(st.integers(1, 50), min_size=groups, max_size=groups))
    spoiled = data.draw(st.integers(0, combined.trimmed(groups)))
    places = data.draw(st.permutations(range(groups)))[:spoiled]
    honest = np.delete(sums / np.array(devices)[:, None], places, axis=0)
    sums[places] = data.draw(arrays(np.float64, (spoiled, 5), elements=st.floats(-1e300, 1e300)))
    found = combine(list(sums), devices, combined) / sum(devices)
    slack = 1e-9 * (1 + np.abs(honest).max())
    assert (found >= honest.min(axis=0) - slack).all()
    assert (found <= honest.max(axis=0) + slack).all()


@pytest.mark.parametrize("groups", [3, 4, 5, 8, 9])
def test_one_group_more_than_is_borne_moves_the_result_anywhere(groups: int) -> None:
    for combined in ROBUST:
        kept = groups - 2 * combined.trimmed(groups)
        spoiled = combined.trimmed(groups) + 1
        sums = [np.full(1, 1e12)] * spoiled + [np.zeros(1)] * (groups - spoiled)
        assert combine(sums, [1] * groups, combined)[0] >= 1e12 * groups / kept * 0.99


def test_a_sum_is_exactly_the_sum_and_one_group_moves_it_anywhere() -> None:
    sums = [np.array([1.25, -3.0]), np.array([0.5, 1e12]), np.array([0.0, 0.25])]
    assert combine(sums, [1, 5, 2], Combination.SUM).tolist() == [1.75, 1e12 - 2.75]


def test_where_groups_agree_a_combination_is_their_sum() -> None:
    mean = np.array([0.5, -2.0, 0.0])
    devices = [7, 8, 8, 7, 8]
    for combined in Combination:
        found = combine([mean * n for n in devices], devices, combined)
        assert np.allclose(found, mean * 38)


@pytest.mark.parametrize("combined", ROBUST)
@pytest.mark.parametrize("groups", [1, 2, 101])
def test_groups_too_few_to_tell_or_too_many_are_refused(combined: Combination, groups: int) -> None:
    with pytest.raises(InputError, match="groups"):
        plan_of(combined, groups)


def test_a_plan_is_bound_to_its_combination_and_no_epsilon_depends_on_it() -> None:
    plans = [plan_of(combined, 4) for combined in Combination]
    assert len({plan.hash for plan in plans}) == 3
    assert plans[0].steps == plans[1].steps == plans[2].steps
    for plan in plans:
        assert Plan.from_bytes(plan.to_bytes()) == plan


def test_spectrals_head_follows_from_the_noise_of_the_combination() -> None:
    sizes = {"devices": 20_000, "items": 3000, "epsilon": 2.0, "delta": 1e-6}
    heads = [Spectral().head_size(facts_of(combined, 8, **sizes)) for combined in Combination]
    assert heads[0] > heads[1] > heads[2]


# --- noise ---


def test_the_median_of_three_has_the_variance_that_is_known() -> None:
    assert noise_growth(Combination.MEDIAN, 3) ** 2 / 3 == pytest.approx(1 - math.sqrt(3) / math.pi)


@pytest.mark.parametrize("combined", ROBUST)
@pytest.mark.parametrize("groups", [3, 4, 7, 8, 30, 100])
def test_growth_is_that_of_gaussians_and_below_its_bound(
    combined: Combination, groups: int
) -> None:
    kept = groups - 2 * combined.trimmed(groups)
    growth = noise_growth(combined, groups)
    assert 1 <= growth <= math.sqrt(groups / kept)
    draws = np.random.default_rng(3).standard_normal((groups, 20_000))
    found = combine(list(draws), [1] * groups, combined)
    assert found.std() == pytest.approx(growth * math.sqrt(groups), rel=0.03)


def released_noise(combined: Combination, groups: int) -> tuple[NDArray[np.float64], float]:
    """A release of empty histories, and the noise that it says it has."""
    plan = plan_of(combined, groups, devices=8 * groups, items=6000)
    fleet = InProcessFleet(
        Popularity(),
        nobody(8 * groups, 6000),
        randomness=Randomness.secret(),
        gate=Gate(egress_policy(plan)),
    )
    found = fleet.run(Round(plan=plan, step=plan.steps[0], shared={}), lambda _: None)
    sums, devices = [g.total for g in found.groups], [g.survivors for g in found.groups]
    release = combined_release(plan, plan.steps[0], sums, devices)
    return release.total, release.noise_std


def accepted(noise: NDArray[np.float64], std: float) -> bool:
    """Whether the sample's variance fits, with a false alarm of about 1e-9."""
    statistic = float((noise**2).sum()) / std**2
    low, high = (float(stats.chi2.ppf(p, len(noise))) for p in (1e-11, 1 - 1e-11))
    return 0.98 * low < statistic < 1.02 * high


@pytest.mark.parametrize("groups", [3, 4, 8])
@pytest.mark.parametrize("combined", list(Combination))
def test_a_release_has_the_noise_that_it_says_and_no_other(
    combined: Combination, groups: int
) -> None:
    noise, std = released_noise(combined, groups)
    assert accepted(noise, std)
    assert not accepted(noise, 2 * std / 3) and not accepted(noise, 3 * std / 2)


def test_noise_that_is_told_as_the_sums_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, std = released_noise(Combination.MEDIAN, 8)
    monkeypatch.setattr(PublicFacts, "noise_growth", 1.0)
    again, wrong = released_noise(Combination.MEDIAN, 8)
    assert accepted(noise, std) and not accepted(again, wrong)


def test_a_median_that_is_a_mean_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = [np.array([value]) for value in (1.0, 2.0, 1e12, 3.0)]
    assert combine(sums, [1] * 4, Combination.MEDIAN)[0] <= 4 * 3.0
    monkeypatch.setattr(combination.Combination, "trimmed", lambda self, groups: 0)
    assert combine(sums, [1] * 4, Combination.MEDIAN)[0] > 1e11


def test_groups_of_other_sizes_have_at_most_the_noise_that_is_told() -> None:
    plan = plan_of(Combination.MEDIAN, 4, devices=400, items=12, min_survivors=40)
    rng, sizes = np.random.default_rng(0), [40, 60, 80, 100]
    step = replace(plan.steps[0])
    draws = [rng.standard_normal(40_000) * step.noise_std(n) for n in sizes]
    release = combined_release(plan, step, [np.zeros(12, np.uint32)] * 4, sizes)
    found = float(combine(draws, sizes, Combination.MEDIAN).std())
    assert 0.7 * release.noise_std < found < release.noise_std
