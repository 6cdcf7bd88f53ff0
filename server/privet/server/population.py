"""A population's ledger on the disk, from which many runs and processes spend."""

import math
import os
import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from privet.models.plan import Plan
from privet.privacy.accounting.accountants import check_delta
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import BudgetError, InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import POPULATION_KINDS, Charge, Entry, EntryKind, charges
from privet.privacy.population import (
    Opening,
    PopulationView,
    RunRecord,
    Spend,
    recorded_membership,
    require_joinable,
)
from privet.server.ledger_file import LedgerFile

POPULATION = "population.db"
_PATIENCE = 60.0
_WHAT = "a population's"
_DIGITS = 1000  # a target that would fit is given in steps of a thousandth of the budget


def population_path(place: Path) -> Path:
    """The ledger's file: ``place`` itself if it is or looks like a file, else in that folder."""
    return place if place.is_file() or place.suffix == ".db" else place / POPULATION


class Population:
    """A population's durable ledger.

    Args:
        place: The file, or the folder that holds ``population.db``.

    Raises:
        InputError: None there, or one of a version that this Privet does not know.
        IntegrityError: Damaged, cut off, or not a population's.

    Formal Guarantees:
        Asking whether a release fits and charging it are one transaction, and SQLite lets one
        process write at a time: runs that spend at the same time cannot overspend together. A
        charge is durable when :meth:`PopulationRun.charge` returns, and never removed.
    """

    def __init__(self, place: Path) -> None:
        """Open the ledger that is there."""
        path = population_path(place)
        if not path.is_file():
            raise InputError(
                f"There is no population's ledger at {path}. If runs were counted in it, bring it "
                "back: without it nobody knows what was spent. To begin one, give its budget with "
                "--population-budget."
            )
        with _reported(path):
            self._file = LedgerFile(path, kinds=POPULATION_KINDS, what=_WHAT, patience=_PATIENCE)
        try:
            view = PopulationView(entries=self._file.entries)
            view.check()
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def create(
        cls, place: Path, *, delta: float, relation: NeighbouringRelation, budget: float
    ) -> "Population":
        """Begin a population's ledger, or open the one that another process has just begun.

        Args:
            place: As for opening; its folder is made.
            delta: At which its epsilon is stated.
            relation: Of all its runs.
            budget: Limit on epsilon, above 0; infinite to count without a limit.

        Raises:
            InputError: A value out of its range, or a file cannot be made there.
        """
        check_delta(delta)
        path = population_path(place)
        name = (path.parent if path.name == POPULATION else path.with_suffix("")).absolute().name
        opening = Opening(
            id=secrets.token_hex(16),
            name=name or "population",
            delta=float(delta),
            relation=relation,
        )
        limit = _limit_body(budget, delta)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _reported(path):
                file = LedgerFile(partial, kinds=POPULATION_KINDS, what=_WHAT, create=True)
                with file.transaction():
                    file.append(EntryKind.POPULATION, opening.to_dict())
                    file.append(EntryKind.LIMIT, limit)
                file.close()
            _publish(partial, path)
        except OSError as error:
            raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
        finally:
            partial.unlink(missing_ok=True)
        return cls(path)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    @property
    def view(self) -> PopulationView:
        """All of it as it is now, other processes' charges included."""
        with _reported(self.path):
            self._file.refresh()
        return PopulationView(entries=self._file.entries)

    def set_budget(self, budget: float) -> None:
        """Record another limit on epsilon, if it is another one.

        Raises:
            InputError: Not above 0.
        """
        with self._writing() as view:
            if budget != view.budget:
                self._file.append(EntryKind.LIMIT, _limit_body(budget, view.opening.delta))

    def require(
        self,
        plans: Sequence[Plan],
        *,
        plan_of: Callable[[float], Plan] | None = None,
        remedy: str = "More is allowed with --population-budget.",
    ) -> None:
        """Refuse runs that could not be finished within the budget, before anything is released.

        Nothing is reserved: another run may spend what is left before these do.

        Args:
            plans: Of runs that are to begin.
            plan_of: The plan for a target epsilon, to say which one would fit.
            remedy: What to do about it, for the error.

        Raises:
            BudgetError: Their releases would overspend; says what is left.
            PrivacyError: They cannot be counted in this population.
        """
        view = self.view
        for plan in plans:
            require_joinable(view, _record("new", plan, False), seeded_noise=plan.seeded_noise)
        terms = [[step.terms for step in plan.steps] for plan in plans]
        whole = "This run's whole plan" if len(plans) == 1 else f"The plans of {len(plans)} runs"
        try:
            view.require(terms, whole)
        except BudgetError as error:
            found = None if plan_of is None else fitting_target(view, plan_of)
            hint = (
                ""
                if plan_of is None
                else (
                    " No target would fit."
                    if found is None
                    else f" --epsilon {found:.6g} would fit."
                )
            )
            raise BudgetError(f"{error}{hint} {remedy}") from None

    def start(self, plan: Plan, *, tuning: bool) -> "PopulationRun":
        """Open a new run, which may spend from now on.

        Args:
            plan: Of the run.
            tuning: Whether its results are for choosing among models or parameters.

        Raises:
            BudgetError: Its whole plan does not fit.
            PrivacyError: It cannot be counted in this population.
        """
        record = _record(secrets.token_hex(8), plan, tuning)
        with self._writing() as view:
            require_joinable(view, record, seeded_noise=plan.seeded_noise)
            view.require([[step.terms for step in plan.steps]], "This run's whole plan")
            self._file.append(EntryKind.RUN, record.to_dict())
        return PopulationRun(population=self, run=record.run)

    def resume(self, entries: Sequence[Entry]) -> "PopulationRun":
        """Go on with a run whose ledger says that it is counted here.

        Args:
            entries: Of the run's ledger.

        Raises:
            IntegrityError: It belongs to no population or another one, or this ledger lacks a
                release that the run was charged: it is an older copy.
        """
        view = self.view
        recorded = recorded_membership(entries)
        if recorded is None:
            raise IntegrityError(
                "This run was started without a population, so its releases are not counted in "
                "any. Resume it without --population, or start a new run elsewhere."
            )
        if recorded["population"] != view.opening.id:
            raise IntegrityError(
                f"This run is counted in another population than {self.path} is the ledger of."
            )
        run = recorded["run"]
        plans = {record.plan_hash for record in view.runs if record.run == run}
        counted = Counter(s.charge for s in view.spends if s.run == run)
        if plans != {entries[0].body["plan_hash"]} or not counted >= Counter(charges(entries)):
            raise IntegrityError(
                f"{self.path} lacks what this run has released: it is an older copy. Bring the "
                "newest one back."
            )
        return PopulationRun(population=self, run=run)

    def allow(self, spend: Spend, *, repeatable: bool) -> None:
        """See :meth:`privet.server.spending.Spending.allow`."""
        view = self.view
        if not (repeatable and _paid(view, spend, same_terms=False)):
            view.require([[spend.charge.terms]], _named(spend), spend.run)

    def charge(self, spend: Spend, *, repeatable: bool) -> None:
        """See :meth:`privet.server.spending.Spending.charge`."""
        with self._writing() as view:
            if repeatable and _paid(view, spend, same_terms=True):
                return
            view.require([[spend.charge.terms]], _named(spend), spend.run)
            self._file.append(EntryKind.SPEND, spend.to_dict())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[PopulationView]:
        """One transaction, with all that is in the ledger at its beginning."""
        with _reported(self.path), self._file.transaction():
            self._file.refresh()
            yield PopulationView(entries=self._file.entries)


