"""One budget for many runs: never overspent, never forgotten, whoever dies and whoever races."""

import math
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from tests.server.population_world import (
    DELTA,
    at_once,
    counted_plan,
    die_at,
    die_before_own_charge,
    die_within_charge,
    in_process,
    look,
    open_population,
    raw_charges,
    run_counted,
)
from tests.server.world import plan_of, run

from privet.models.plan import Plan
from privet.privacy.accounting.accountants import claimed_epsilon
from privet.privacy.accounting.adversaries import Trust, guarantees
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import BudgetError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import EntryKind
from privet.server.coordinator import Phase, Progress
from privet.server.ledger_file import LedgerFile
from privet.server.population import POPULATION, Population, fitting_target
from privet.server.storage import DATABASE, RunStore

KILLED = -9
SECURE, CENTRAL, LOCAL = Trust.SECURE_AGGREGATION, Trust.CENTRAL, Trust.LOCAL


# --- adding up ---


def test_runs_models_and_tuning_are_one_total(tmp_path: Path) -> None:
    plans = [counted_plan(), counted_plan(CENTRAL), counted_plan(epsilon=2.0)]
    for number, plan in enumerate(plans):
        run_counted(tmp_path / f"run-{number}", tmp_path, plan, tuning=number == 2)
    view = look(tmp_path)
    terms = [step.terms for plan in plans for step in plan.steps]
    assert view.spent == claimed_epsilon([one.worst_case() for one in terms], DELTA)
    assert view.guarantees == guarantees(terms, DELTA, private=True)
    assert [(r.tuning, n) for r, n, _ in view.by_run] == [(False, 2), (False, 2), (True, 2)]
    assert view.spent > max(epsilon for *_, epsilon in view.by_run)
    view.check()


def test_a_run_that_does_not_fit_is_refused_before_anything_and_the_target_that_fits_fits(
    tmp_path: Path,
) -> None:
    open_population(tmp_path, budget=5.0).close()
    run_counted(tmp_path / "one", tmp_path, counted_plan(epsilon=4.0))
    before = look(tmp_path)
    with pytest.raises(BudgetError, match="whole plan would bring"):
        run_counted(tmp_path / "two", tmp_path, counted_plan(epsilon=4.0))
    assert not (tmp_path / "two").exists()
    assert look(tmp_path).entries == before.entries
    fitting = fitting_target(before, lambda epsilon: counted_plan(epsilon=epsilon))
    assert fitting is not None and 0.5 < fitting < 4
    run_counted(tmp_path / "two", tmp_path, counted_plan(epsilon=fitting))
    assert 0.98 * 5 < look(tmp_path).spent <= 5


def test_no_target_fits_once_the_budget_is_used_up(tmp_path: Path) -> None:
    plan = counted_plan(epsilon=4.0)
    open_population(tmp_path, budget=4.0).close()
    run_counted(tmp_path / "one", tmp_path, plan)
    view = look(tmp_path)
    assert view.remaining < 0.3
    assert (fitting_target(view, lambda epsilon: counted_plan(epsilon=epsilon)) or 0.0) < 0.02
    population = open_population(tmp_path)
    with pytest.raises(BudgetError, match="--population-budget"):
        population.require([plan], plan_of=lambda epsilon: counted_plan(epsilon=epsilon))
    population.close()


def test_what_remains_fits_and_a_little_more_does_not(tmp_path: Path) -> None:
    from privet.privacy.accounting.gaussian import gaussian_mu

    open_population(tmp_path, budget=5.0).close()
    run_counted(tmp_path / "one", tmp_path, counted_plan(CENTRAL, epsilon=3.0))
    view = look(tmp_path)
    (terms, *_) = (step.terms for step in counted_plan(CENTRAL).steps)
    for factor, fits in ((1.0, True), (1.01, False)):
        mu = gaussian_mu(view.remaining * factor, DELTA)
        more = replace(terms, noise_multiplier=1 / mu)
        assert (view.epsilon_with([[more]]) <= view.budget) == fits


