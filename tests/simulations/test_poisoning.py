"""A device that floods a sum: the round is refused and stays charged, or the combination bears it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.server.world import charges_in_file, histories, run
from tests.simulations.world import Privet, save_world

from privet.models.combination import Combination
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.cohorts import CohortRule
from privet.privacy.errors import BudgetError, IntegrityError, PoisoningError
from privet.privacy.ledger import EntryKind
from privet.privacy.report.document import Report
from privet.privacy.report.html import mechanism_table
from privet.privacy.report.verify import verify_report
from privet.server import combining
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.storage import RunStore
from privet.simulations.fleet import InProcessFleet

DEVICES, ITEMS = 48, 12


def plan_for(
    groups: int = 4, combination: Combination = Combination.SUM, trust: Trust | None = None
) -> Plan:
    facts = PublicFacts(
        devices=DEVICES,
        items=ITEMS,
        epsilon=8.0,
        delta=1e-5,
        trust=trust or Trust.SECURE_AGGREGATION,
        groups=groups,
        combination=combination,
        cohort=CohortRule.parse("poisson:0.5" if trust is Trust.CENTRAL else "all"),
    )
    return make_plan(Popularity(), facts, catalogue_hash="0" * 64)


class Flooded:
    """A fleet in which someone in each of the first groups sends random words."""

    def __init__(self, inner: Fleet, groups: int) -> None:
        self.inner, self.groups = inner, groups

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        found = self.inner.run(round_, charge)
        words = np.random.default_rng(5).integers(0, 1 << 32, (self.groups, ITEMS), np.uint32)
        spoiled = [replace(g, total=g.total + w) for g, w in zip(found.groups, words, strict=False)]
        return replace(found, groups=(*spoiled, *found.groups[self.groups :]))


def flooded(directory: Path, plan: Plan, groups: int, *, resume: bool = False) -> None:
    run(
        directory,
        plan,
        model=Popularity(),
        cohort=histories(DEVICES, ITEMS),
        resume=resume,
        wrap_fleet=lambda fleet: Flooded(fleet, groups),
    )


def closed(directory: Path) -> list[dict[str, object]]:
    store = RunStore(directory)
    try:
        return [dict(e.body) for e in store.entries if e.kind is EntryKind.CLOSE]
    finally:
        store.close()


def garbage_is_refused(directory: Path) -> None:
    with pytest.raises(PoisoningError, match="stays charged"):
        flooded(directory, plan_for(groups=1), 1)
    assert charges_in_file(directory) == 1 and not closed(directory)


def test_garbage_is_refused_stays_charged_and_makes_no_model(tmp_path: Path) -> None:
    garbage_is_refused(tmp_path / "run")
    with pytest.raises(BudgetError, match="again"):  # its repeat would be a second release
        flooded(tmp_path / "run", plan_for(groups=1), 0, resume=True)


@pytest.mark.parametrize("trust", list(Trust))
def test_honest_runs_are_not_refused(tmp_path: Path, trust: Trust) -> None:
    plan = plan_for(1, trust=trust)
    for number in range(5):
        flooded(tmp_path / str(number), plan, 0)
        assert "spoiled_groups" not in closed(tmp_path / str(number))[0]


def test_garbage_is_refused_where_the_cohorts_size_is_a_secret(tmp_path: Path) -> None:
    with pytest.raises(PoisoningError):
        flooded(tmp_path / "run", plan_for(1, trust=Trust.CENTRAL), 1)


@pytest.mark.parametrize(
    ("groups", "combination", "borne"),
    [(4, "sum", 0), (4, "median", 1), (8, "median", 3), (8, "trimmed-mean", 2), (3, "median", 1)],
)
def test_as_many_spoiled_groups_are_borne_as_the_combination_leaves_out(
    tmp_path: Path, groups: int, combination: str, borne: int
) -> None:
    plan = plan_for(groups, Combination(combination))
    flooded(tmp_path / "borne", plan, borne)
    (entry,) = closed(tmp_path / "borne")
    assert entry.get("spoiled_groups", []) == list(range(borne))
    with pytest.raises(PoisoningError, match=f"{borne + 1} are spoiled, {borne} can be borne"):
        flooded(tmp_path / "refused", plan, borne + 1)


def test_a_model_that_bears_a_spoiled_group_is_near_the_honest_one(tmp_path: Path) -> None:
    plan = plan_for(4, Combination.MEDIAN)

    def popularity(groups: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        shared = run(
            tmp_path / str(groups),
            plan,
            model=Popularity(),
            cohort=histories(DEVICES, ITEMS),
            wrap_fleet=lambda fleet: Flooded(fleet, groups),
        )
        return np.asarray(shared["popularity"], np.float64)

    # Between the honest groups' means: a few deviations of one group's noise, scaled to all.
    reach = 20 * plan.steps[0].noise_std(DEVICES) + DEVICES
    assert np.abs(popularity(1) - popularity(0)).max() < reach < 1e4


def test_a_check_that_is_left_out_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage_is_refused(tmp_path / "real")
    monkeypatch.setattr(combining, "implausible", lambda total, terms, *, devices: None)
    with pytest.raises(pytest.fail.Exception):
        garbage_is_refused(tmp_path / "mutant")


# --- from end to end ---


def simulated(privet: Privet, folder: Path, *options: object) -> Callable[[], Report]:
    world = save_world(folder / "world.privet")
    privet.json(
        "simulate", world, "--groups", 4, *options, "--model", "popularity", "--no-references",
        "--out", folder / "run",
    )  # fmt: skip
    return lambda: Report.from_bytes((folder / "run" / "report.json").read_bytes())


def test_a_run_is_reported_and_verified_with_its_combination(
    tmp_path: Path, privet: Privet
) -> None:
    report = simulated(privet, tmp_path, "--combine", "median")()
    assert privet.json("verify", tmp_path / "run")["verified"]
    (step,) = report.mechanism
    assert (step.groups, step.combination) == (4, "median")
    assert b"Groups are combined by" in (tmp_path / "run" / "report.html").read_bytes()
    with pytest.raises(IntegrityError, match="mechanism"):
        verify_report(replace(report, mechanism=(replace(step, combination="sum"),)))


def test_a_run_with_a_spoiled_group_that_is_borne_says_so_and_verifies(
    tmp_path: Path, privet: Privet, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = InProcessFleet.run

    def spoiled(self: InProcessFleet, round_: Round, charge: ChargeSum) -> Aggregate:
        found = honest(self, round_, charge)
        words = np.random.default_rng(2).integers(0, 1 << 32, found.total.shape, np.uint32)
        return replace(found, groups=(replace(found.groups[0], total=words), *found.groups[1:]))

    monkeypatch.setattr(InProcessFleet, "run", spoiled)
    report = simulated(privet, tmp_path, "--combine", "median")()
    assert privet.json("verify", tmp_path / "run")["verified"]
    assert closed(tmp_path / "run")[0]["spoiled_groups"] == [0]
    (step,) = report.mechanism
    assert step.spoiled_groups == (0,)
    assert ["Spoiled groups, which it bore", "1: 0"] in mechanism_table(report.mechanism)
    assert ">1: 0</td>" in (tmp_path / "run" / "report.html").read_text()
    with pytest.raises(IntegrityError, match="spoiled_groups"):
        verify_report(replace(report, mechanism=(replace(step, spoiled_groups=()),)))


def test_too_few_groups_for_a_median_end_with_a_clear_error(tmp_path: Path, privet: Privet) -> None:
    world = save_world(tmp_path / "world.privet")
    found = privet("simulate", world, "--combine", "median", "--out", tmp_path / "run")
    assert found.code == 2 and "3 to 100 groups" in found.err
