"""Rounds in groups: exact sums, noise and minimum in each group, epsilon of one group."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.privacy.statistics import FALSE_ALARM, chi_square_p, skellam_cdf
from tests.server.world import charges_in_file, histories, nobody, run, small_noise
from tests.simulations.world import Privet, save_world

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models import planning
from privet.models.cohort import Cohort
from privet.models.federation import Stage
from privet.models.groups import assign_groups, members
from privet.models.model import Model
from privet.models.plan import Plan, PublicFacts, StepPlan
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Adversary, Trust, guarantees
from privet.privacy.encoding import wrap
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import EntryKind
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.privacy.report.document import Report
from privet.privacy.report.verify import verify_report
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.server import coordinator, remote_fleet
from privet.server.fleet import Aggregate, ChargeSum, Fleet, GroupSum, Round
from privet.server.protocol_round import RoundSetup, secure_round
from privet.simulations.fleet import InProcessFleet
from privet.simulations.protocol_fleet import ProtocolFleet

DEVICES, ITEMS, GROUPS = 42, 12, 4
HASH = "5a" * 32


def grouped(
    *,
    devices: int = DEVICES,
    groups: int = GROUPS,
    seeded: bool = True,
    drop_permille: int = 0,
    **changes: object,
) -> Plan:
    """A plan in groups, over the protocol if dropouts are allowed for."""
    body = {"epsilon": 8.0, "trust": Trust.SECURE_AGGREGATION, "delta": 1e-5, **changes}
    facts = PublicFacts(devices=devices, items=ITEMS, groups=groups, **body)  # type: ignore[arg-type]
    protocol = ProtocolTerms(drop_permille=drop_permille) if drop_permille else None
    return make_plan(
        Popularity(), facts, catalogue_hash="0" * 64, seeded_noise=seeded, protocol=protocol
    )


Kind = type[InProcessFleet] | type[ProtocolFleet]


def fleet_of(
    kind: Kind, plan: Plan, rows: Cohort, *, model: Model | None = None, seed: int = 3
) -> Fleet:
    model, randomness = model or Popularity(), Randomness.insecure_seeded(seed)
    if kind is ProtocolFleet:
        return ProtocolFleet(model, plan, rows, randomness=randomness)
    return InProcessFleet(model, rows, randomness=randomness, gate=Gate(egress_policy(plan)))


def round_of(plan: Plan, attempt: int = 0) -> Round:
    return Round(plan=plan, step=plan.steps[0], shared={}, attempt=attempt)


def count_only(survivors: Sequence[int]) -> None:
    """A ledger that never says no."""


# --- who is in which group ---


@given(
    devices=st.sets(st.integers(0, 10**9), min_size=1, max_size=60),
    share=st.floats(0, 1),
    attempt=st.integers(0, 2**40),
    seed=st.integers(0, 2**32),
)
def test_groups_are_balanced_and_the_same_for_whoever_computes_them(
    devices: set[int], share: float, attempt: int, seed: int
) -> None:
    some = np.array(sorted(devices), np.int64)
    groups = 1 + int(share * (len(some) - 1))
    found = assign_groups(HASH, "step", attempt, some, groups)
    sizes = np.bincount(found, minlength=groups)
    assert sizes.max() - sizes.min() <= 1 and len(sizes) == groups
    order = np.random.default_rng(seed).permutation(len(some))
    assert np.array_equal(assign_groups(HASH, "step", attempt, some[order], groups), found[order])


def test_groups_are_fresh_for_each_plan_step_and_attempt() -> None:
    devices = np.arange(4000)
    first = assign_groups(HASH, "step", 0, devices, 8)
    for other in (("5b" * 32, "step", 0), (HASH, "pets", 0), (HASH, "step", 1)):
        again = assign_groups(*other, devices, 8)
        together = int((again == first).sum())
        assert abs(together - 500) < 6.7 * math.sqrt(500)  # false alarm 2e-11 each


def test_devices_that_are_named_twice_and_too_many_groups_are_refused() -> None:
    with pytest.raises(InputError, match="different"):
        assign_groups(HASH, "step", 0, np.array([1, 2, 1]), 2)
    for groups in (0, 4):
        with pytest.raises(InputError, match="groups"):
            assign_groups(HASH, "step", 0, np.arange(3), groups)


@pytest.mark.parametrize("trust", [Trust.CENTRAL, Trust.LOCAL])
def test_groups_are_refused_where_they_would_protect_nobody(trust: Trust) -> None:
    with pytest.raises(PrivacyError, match="Leave groups away"):
        grouped(trust=trust)


@pytest.mark.parametrize("groups", [0, DEVICES + 1, -2])
def test_numbers_of_groups_that_cannot_be_are_refused(groups: int) -> None:
    with pytest.raises(InputError, match="groups"):
        grouped(groups=groups)


def test_the_minimum_is_that_of_a_group_and_more_than_its_devices_are_refused() -> None:
    assert grouped().facts.min_survivors == DEVICES // GROUPS == 10
    assert grouped().facts.largest_group == 11
    for wrong in ({"min_survivors": 11}, {"colluders": 10}, {"groups": DEVICES}):
        with pytest.raises(PrivacyError):
            grouped(**wrong)  # type: ignore[arg-type]


# --- sums ---


def uploads(plan: Plan, rows: Cohort) -> NDArray[np.int64]:
    """Each device's integers with its noise share, by the device's own step."""
    found = []
    for row in range(len(rows)):
        admitted, _ = take_part(
            Popularity(),
            DeviceTask(plan=plan, step=plan.steps[0], shared={}),
            {},
            rows.slice(row, row + 1),
            randomness=Randomness.insecure_seeded(3),
            gate=Gate(egress_policy(plan)),
            add_noise_share=True,
        )
        total = np.zeros(plan.steps[0].encoding.dimension, np.int64)
        admitted.add_into(total)
        found.append(total)
    return np.array(found, np.int64)


@pytest.mark.parametrize("kind", [InProcessFleet, ProtocolFleet])
def test_each_groups_sum_is_exactly_that_of_its_devices(kind: Kind) -> None:
    plan = grouped(drop_permille=100 if kind is ProtocolFleet else 0)
    rows = histories(DEVICES, ITEMS)
    alone = uploads(plan, rows)
    found = fleet_of(kind, plan, rows).run(round_of(plan), count_only)
    inside = members(plan, "popularity", 0, rows.devices)
    assert len(found.groups) == GROUPS
    for group, places in zip(found.groups, inside, strict=True):
        assert group.survivors == len(places)
        assert np.array_equal(group.total, wrap(alone[places].sum(axis=0)))
    assert np.array_equal(found.total, wrap(alone.sum(axis=0)))
    assert found.survivors == DEVICES


@pytest.mark.parametrize("kind", [InProcessFleet, ProtocolFleet])
def test_what_devices_keep_stays_theirs_when_groups_change(tmp_path: Path, kind: Kind) -> None:
    """The model of `tests.server.world` notices if a device is given another's state."""
    from tests.server.world import TwoSums

    rows = histories(DEVICES, ITEMS)
    facts = PublicFacts(
        devices=DEVICES,
        items=ITEMS,
        epsilon=8.0,
        delta=1e-5,
        trust=Trust.SECURE_AGGREGATION,
        groups=3,
    )
    plan = make_plan(
        TwoSums(),
        facts,
        catalogue_hash="0" * 64,
        seeded_noise=True,
        protocol=ProtocolTerms() if kind is ProtocolFleet else None,
    )
    fleet = fleet_of(kind, plan, rows, model=TwoSums(), seed=4)
    found = run(tmp_path / "grouped", plan, cohort=rows, wrap_fleet=lambda _: fleet)
    one = replace(facts, groups=1)
    alone = replace(plan, facts=one, steps=_ungrouped(plan), protocol=None)
    assert found["signs"].shape == (5,)
    # Rounding and noise shares are each device's own, so the sum of all groups is that of one.
    whole = run(tmp_path / "whole", alone, cohort=rows)
    assert all(np.array_equal(found[name], whole[name]) for name in whole)