def test_a_release_that_another_run_left_no_room_for_is_not_run(tmp_path: Path) -> None:
    """The whole plan fitted at the start; then somebody else spent."""
    open_population(tmp_path, budget=5.5).close()
    plan = counted_plan(epsilon=4.0)
    with pytest.raises(BudgetError, match="'signs'"):
        run_counted(
            tmp_path / "slow",
            tmp_path,
            plan,
            observer=lambda at: (
                run_counted(tmp_path / "fast", tmp_path, plan)
                if (at.phase, at.index) == (Phase.CLOSED, 0)
                else None
            ),
        )
    view = look(tmp_path)
    assert Counter(spend.charge.step for spend in view.spends) == {"popularity": 2, "signs": 1}
    assert view.spent <= 5.5
    population = open_population(tmp_path)
    population.set_budget(7.0)
    population.close()
    run_counted(tmp_path / "slow", tmp_path, plan, resume=True)
    assert look(tmp_path).spent > 5.5
    look(tmp_path).check()


def test_a_population_without_a_limit_counts_only(tmp_path: Path) -> None:
    open_population(tmp_path, budget=math.inf).close()
    for number in range(3):
        run_counted(tmp_path / f"run-{number}", tmp_path, counted_plan())
    view = look(tmp_path)
    assert math.isinf(view.budget) and math.isinf(view.remaining) and len(view.spends) == 6


@pytest.mark.parametrize("budget", [math.nan, 0.0, -1.0])
def test_a_budget_that_is_no_limit_is_refused(tmp_path: Path, budget: float) -> None:
    with pytest.raises(InputError, match="population-budget"):
        open_population(tmp_path, budget=budget)
    assert not (tmp_path / POPULATION).exists()


# --- what cannot be one total ---


def test_relations_are_never_mixed(tmp_path: Path) -> None:
    open_population(tmp_path).close()
    with pytest.raises(PrivacyError, match="cannot be one total"):
        run_counted(tmp_path / "run", tmp_path, counted_plan(LOCAL))
    assert look(tmp_path).runs == () and not (tmp_path / "run").exists()


def test_seeded_noise_is_not_counted(tmp_path: Path) -> None:
    with pytest.raises(PrivacyError, match="seeded"):
        run_counted(tmp_path / "run", tmp_path, plan_of(SECURE, seeded=True))


def test_a_delta_of_one_in_the_users_is_refused(tmp_path: Path) -> None:
    Population.create(
        tmp_path, delta=0.2, relation=NeighbouringRelation.ZERO_OUT, budget=9.0
    ).close()
    with pytest.raises(PrivacyError, match="1/users"):
        run_counted(tmp_path / "run", tmp_path, counted_plan())


def test_no_noise_is_refused_under_a_limit(tmp_path: Path) -> None:
    with pytest.raises(BudgetError):
        run_counted(tmp_path / "run", tmp_path, counted_plan(epsilon=math.inf))


# --- a run remembers its population ---


def stopped(tmp_path: Path) -> Plan:
    """A counted run that stopped after its first step."""
    plan = counted_plan()
    observer = die_at(Phase.ALLOWED, 1)
    run_in = tmp_path / "run"
    assert in_process(lambda: run_counted(run_in, tmp_path, plan, observer=observer)) == KILLED
    return plan


def test_a_fresh_process_refuses_without_the_ledger(tmp_path: Path) -> None:
    plan = stopped(tmp_path)
    with pytest.raises(IntegrityError, match="--population that it was started with"):
        run(tmp_path / "run", plan, resume=True)
    (tmp_path / POPULATION).rename(tmp_path / "elsewhere.db")
    with pytest.raises(InputError, match="no population's ledger"):
        Population(tmp_path)
    with pytest.raises(IntegrityError, match="another population"):  # one begun in its place
        run_counted(tmp_path / "run", tmp_path, plan, resume=True)


