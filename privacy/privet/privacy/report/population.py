"""The section on other runs: what a run's population spent together, from the ledger they share.

The section holds that ledger as of the report, so that its figures can be recomputed anywhere.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from privet.privacy.accounting.accountants import check_agreement
from privet.privacy.accounting.events import Event
from privet.privacy.errors import IntegrityError
from privet.privacy.ledger import Entry, check_chain
from privet.privacy.population import PopulationView, recorded_membership
from privet.privacy.report.assemble import ledger_record
from privet.privacy.report.claims import AdversaryCode, Relation
from privet.privacy.report.sections import LedgerRecord
from privet.privacy.report.text import rounded_up
from privet.privacy.report.view import LedgerView

_STEPS = 10_000  # what remains is shown to four places
COUNTED_ALONE = (
    "Other runs on the same users: this report counts this run alone, and their costs would add up"
)


@dataclass(frozen=True, kw_only=True)
class PopulationGuarantee:
    """What all counted releases together guarantee against one adversary; None is "none"."""

    adversary: AdversaryCode
    epsilon: float | None
    delta: float | None


@dataclass(frozen=True, kw_only=True)
class PopulationAccount:
    """What one accountant says about all counted releases."""

    name: str
    method: str
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class PopulationRun:
    """One counted run; its epsilon is at the population's delta, and such figures do not add up."""

    run: str
    model: str
    tuning: bool
    releases: int
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class PopulationSection:
    """All runs on the same users, as of the report.

    Attributes:
        population: Its id, which the run's ledger names in its first entry.
        name: For people.
        run: This run's id there.
        relation: Which data sets are neighbours, in all of them.
        delta: At which its figures are stated.
        budget: Limit on epsilon; infinite for none.
        spent: Epsilon of all releases, against the best informed adversary with a guarantee.
        remaining: Epsilon of the largest further Gaussian release that fits.
        runs: Every run.
        releases: Of all of them, repeats and runs that were set aside included.
        guarantees: Per adversary.
        accounts: Every accountant on the best informed adversary; the smallest bound is claimed.
        ledger: The population's, from its beginning.
    """

    population: str
    name: str
    run: str
    relation: Relation
    delta: float
    budget: float
    spent: float
    remaining: float
    runs: tuple[PopulationRun, ...]
    releases: int
    guarantees: tuple[PopulationGuarantee, ...]
    accounts: tuple[PopulationAccount, ...]
    ledger: LedgerRecord

    @property
    def tuning_runs(self) -> int:
        """How many runs were for choosing among models or parameters."""
        return sum(run.tuning for run in self.runs)


def population_section(view: LedgerView, population: PopulationView) -> PopulationSection:
    """The section, from a run's ledger and its population's.

    Raises:
        IntegrityError: The run does not belong to the population, or accountants disagree.
    """
    recorded = recorded_membership(view.entries)
    if recorded is None or recorded["population"] != population.opening.id:
        raise IntegrityError("The run's ledger does not name this population.")
    opening = population.opening
    relation: Relation = opening.relation.value
    return PopulationSection(
        population=opening.id,
        name=opening.name,
        run=recorded["run"],
        relation=relation,
        delta=opening.delta,
        budget=population.budget,
        spent=population.spent,
        remaining=population.remaining,
        runs=tuple(
            PopulationRun(
                run=record.run,
                model=record.model,
                tuning=record.tuning,
                releases=releases,
                epsilon=epsilon,
            )
            for record, releases, epsilon in population.by_run
        ),
        releases=len(population.spends),
        guarantees=tuple(
            PopulationGuarantee(adversary=g.adversary.value, epsilon=g.epsilon, delta=g.delta)
            for g in population.guarantees
        ),
        accounts=tuple(
            PopulationAccount(name=a.name, method=a.method, epsilon=a.epsilon)
            for a in check_agreement(population.events(), opening.delta)
        ),
        ledger=ledger_record(population.entries),
    )


def population_view(section: PopulationSection) -> PopulationView:
    """The population's ledger in a report, its chain checked.

    Raises:
        IntegrityError: It was changed.
    """
    entries = tuple(Entry.from_dict(dict(entry)) for entry in section.ledger.entries)
    check_chain(entries, head=section.ledger.head, length=section.ledger.length)
    return PopulationView(entries=entries)


def check_membership(section: PopulationSection | None, view: LedgerView) -> None:
    """The section is there if the run's ledger names a population, and has all its releases.

    Raises:
        IntegrityError: It is not.
    """
    recorded = recorded_membership(view.entries)
    if (recorded is None) != (section is None):
        raise IntegrityError("The report leaves out the population that its ledger names.")
    if section is None or recorded is None:
        return
    population = population_view(section)
    counted = Counter(s.charge for s in population.spends if s.run == recorded["run"])
    opened = [r.plan_hash for r in population.runs if r.run == recorded["run"]]
    if opened != [view.plan_hash] or not counted >= Counter(view.charges):
        raise IntegrityError("The population's ledger lacks a release of this run.")


def population_findings(population: PopulationView) -> Iterator[tuple[str, str]]:
    """What a population's ledger says, each adversary's epsilon by two accountants that agree."""
    name, delta = f"population {population.opening.name!r}", population.opening.delta
    runs, releases = len(population.runs), len(population.spends)
    yield name, f"{runs} runs, {releases} releases, within the budget"
    agreed: dict[tuple[Event, ...], str] = {}
    for guarantee in population.guarantees:
        found = "none"
        if guarantee.epsilon is not None:
            events = population.events(guarantee.adversary)
            if events not in agreed:
                accounts = check_agreement(events, delta)
                agreed[events] = ", ".join(f"{a.name} {a.epsilon:.6g}" for a in accounts)
            found = f"{guarantee.epsilon:.6g} at delta {delta:g}, of {agreed[events]}"
        yield f"{name} against {guarantee.adversary}", found


def counted_together(section: PopulationSection) -> str:
    """What is outside of a population's figures."""
    return f"Runs on the same users that are not counted in population {section.name!r}"


def together_sentence(section: PopulationSection) -> str:
    """What all runs together spent, in one sentence.

    Formal Guarantees: epsilon is rounded up, what remains is rounded down.
    """
    total, limit = _shown(section.spent), _shown(section.budget)
    runs = f"{len(section.runs)} run{'' if len(section.runs) == 1 else 's'}"
    tuning = f", {section.tuning_runs} for tuning" if section.tuning_runs else ""
    return (
        f"Population {section.name} counts {runs}{tuning} on the same users, with "
        f"{section.releases} releases: together epsilon {total} at delta {section.delta:g}, of a "
        f"budget of {limit}."
    )


def remaining_text(remaining: float) -> str:
    """What one more release may cost, rounded down; without a limit, any."""
    if math.isinf(remaining):
        return "any, there is no limit"
    return f"epsilon {math.floor(remaining * _STEPS) / _STEPS:g}"


def _shown(value: float) -> str:
    return rounded_up(value)[0]