def _ungrouped(plan: Plan) -> tuple[StepPlan, ...]:
    return tuple(replace(s, terms=replace(s.terms, groups=1)) for s in plan.steps)


# --- epsilon and noise ---


def epsilon_is_that_of_a_federation_of_the_groups_size(_: Path) -> None:
    """Every adversary's: a plan of 4 groups of 60 has the guarantees of a plan of 60."""
    for colluders, fewest in ((1, 0), (7, 0), (1, 50)):
        many = grouped(devices=240, colluders=colluders, min_survivors=fewest)
        alone = grouped(devices=60, groups=1, colluders=colluders, min_survivors=fewest)
        terms, single = many.steps[0].terms, alone.steps[0].terms
        assert many.steps[0].encoding.scale == alone.steps[0].encoding.scale
        assert terms == replace(single, groups=4)
        found = guarantees([terms], 1e-5, private=True)
        assert found == guarantees([single], 1e-5, private=True)
        assert 7.99 < (found[2].epsilon or 0) <= 8.0 and found[2].adversary is Adversary("A3")


def noise_of_groups(directory: Path, seeded: bool) -> list[NDArray[np.int64]]:
    """Integers that each of 3 groups' sums of empty histories have, at a small share of noise."""
    facts = PublicFacts(
        devices=13,
        items=6000,
        epsilon=8.0,
        delta=1e-5,
        trust=Trust.SECURE_AGGREGATION,
        groups=3,
    )
    plan = make_plan(Popularity(), facts, catalogue_hash="0" * 64)
    plan = replace(plan, steps=(small_noise(plan.steps[0], 0.6),))
    randomness = Randomness.insecure_seeded(1) if seeded else Randomness.secret()
    fleet = InProcessFleet(
        Popularity(), nobody(13, 6000), randomness=randomness, gate=Gate(egress_policy(plan))
    )
    found = fleet.run(round_of(plan), count_only)
    assert sorted(group.survivors for group in found.groups) == [4, 4, 5]
    return [group.total.astype(np.int32).astype(np.int64) for group in found.groups]