def test_an_older_copy_of_the_ledger_is_refused(tmp_path: Path) -> None:
    plan, ledger = counted_plan(), tmp_path / POPULATION
    open_population(tmp_path).close()
    shutil.copy(ledger, tmp_path / "before the run")

    def copy_and_die(at: Progress) -> None:
        if (at.phase, at.index) == (Phase.ALLOWED, 0):
            shutil.copy(ledger, tmp_path / "before its release")
        die_at(Phase.ALLOWED, 1)(at)

    run_in = tmp_path / "run"
    victim = partial(run_counted, run_in, tmp_path, plan, observer=copy_and_die)
    assert in_process(victim) == KILLED
    for copy in ("before the run", "before its release"):
        shutil.copy(tmp_path / copy, ledger)
        with pytest.raises(IntegrityError, match="older copy"):
            run_counted(run_in, tmp_path, plan, resume=True)


def test_a_run_that_began_alone_cannot_join_later(tmp_path: Path) -> None:
    plan = counted_plan()
    run(tmp_path / "run", plan)
    with pytest.raises(IntegrityError, match="without a population"):
        run_counted(tmp_path / "run", tmp_path, plan, resume=True)


def test_a_copied_run_that_releases_again_is_counted_again(tmp_path: Path) -> None:
    plan = stopped(tmp_path)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for name in ("run", "copy"):  # two releases of one step, each with fresh noise
        run_counted(tmp_path / name, tmp_path, plan, resume=True)
    steps = Counter(spend.charge.step for spend in look(tmp_path).spends)
    assert steps == {"popularity": 1, "signs": 2}


# --- dying ---

MOMENTS = [*Phase, "within the population's charge", "between the charges"]


@pytest.mark.parametrize("trust", Trust)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_forgets_nothing_that_was_learnt(
    tmp_path: Path, trust: Trust, moment: str
) -> None:
    plan = counted_plan(trust)

    def victim() -> None:
        observer = None
        if moment == "between the charges":
            die_before_own_charge(0)
        elif moment == "within the population's charge":
            die_within_charge()
        else:
            observer = die_at(moment, 0)
        run_counted(tmp_path / "run", tmp_path, plan, observer=observer)

    assert in_process(victim) == KILLED
    own = Counter(raw_charges(tmp_path / "run" / DATABASE, "charge"))
    assert Counter(raw_charges(tmp_path / POPULATION, "spend")) >= own
    before = look(tmp_path)
    learnt = moment in (Phase.CHARGED, Phase.SUMMED, Phase.UPDATED)
    run_counted(tmp_path / "run", tmp_path, plan, resume=True, budget=100.0)
    view = look(tmp_path)
    assert view.entries[: len(before.entries)] == before.entries
    assert view.spent >= before.spent
    again = trust is not CENTRAL and (learnt or moment == "between the charges")
    found = Counter(spend.charge.step for spend in view.spends)
    assert found == {"popularity": 2 if again else 1, "signs": 1}
    own = Counter(raw_charges(tmp_path / "run" / DATABASE, "charge"))
    assert Counter(raw_charges(tmp_path / POPULATION, "spend")) >= own
    view.check()


def test_the_population_is_charged_before_the_run_and_before_the_sum(tmp_path: Path) -> None:
    seen = []

    def observe(_: Progress) -> None:
        places = ((tmp_path / POPULATION, "spend"), (tmp_path / "run" / DATABASE, "charge"))
        seen.append(tuple(len(raw_charges(path, kind)) for path, kind in places))

    run_counted(tmp_path / "run", tmp_path, counted_plan(), observer=observe)
    assert seen[:3] == [(0, 0), (0, 0), (1, 1)]  # allowed, collected, charged


def test_a_population_that_cannot_be_charged_lets_nothing_be_learnt(tmp_path: Path) -> None:
    phases: list[Phase] = []

    def observe(at: Progress) -> None:
        phases.append(at.phase)
        if phases == [Phase.ALLOWED]:
            with sqlite3.connect(tmp_path / POPULATION) as database:
                database.execute("DROP TABLE head")

    with pytest.raises(IntegrityError, match="could not be read or written"):
        run_counted(tmp_path / "run", tmp_path, counted_plan(), observer=observe)
    assert phases == [Phase.ALLOWED, Phase.COLLECTED]
    assert raw_charges(tmp_path / "run" / DATABASE, "charge") == []


# --- racing ---