class PopulationRun:
    """One run's hold on its population's budget; follows `privet.server.spending.Spending`.

    Args:
        population: Open.
        run: Its id there.

    Formal Guarantees:
        Each call of :meth:`charge` for a release with fresh noise adds a charge, whatever the
        run's own ledger says: a run that is killed between the two ledgers, or whose folder was
        copied or restored, is counted more often, never less. The very same release, repeated
        with the same noise and the same survivors, is one release and is counted once.
    """

    def __init__(self, *, population: Population, run: str) -> None:
        """Hold on to the population; close it when the run ends."""
        self.population, self._run = population, run

    @property
    def membership(self) -> dict[str, str]:
        """Ids of population and run, for the run's ledger."""
        return {"population": self.population.view.opening.id, "run": self._run}

    def allow(self, charge: Charge, *, repeatable: bool) -> None:
        """Return if a release fits now, or was paid before and repeats exactly."""
        self.population.allow(Spend(run=self._run, charge=charge), repeatable=repeatable)

    def charge(self, charge: Charge, *, repeatable: bool) -> None:
        """Charge a release if it fits, in one transaction."""
        self.population.charge(Spend(run=self._run, charge=charge), repeatable=repeatable)


def fitting_target(view: PopulationView, plan_of: Callable[[float], Plan]) -> float | None:
    """A target epsilon whose whole plan fits into what is left, about the largest; None if none.

    Searched in steps of a thousandth of the budget; the plan of what is returned was made and fits.
    """

    def fits(steps: int) -> bool:
        try:
            plan = plan_of(view.budget * steps / _DIGITS)
        except PrivacyError:  # too small a target for this model or so few devices
            return False
        needed = view.epsilon_with([[step.terms for step in plan.steps]])
        return needed <= view.budget

    low, high = 0, _DIGITS + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return view.budget * low / _DIGITS if low else None


def _record(run: str, plan: Plan, tuning: bool) -> RunRecord:
    facts = plan.facts
    return RunRecord(
        run=run,
        plan_hash=plan.hash,
        model=plan.model,
        epsilon=float(facts.epsilon) if math.isfinite(facts.epsilon) else None,
        delta=float(facts.delta),
        trust=facts.trust,
        devices=facts.devices,
        tuning=tuning,
    )


def _limit_body(budget: float, delta: float) -> dict[str, float | None]:
    if not budget > 0:  # NaN too: it would be no limit at all
        raise InputError(
            f"Expected --population-budget to be a number > 0, or inf, found {budget}."
        )
    return {"epsilon": float(budget) if math.isfinite(budget) else None, "delta": float(delta)}


def _paid(view: PopulationView, spend: Spend, *, same_terms: bool) -> bool:
    """Whether a release was charged; a planned one has other survivors than the charged one."""
    return any(
        one == spend if same_terms else (one.run, one.charge.step) == (spend.run, spend.charge.step)
        for one in view.spends
    )


def _named(spend: Spend) -> str:
    return f"Releasing step {spend.charge.step!r}"


def _publish(partial: Path, path: Path) -> None:
    """Give a whole new ledger its name, unless there is one already; durably."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: whoever cannot charge must not release."""
    try:
        yield
    except sqlite3.Error as error:
        raise IntegrityError(
            f"The population's ledger {path} could not be read or written: another process holds "
            "it, it is damaged or the disk is full. What was charged stays charged."
        ) from error
