"""Sampled cohorts through the whole coordinator: who is drawn, what is told of it, what it costs."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from tests.privacy.statistics import FALSE_ALARM
from tests.server.world import (
    SEED,
    Crash,
    OneByOne,
    TwoSums,
    charged,
    crash_at,
    histories,
    run,
)

from privet.models.cohort import Cohort
from privet.models.model import Model, state_hash
from privet.models.plan import Plan, PublicFacts, Step
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Adversary, Trust, guarantees
from privet.privacy.accounting.events import SamplingKind
from privet.privacy.cohorts import CohortRule
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.ledger import EntryKind
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Phase
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.storage import RunStore

A1, A2 = Adversary.MODEL_CONSUMER, Adversary.OTHER_CLIENT
DEVICES = 40
POISSON, FIXED = CohortRule.parse("poisson:0.3"), CohortRule.parse("fixed:12")
MOST = CohortRule.parse("poisson:0.9")  # enough devices for noise of their own


class ManySums(Popularity):
    """The same sum over and over, so that many cohorts are drawn."""

    def steps(self, facts: PublicFacts) -> tuple[Step, ...]:
        (step,) = Popularity().steps(facts)
        return tuple(replace(step, name=f"sum {i}", budget_share=1 / 60) for i in range(60))


@cache
def plan_for(
    trust: Trust = Trust.CENTRAL,
    rule: CohortRule = POISSON,
    *,
    many: bool = False,
    seeded: bool = False,
    min_survivors: int = 0,
    groups: int = 1,
) -> Plan:
    facts = PublicFacts(
        devices=DEVICES,
        items=12,
        epsilon=8.0,
        delta=1e-5,
        trust=trust,
        cohort=rule,
        min_survivors=min_survivors,
        groups=groups,
    )
    model = ManySums() if many else TwoSums()
    return make_plan(model, facts, catalogue_hash="0" * 64, seeded_noise=seeded)


@cache
def people() -> Cohort:
    return histories(DEVICES)


class Watched:
    """Notes who was asked for, and how many the sum was said to have."""

    def __init__(self, inner: Fleet) -> None:
        self.inner = inner
        self.asked: list[list[int]] = []
        self.survivors: list[int] = []

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        assert round_.devices is not None
        self.asked.append(round_.devices.tolist())
        found = self.inner.run(round_, charge)
        self.survivors.append(found.survivors)
        return found


def watched_run(directory: Path, plan: Plan, *, model: Model | None = None) -> Watched:
    watching: list[Watched] = []

    def watch(inner: Fleet) -> Fleet:
        watching.append(Watched(inner))
        return watching[0]

    model = model or (ManySums() if len(plan.steps) > 2 else TwoSums())
    run(directory, plan, model=model, cohort=people(), wrap_fleet=watch)
    return watching[0]


def drawn_as_poisson(directory: Path) -> None:
    """Cohorts that the coordinator asked fleets for, against independent coins."""
    plan = plan_for(many=True, seeded=True)
    found = watched_run(directory, plan)
    taken = np.zeros((len(found.asked), DEVICES))
    for number, devices in enumerate(found.asked):
        taken[number, devices] = 1
    rounds, rate = len(taken), 0.3
    each = ((taken.sum(axis=0) - rounds * rate) ** 2).sum() / (rounds * rate * (1 - rate))
    sizes = ((taken.sum(axis=1) - DEVICES * rate) ** 2).sum() / (DEVICES * rate * (1 - rate))
    assert stats.chi2.sf(each, DEVICES) > FALSE_ALARM
    assert stats.chi2.cdf(sizes, rounds) > FALSE_ALARM
    assert stats.chi2.sf(sizes, rounds) > FALSE_ALARM
    assert found.survivors == [len(devices) for devices in found.asked]


def test_cohorts_announced_as_poisson_are_drawn_by_independent_coins(tmp_path: Path) -> None:
    drawn_as_poisson(tmp_path / "run")


def no_size_is_told(directory: Path) -> None:
    """Whatever was drawn, everything that is published says the expected number."""
    told: list[int] = []

    class Listening(TwoSums):
        def update(self, step, shared, release, facts):  # type: ignore[no-untyped-def]
            told.append(release.devices)
            return super().update(step, shared, release, facts)

    sizes: list[int] = []

    def watch(inner: Fleet) -> Fleet:
        class Counting:
            def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
                assert round_.devices is not None
                sizes.append(len(round_.devices))
                return inner.run(round_, charge)

        return Counting()

    for number in range(6):
        name = directory / f"{number}"
        run(name, plan_for(), model=Listening(), cohort=people(), wrap_fleet=watch)
        store = RunStore(name)
        closes = [e.body["devices"] for e in store.entries if e.kind is EntryKind.CLOSE]
        bodies = json.dumps([e.body for e in store.entries if e.kind is not EntryKind.PLAN])
        store.close()
        assert closes == [12, 12]
        assert [c.terms.survivors for c in charged(name)] == [12, 12]
        assert "roster" not in bodies.replace("roster_sent", "")
    assert set(told) == {12}
    assert len(set(sizes)) > 3  # they did differ


def test_the_size_of_a_secret_cohort_is_in_no_charge_close_or_release(tmp_path: Path) -> None:
    no_size_is_told(tmp_path)


def test_two_runs_with_cohorts_of_other_sizes_have_ledgers_of_equal_text(tmp_path: Path) -> None:
    """But for the hash of the released state, and noise does that."""
    found = []
    for name in ("one", "two"):
        watched_run(tmp_path / name, plan_for())
        store = RunStore(tmp_path / name)
        bodies = [
            {k: v for k, v in e.body.items() if k not in ("state_hash", "model_hash")}
            for e in store.entries
        ]
        store.close()
        found.append(bodies)
    assert found[0] == found[1]


def empty_cohorts_are_noised_and_charged(directory: Path) -> None:
    rule = CohortRule(kind=SamplingKind.POISSON, rate=0.05)
    plan = plan_for(rule=rule, many=True, seeded=True)
    totals: dict[str, NDArray[np.float64]] = {}

    class Keeping(ManySums):
        def update(self, step, shared, release, facts):  # type: ignore[no-untyped-def]
            totals[step.name] = release.total
            return super().update(step, shared, release, facts)

    found = watched_run(directory, plan, model=Keeping())
    empty = [number for number, devices in enumerate(found.asked) if not devices]
    assert len(empty) > 3
    assert len(charged(directory)) == len(plan.steps)
    noise = np.concatenate([totals[f"sum {number}"] for number in empty])
    std = plan.steps[0].noise_std(2)
    assert 0.5 * std < noise.std() < 1.6 * std


def test_an_empty_poisson_cohort_is_noised_and_charged_like_any_other(tmp_path: Path) -> None:
    empty_cohorts_are_noised_and_charged(tmp_path / "run")


@pytest.mark.parametrize("phase", Phase)
def test_with_the_kept_key_a_repeat_after_a_crash_draws_the_same_cohort(
    tmp_path: Path, phase: Phase
) -> None:
    plan = plan_for()
    asked: dict[str, list[list[int]]] = {}

    def watch(inner: Fleet) -> Fleet:
        class Noting:
            def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
                assert round_.devices is not None
                asked.setdefault(round_.step.name, []).append(round_.devices.tolist())
                return inner.run(round_, charge)

        return Noting()

    with pytest.raises(Crash):
        run(
            tmp_path / "run",
            plan,
            cohort=people(),
            observer=crash_at(phase, 1),
            wrap_fleet=watch,
        )
    run(tmp_path / "run", plan, cohort=people(), resume=True, wrap_fleet=watch)
    for cohorts in asked.values():
        assert all(cohort == cohorts[0] for cohort in cohorts)
    assert asked["popularity"][0] != asked["signs"][0]
    assert [(c.step, c.attempt) for c in charged(tmp_path / "run")] == [
        ("popularity", 0),
        ("signs", 0),
    ]


def test_without_a_kept_key_a_repeat_draws_anew_and_is_charged_again(tmp_path: Path) -> None:
    plan = plan_for(Trust.SECURE_AGGREGATION, FIXED)
    asked = []

    def watch(inner: Fleet) -> Fleet:
        class Noting:
            def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
                assert round_.devices is not None
                asked.append(round_.devices.tolist())
                return inner.run(round_, charge)

        return Noting()

    options = {"cohort": people(), "wrap_fleet": watch}
    with pytest.raises(Crash):
        run(tmp_path / "run", plan, observer=crash_at(Phase.SUMMED, 0), **options)  # type: ignore[arg-type]
    run(tmp_path / "run", plan, resume=True, budget=100.0, **options)  # type: ignore[arg-type]
    assert asked[0] != asked[1]  # wrongly equal once in 5 billion
    assert [c.attempt for c in charged(tmp_path / "run")] == [0, 1, 0]


@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("rule", [MOST, FIXED], ids=str)
def test_single_devices_and_cohorts_give_the_same_model(
    tmp_path: Path, trust: Trust, rule: CohortRule
) -> None:
    """Some devices have a state from an earlier round, some have none yet."""
    plan = plan_for(trust, rule, seeded=True, min_survivors=0)
    together = run(tmp_path / "many", plan, cohort=people())

    class Some(OneByOne):
        def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
            assert round_.devices is not None
            everyone = self.cohort
            self.cohort = everyone.take(round_.devices)
            before, self.local = (
                self.local,
                {
                    row: self.local.get(device + 1000, {})
                    for row, device in enumerate(round_.devices.tolist())
                }
                | {k: v for k, v in self.local.items() if k >= 1000},
            )
            try:
                return super().run(round_, charge)
            finally:
                after = {
                    device + 1000: self.local[row]
                    for row, device in enumerate(round_.devices.tolist())
                }
                self.local = {k: v for k, v in before.items() if k >= 1000} | after
                self.cohort = everyone

    alone = Some(TwoSums(), people(), Randomness.insecure_seeded(SEED), plan)
    apart = run(tmp_path / "one", plan, cohort=people(), wrap_fleet=lambda fleet: alone)
    assert state_hash(apart) == state_hash(together)


def test_a_fixed_size_is_published_kept_and_groups_split_it(tmp_path: Path) -> None:
    plan = plan_for(Trust.SECURE_AGGREGATION, FIXED, groups=3)
    assert plan.facts.min_survivors == plan.steps[0].terms.survivors == 4
    found = watched_run(tmp_path / "run", plan)
    assert {len(devices) for devices in found.asked} == {12} == set(found.survivors)
    assert [c.terms.survivors for c in charged(tmp_path / "run")] == [4, 4]


def test_epsilon_is_amplified_against_a_model_consumer_alone_and_noise_is_not_cut_for_it(
    tmp_path: Path,
) -> None:
    plan, everyone = plan_for(), plan_for(rule=CohortRule())
    assert plan.steps[0].terms.noise_multiplier == everyone.steps[0].terms.noise_multiplier
    run(tmp_path / "run", plan, cohort=people())
    terms = [c.terms for c in charged(tmp_path / "run")]
    found = {g.adversary: g.epsilon for g in guarantees(terms, 1e-5, private=True)}
    assert found[A2] == pytest.approx(8.0, rel=1e-6)
    assert (found[A1] or 9) < 0.7 * 8.0


@pytest.mark.parametrize("trust", [Trust.SECURE_AGGREGATION, Trust.LOCAL])
def test_under_other_trusts_the_number_of_poisson_survivors_is_public_and_checked(
    tmp_path: Path, trust: Trust
) -> None:
    plan = plan_for(trust, MOST)
    assert 1 < plan.facts.min_survivors == MOST.fewest(DEVICES) < 36
    found = watched_run(tmp_path / "run", plan)
    assert [c.terms.survivors for c in charged(tmp_path / "run")] == found.survivors
    with pytest.raises(PrivacyError, match="devices are left"):
        run(tmp_path / "few", plan_for(trust, MOST, min_survivors=40), cohort=people())


def test_a_fleet_with_more_devices_than_were_drawn_is_refused(tmp_path: Path) -> None:
    def everyone(inner: Fleet) -> Fleet:
        class Greedy:
            def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
                return inner.run(replace(round_, devices=None), charge)

        return Greedy()

    for plan in (plan_for(), plan_for(rule=FIXED), plan_for(Trust.SECURE_AGGREGATION, FIXED)):
        directory = tmp_path / plan.hash[:8]
        with pytest.raises(PrivacyError, match="than were drawn"):
            run(directory, plan, cohort=people(), wrap_fleet=everyone)
        assert charged(directory) == []


def test_stopping_below_a_minimum_would_tell_a_secret_size_and_is_refused() -> None:
    with pytest.raises(PrivacyError, match="kept secret"):
        plan_for(min_survivors=3)
    assert plan_for(min_survivors=12) == plan_for()


def test_cohorts_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(InputError, match="A cohort of 41 cannot be drawn from 40"):
        plan_for(rule=CohortRule.parse("fixed:41"))
    with pytest.raises(InputError, match="from 1 to 12 groups"):
        plan_for(Trust.SECURE_AGGREGATION, FIXED, groups=13)


def test_an_unknown_device_is_refused_by_the_fleets_cohort() -> None:
    with pytest.raises(InputError, match="each once"):
        people().rows_of(np.array([3, 40]))
    with pytest.raises(InputError, match="each once"):
        people().rows_of(np.array([3, 3]))