def test_two_processes_never_overspend_together(tmp_path: Path) -> None:
    """Room for one run and a half: of four that begin together one finishes, or none does."""
    open_population(tmp_path, budget=5.5).close()
    plan = counted_plan(epsilon=4.0)
    works = [partial(run_counted, tmp_path / f"run-{n}", tmp_path, plan) for n in range(4)]
    codes = at_once(works)
    view = look(tmp_path)
    view.check()
    assert view.spent <= 5.5 * (1 + 1e-9)
    assert set(codes) <= {0, BudgetError.exit_code} and codes.count(0) <= 1
    learnt = sum(
        len(raw_charges(tmp_path / f"run-{n}" / DATABASE, "charge"))
        for n in range(4)
        if (tmp_path / f"run-{n}").exists()
    )
    assert learnt == len(view.spends) >= 2


def test_many_processes_that_fit_are_all_counted(tmp_path: Path) -> None:
    plan = counted_plan()
    works = [partial(run_counted, tmp_path / f"run-{n}", tmp_path, plan) for n in range(4)]
    assert at_once(works) == [0, 0, 0, 0]  # whoever was first began the ledger, too
    view = look(tmp_path)
    assert len(view.runs) == 4 and len(view.spends) == 8
    view.check()


# --- the file ---


def test_what_is_cut_off_changed_or_foreign_is_refused(tmp_path: Path) -> None:
    run_counted(tmp_path / "run", tmp_path, counted_plan())
    whole = (tmp_path / POPULATION).read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    for content in (b"", whole[:512], whole[: len(whole) // 2], b"hello" * 1000):
        (other / POPULATION).write_bytes(content)
        with pytest.raises(IntegrityError):
            Population(other)
    for statement in (
        "DELETE FROM ledger WHERE seq = (SELECT MAX(seq) FROM ledger)",
        "UPDATE ledger SET body = replace(body, '\"epsilon\":1000.0', '\"epsilon\":9000.0')",
        "DELETE FROM ledger; DELETE FROM head",
        "DROP TABLE ledger",
    ):
        (other / POPULATION).write_bytes(whole)
        with sqlite3.connect(other / POPULATION) as database:
            database.executescript(statement)
        with pytest.raises(IntegrityError):
            Population(other)
    with pytest.raises(IntegrityError, match="another sort of ledger"):
        Population(tmp_path / "run" / DATABASE)
    shutil.copy(tmp_path / POPULATION, tmp_path / "run" / DATABASE)
    with pytest.raises(IntegrityError, match="not a run's database"):
        RunStore(tmp_path / "run")


def test_another_database_is_refused_and_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    content = path.read_bytes()
    with pytest.raises(IntegrityError, match="not a population's"):
        Population(path)
    assert path.read_bytes() == content


def test_a_ledgers_kinds_stay_apart(tmp_path: Path) -> None:
    store = RunStore(tmp_path, create=True)
    for kind in (EntryKind.POPULATION, EntryKind.LIMIT, EntryKind.RUN, EntryKind.SPEND):
        with pytest.raises(IntegrityError, match="another sort"):
            store.append(kind, {})
    assert store.entries == ()
    store.close()


def test_a_ledger_that_shrinks_while_it_is_open_is_refused(tmp_path: Path) -> None:
    population = open_population(tmp_path)
    population.set_budget(7.0)
    with sqlite3.connect(tmp_path / POPULATION) as database:
        database.execute("DELETE FROM ledger WHERE seq = 2")
        database.execute(
            "UPDATE head SET length = 2, hash = (SELECT hash FROM ledger WHERE seq = 1)"
        )
    with pytest.raises(IntegrityError, match="cut off or rewritten"):
        _ = population.view
    population.close()


def test_a_failed_transaction_leaves_nothing_in_memory_or_on_the_disk(tmp_path: Path) -> None:
    population = open_population(tmp_path)
    file: LedgerFile = population._file
    before = file.entries
    with pytest.raises(RuntimeError), file.transaction():
        file.append(EntryKind.LIMIT, {"epsilon": 1.0, "delta": DELTA})
        raise RuntimeError
    assert file.entries == before
    population.set_budget(3.0)
    population.close()
    assert look(tmp_path).budget == 3.0