@pytest.mark.parametrize("seeded", [True, False], ids=["shares", "one draw a group"])
def test_each_groups_sum_has_its_own_devices_noise(tmp_path: Path, seeded: bool) -> None:
    noises = noise_of_groups(tmp_path, seeded)
    variances = [float(noise.var()) for noise in noises]
    for noise, variance in zip(noises, variances, strict=True):
        devices = round(variance / 0.6)
        assert devices in (4, 5)
        assert chi_square_p(noise, skellam_cdf(devices * 0.6)) > FALSE_ALARM
        assert chi_square_p(noise, skellam_cdf(13 * 0.6)) < 1e-12
    assert abs(float(np.corrcoef(noises[0], noises[1])[0, 1])) < 6.7 / math.sqrt(6000)


def test_total_noise_grows_with_the_square_root_of_the_groups() -> None:
    deviations = [grouped(devices=8000, groups=g).steps[0].noise_std(8000) for g in (1, 2, 4, 8)]
    for found, groups in zip(deviations, (1, 2, 4, 8), strict=True):
        assert found == pytest.approx(deviations[0] * math.sqrt(groups), rel=0.01)


def test_spectrals_head_follows_from_the_noise_of_all_groups() -> None:
    def head(groups: int, devices: int) -> int:
        facts = PublicFacts(
            devices=devices,
            items=3000,
            epsilon=2.0,
            delta=1e-6,
            trust=Trust.SECURE_AGGREGATION,
            groups=groups,
        )
        return Spectral().head_size(facts)

    assert head(4, 8000) == head(1, 4000) < head(1, 8000)


# --- the minimum ---


class Losing:
    """A fleet that loses devices of one group and none of the others."""

    def __init__(self, inner: Fleet, left: int) -> None:
        self.inner, self.left = inner, left

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        found = self.inner.run(round_, lambda all_: charge([self.left, *all_[1:]]))
        return Aggregate(groups=(replace(found.groups[0], survivors=self.left), *found.groups[1:]))


