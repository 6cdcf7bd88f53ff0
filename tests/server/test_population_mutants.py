"""Every protection of a population's budget, removed: some check must then fail."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.server import test_population as tests
from tests.server.population_world import (
    DELTA,
    at_once,
    counted_plan,
    die_at,
    in_process,
    look,
    open_population,
    raw_charges,
    run_counted,
)

from privet.privacy import population as populations
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import ReleaseTerms, Trust
from privet.privacy.ledger import Charge, EntryKind
from privet.privacy.population import PopulationView, Spend
from privet.server import coordinator, ledger_file
from privet.server import population as ledgers
from privet.server.coordinator import Coordinator, Phase
from privet.server.population import POPULATION, Population, PopulationRun

Patch = pytest.MonkeyPatch
Check = Callable[[Path], None]
CAUGHT = (AssertionError, pytest.fail.Exception)


# --- checks ---


def charged_first(directory: Path) -> None:
    tests.test_the_population_is_charged_before_the_run_and_before_the_sum(directory)


def a_resumed_release_is_counted(directory: Path) -> None:
    tests.test_a_kill_at_any_moment_forgets_nothing_that_was_learnt(
        directory, Trust.SECURE_AGGREGATION, Phase.SUMMED
    )


def a_release_paid_between_two_ledgers_is_counted(directory: Path) -> None:
    tests.test_a_kill_at_any_moment_forgets_nothing_that_was_learnt(
        directory, Trust.SECURE_AGGREGATION, "between the charges"
    )


def a_copied_run_is_counted_again(directory: Path) -> None:
    tests.test_a_copied_run_that_releases_again_is_counted_again(directory)


def a_run_set_aside_stays_counted(directory: Path) -> None:
    """As a sweep does: a new run with the same plan takes the place of an interrupted one."""
    plan = counted_plan()
    aside = directory / "aside"
    dying = die_at(Phase.SUMMED, 0)
    assert in_process(lambda: run_counted(aside, directory, plan, observer=dying)) == tests.KILLED
    run_counted(directory / "new", directory, plan)
    terms = [plan.steps[0].terms, *(step.terms for step in plan.steps)]
    everything = claimed_epsilon([one.worst_case() for one in terms], DELTA)
    assert look(directory).spent == pytest.approx(everything)


def races_do_not_overspend(directory: Path) -> None:
    open_population(directory, budget=5.5).close()
    plan = counted_plan(epsilon=4.0)
    at_once([partial(run_counted, directory / f"run-{n}", directory, plan) for n in range(2)])
    terms = [charge.terms for charge in raw_charges(directory / POPULATION, "spend")]
    assert claimed_epsilon([one.worst_case() for one in terms], DELTA) <= 5.5 * (1 + 1e-9)


def the_ledger_cannot_be_left_away(directory: Path) -> None:
    tests.test_a_fresh_process_refuses_without_the_ledger(directory)


def an_older_copy_is_refused(directory: Path) -> None:
    tests.test_an_older_copy_of_the_ledger_is_refused(directory)


def a_release_without_room_is_not_run(directory: Path) -> None:
    tests.test_a_release_that_another_run_left_no_room_for_is_not_run(directory)


def relations_stay_apart(directory: Path) -> None:
    tests.test_relations_are_never_mixed(directory)


def a_charge_reaches_the_disk(directory: Path) -> None:
    """Where nothing is asked to sync, a loss of power takes what was charged."""
    population = open_population(directory)
    assert population._file.connection.execute("PRAGMA synchronous").fetchone() == (3,)
    population.close()


# --- mutants ---


def charges_after_the_sum(patch: Patch) -> None:
    charge, release = PopulationRun.charge, Coordinator._release
    later: list[Callable[[], None]] = []

    def postponed(self: PopulationRun, one: Charge, *, repeatable: bool) -> None:
        later.append(lambda: charge(self, one, repeatable=repeatable))

    def learnt(self: Coordinator, *arguments: object) -> object:
        found = release(self, *arguments)  # type: ignore[arg-type]
        later.pop()()
        return found

    patch.setattr(PopulationRun, "charge", postponed)
    patch.setattr(Coordinator, "_release", learnt)


def resumed_runs_spend_nothing(patch: Patch) -> None:
    resume = Population.resume

    class Free(PopulationRun):
        def charge(self, charge: Charge, *, repeatable: bool) -> None: ...

    def freely(self: Population, *arguments: object) -> PopulationRun:
        found = resume(self, *arguments)  # type: ignore[arg-type]
        return Free(population=self, run=found.membership["run"])

    patch.setattr(Population, "resume", freely)


def one_charge_a_step(patch: Patch) -> None:
    """A charge of a step that was charged before is taken for the same one."""
    charge = Population.charge

    def once(self: Population, spend: Spend, *, repeatable: bool) -> None:
        charge(self, spend, repeatable=True)

    patch.setattr(Population, "charge", once)


def only_the_last_run_of_a_plan_counts(patch: Patch) -> None:
    def last(view: PopulationView) -> dict[str, tuple[ReleaseTerms, ...]]:
        kept = {record.plan_hash: record.run for record in view.runs}.values()
        every = populations._grouped(view.spends)
        return {run: terms for run, terms in every.items() if run in kept}

    patch.setattr(PopulationView, "_by_run", property(last))


def check_and_charge_are_two_transactions(patch: Patch) -> None:
    def slowly(self: Population, spend: Spend, *, repeatable: bool) -> None:
        self.allow(spend, repeatable=repeatable)
        time.sleep(0.2)
        with self._writing():
            self._file.append(EntryKind.SPEND, spend.to_dict())

    patch.setattr(Population, "charge", slowly)


def runs_forget_their_population(patch: Patch) -> None:
    patch.setattr(Coordinator, "_membership", None)
    patch.setattr(coordinator, "recorded_membership", lambda entries: None)


def what_was_released_is_not_looked_for(patch: Patch) -> None:
    patch.setattr(ledgers, "charges", lambda entries: ())


def the_population_is_not_asked(patch: Patch) -> None:
    patch.setattr(PopulationView, "require", lambda self, *arguments: None)


def any_relation_joins(patch: Patch) -> None:
    patch.setattr(ledgers, "require_joinable", lambda view, record, *, seeded_noise: None)
    patch.setattr(PopulationView, "_epsilon", lambda self, releases: 0.0)


def nothing_is_synced(patch: Patch) -> None:
    init = ledger_file.LedgerFile.__init__

    def careless(self: ledger_file.LedgerFile, *arguments: object, **options: object) -> None:
        init(self, *arguments, **options)  # type: ignore[arg-type]
        self.connection.execute("PRAGMA synchronous=OFF")

    patch.setattr(ledger_file.LedgerFile, "__init__", careless)


MUTANTS: dict[str, tuple[Callable[[Patch], None], Check]] = {
    "charged after the sum is learnt": (charges_after_the_sum, charged_first),
    "charge skipped on resume": (resumed_runs_spend_nothing, a_resumed_release_is_counted),
    "a repeat with fresh noise is free": (one_charge_a_step, a_copied_run_is_counted_again),
    "fresh budget after setting aside": (
        only_the_last_run_of_a_plan_counts,
        a_run_set_aside_stays_counted,
    ),
    "check and charge in two transactions": (
        check_and_charge_are_two_transactions,
        races_do_not_overspend,
    ),
    "runs forget their population": (runs_forget_their_population, the_ledger_cannot_be_left_away),
    "an older copy is believed": (what_was_released_is_not_looked_for, an_older_copy_is_refused),
    "no stop at the budget": (the_population_is_not_asked, a_release_without_room_is_not_run),
    "relations mixed": (any_relation_joins, relations_stay_apart),
    "charges are not synced": (nothing_is_synced, a_charge_reaches_the_disk),
    "a charge between two crashes is free": (
        one_charge_a_step,
        a_release_paid_between_two_ledgers_is_counted,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_check_passes_on_the_real_code(tmp_path: Path, name: str) -> None:
    MUTANTS[name][1](tmp_path)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(tmp_path: Path, monkeypatch: Patch, name: str) -> None:
    mutate, check = MUTANTS[name]
    mutate(monkeypatch)
    with pytest.raises(CAUGHT):
        check(tmp_path)