def one_group_below_its_minimum_ends_the_round(directory: Path) -> None:
    plan = grouped(min_survivors=8, seeded=False)
    rows = histories(DEVICES, ITEMS)
    with pytest.raises(PrivacyError, match="Only 7 devices are left in a group"):
        run(
            directory / "run",
            plan,
            model=Popularity(),
            cohort=rows,
            wrap_fleet=lambda fleet: Losing(fleet, 7),
        )
    assert charges_in_file(directory / "run") == 0


def test_the_charge_is_for_the_group_with_the_fewest_survivors(tmp_path: Path) -> None:
    from tests.server.world import charged

    run(
        tmp_path / "run",
        grouped(min_survivors=8),
        model=Popularity(),
        cohort=histories(DEVICES, ITEMS),
        wrap_fleet=lambda fleet: Losing(fleet, 9),
    )
    assert [(c.terms.survivors, c.terms.groups) for c in charged(tmp_path / "run")] == [(9, 4)]


class Answering:
    """A fleet that charges for some survivors and returns sums of others."""

    def __init__(self, charged: list[int], returned: list[int]) -> None:
        self.charged, self.returned = charged, returned

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        charge(self.charged)
        empty = np.zeros(round_.step.encoding.dimension, np.uint32)
        return Aggregate(groups=tuple(GroupSum(total=empty, survivors=n) for n in self.returned))


@pytest.mark.parametrize(
    ("charged", "returned"),
    [
        ([10, 10, 11], [10, 10, 11]),
        ([42], [42]),
        ([], []),
        ([10, 10, 11, 11], [9, 11, 11, 11]),
        ([10, 10, 11, 11], [42]),
    ],
)
def test_sums_of_other_groups_than_the_plans_or_the_charged_are_refused(
    tmp_path: Path, charged: list[int], returned: list[int]
) -> None:
    with pytest.raises(PrivacyError, match=r"groups|other sums"):
        run(
            tmp_path / "run",
            grouped(),
            model=Popularity(),
            cohort=histories(DEVICES, ITEMS),
            wrap_fleet=lambda _: Answering(charged, returned),
        )


# --- the protocol ---


def protocol_run(gone: int, *, cosigning: bool) -> tuple[ProtocolFleet, Round]:
    """A round in which that many devices of the last group drop out at one stage."""
    plan, rows = grouped(min_survivors=8, drop_permille=200), histories(DEVICES, ITEMS)
    last = members(plan, "popularity", 0, rows.devices)[-1]
    stage = Stage.COSIGN if cosigning else Stage.MASK
    fleet = ProtocolFleet(
        Popularity(),
        plan,
        rows,
        randomness=Randomness.insecure_seeded(3),
        dropping=lambda number, group: {stage: last[:gone].tolist()},
    )
    return fleet, round_of(plan)


def unmasked(fleet: ProtocolFleet) -> int:
    """Devices that revealed shares."""
    return sum(
        any(entry.kind is EntryKind.UNMASK for entry in ledger.entries) for ledger in fleet.ledgers
    )


@pytest.mark.parametrize("cosigning", [False, True], ids=["too few survivors", "no quorum"])
def test_a_group_that_fails_ends_the_round_before_any_group_is_charged_or_unmasked(
    cosigning: bool,
) -> None:
    charged: list[Sequence[int]] = []
    fleet, round_ = protocol_run(6, cosigning=cosigning)
    with pytest.raises(PrivacyError):
        fleet.run(round_, charged.append)
    assert not charged and unmasked(fleet) == 0


def all_groups_are_charged_before_any_is_unmasked() -> None:
    fleet, round_ = protocol_run(2, cosigning=False)
    seen: list[Sequence[int]] = []

    def charge(survivors: Sequence[int]) -> None:
        assert unmasked(fleet) == 0
        seen.append(survivors)

    found = fleet.run(round_, charge)
    assert unmasked(fleet) == DEVICES - 2
    assert seen == [[group.survivors for group in found.groups]]
    assert sum(seen[0]) == DEVICES - 2 and min(seen[0]) == 8


def test_a_ledger_that_says_no_leaves_every_group_masked() -> None:
    def refuse(survivors: Sequence[int]) -> None:
        raise PrivacyError("the ledger said no")

    fleet, round_ = protocol_run(0, cosigning=False)
    with pytest.raises(PrivacyError, match="the ledger said no"):
        fleet.run(round_, refuse)
    assert unmasked(fleet) == 0


# --- mutants ---


def noise_for_the_whole_round(patch: pytest.MonkeyPatch) -> None:
    """Each share set as if all groups' devices were in one sum; the ledger is told the rest."""
    honest = planning._plan_step

    def weaker(step: object, facts: PublicFacts, mu: float) -> object:
        whole = replace(facts, groups=1, min_survivors=facts.min_survivors * facts.groups)
        made = honest(step, whole, mu)  # type: ignore[arg-type]
        terms = replace(made.terms, survivors=facts.min_survivors, groups=facts.groups)
        return replace(made, terms=terms)

    patch.setattr(planning, "_plan_step", weaker)
    patch.setattr(planning, "_epsilon", lambda plans, facts: facts.epsilon)


def minimum_of_the_total(patch: pytest.MonkeyPatch) -> None:
    """All survivors are compared with the minimum of all groups: the mean with that of one."""
    patch.setattr(coordinator, "min", lambda all_: sum(all_) // len(all_), raising=False)


def one_group_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Each group is charged and unmasked before the next one."""

    def eager(setup: RoundSetup, charge: ChargeSum) -> Aggregate:
        found = [secure_round(replace(setup, groups=[nodes]), charge) for nodes in setup.groups]
        return Aggregate(groups=tuple(one.groups[0] for one in found))

    patch.setattr(remote_fleet, "secure_round", eager)


def test_noise_for_the_whole_round_instead_of_the_group_is_noticed(tmp_path: Path) -> None:
    epsilon_is_that_of_a_federation_of_the_groups_size(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        noise_for_the_whole_round(patch)
        with pytest.raises(AssertionError):
            epsilon_is_that_of_a_federation_of_the_groups_size(tmp_path)


def test_a_minimum_that_is_checked_on_the_total_is_noticed(tmp_path: Path) -> None:
    one_group_below_its_minimum_ends_the_round(tmp_path / "real")
    with pytest.MonkeyPatch.context() as patch:
        minimum_of_the_total(patch)
        with pytest.raises(pytest.fail.Exception):
            one_group_below_its_minimum_ends_the_round(tmp_path / "mutant")


def test_groups_that_are_unmasked_one_by_one_are_noticed() -> None:
    all_groups_are_charged_before_any_is_unmasked()
    with pytest.MonkeyPatch.context() as patch:
        one_group_at_a_time(patch)
        with pytest.raises((AssertionError, IntegrityError)):  # or the root was published early
            all_groups_are_charged_before_any_is_unmasked()


# --- from end to end ---


def test_a_run_in_groups_is_reported_verified_and_shows_a_changed_number_of_groups(
    tmp_path: Path, privet: Privet
) -> None:
    world = save_world(tmp_path / "world.privet")
    options = ("--groups", 3, "--model", "popularity", "--no-references")
    found = privet.json("simulate", world, *options, "--out", tmp_path / "run")
    assert privet.json("verify", tmp_path / "run")["verified"]
    report = Report.from_bytes((tmp_path / "run" / "report.json").read_bytes())
    (step,) = report.mechanism
    assert (step.groups, step.devices, step.min_survivors) == (3, 100, 100)
    epsilon = next(p["epsilon"] for p in found["privacy"] if p["adversary"] == "A3")
    assert 1.99 < epsilon <= 2.0
    lying = replace(report, mechanism=(replace(step, groups=1),))
    with pytest.raises(IntegrityError, match="groups"):
        verify_report(lying)


def test_a_sweep_in_groups_runs_each_point_in_groups(tmp_path: Path, privet: Privet) -> None:
    world = save_world(tmp_path / "world.privet", users=60, items=12)
    options = ("--groups", 2, "--model", "popularity", "--no-references", "--seeds", 1)
    privet.json("sweep", world, *options, "--epsilons", "2,5", "--out", tmp_path / "sweep")
    report = Report.from_bytes((tmp_path / "sweep" / "report.json").read_bytes())
    assert [step.groups for step in report.mechanism] == [2]
