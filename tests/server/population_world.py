"""Runs that spend from one population, in processes that may be killed."""

import json
import os
import signal
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.server.world import TwoSums, histories, plan_of, randomness_of

from privet.client.device import egress_policy
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import NeighbouringRelation
from privet.privacy.errors import PrivetError
from privet.privacy.ledger import Charge, EntryKind
from privet.privacy.minimization.gate import Gate
from privet.privacy.population import PopulationView
from privet.server.coordinator import Coordinator, Progress
from privet.server.population import Population, population_path
from privet.server.storage import RunStore
from privet.simulations.fleet import InProcessFleet

DELTA = 1e-5


def open_population(
    place: Path,
    budget: float = 1000.0,
    relation: NeighbouringRelation = NeighbouringRelation.ZERO_OUT,
) -> Population:
    """The population there, begun if there is none."""
    if population_path(place).exists():
        return Population(place)
    return Population.create(place, delta=DELTA, relation=relation, budget=budget)


def look(place: Path) -> PopulationView:
    """What a fresh reader finds."""
    population = Population(place)
    try:
        return population.view
    finally:
        population.close()


def run_counted(
    directory: Path,
    place: Path,
    plan: Plan,
    *,
    resume: bool = False,
    budget: float | None = None,
    observer: Callable[[Progress], None] | None = None,
    tuning: bool = False,
) -> None:
    """One process's life: a run that is counted in the population."""
    population = open_population(place, relation=plan.facts.trust.relation)
    store = None
    try:
        if not resume:
            population.require([plan])
        store = RunStore(directory, create=not resume)
        randomness, repeatable = randomness_of(plan, store)
        spending = (
            population.resume(store.entries) if resume else population.start(plan, tuning=tuning)
        )
        Coordinator(
            model=TwoSums(),
            plan=plan,
            fleet=InProcessFleet(
                TwoSums(), histories(), randomness=randomness, gate=Gate(egress_policy(plan))
            ),
            store=store,
            randomness=randomness,
            repeatable=repeatable,
            budget=budget,
            spending=spending,
            observer=observer,
        ).run()
    finally:
        population.close()
        if store is not None:
            store.close()


def in_process(work: Callable[[], None]) -> int:
    """Do it in a process of its own; its exit code, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
    except PrivetError as error:
        os._exit(error.exit_code)
    except BaseException:  # noqa: BLE001 - a forked test must not go on
        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def at_once(works: Sequence[Callable[[], None]]) -> list[int]:
    """Several processes at the same time, which begin together; their exit codes."""
    reader, writer = os.pipe()
    children = []
    for work in works:
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # returns when the parent closes its end
            os._exit(in_process(work))
        children.append(child)
    os.close(writer)
    os.close(reader)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def die() -> None:
    """As by the kernel: nothing is flushed, nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(phase: str, index: int) -> Callable[[Progress], None]:
    """An observer that kills its process there."""

    def observe(progress: Progress) -> None:
        if (progress.phase, progress.index) == (phase, index):
            die()

    return observe


def die_before_own_charge(step: int) -> None:
    """Kill the process between the population's charge and the run's own, in a step."""
    append = RunStore.append
    seen = Counter[EntryKind]()

    def dying(self: RunStore, kind: EntryKind, body: dict[str, object]) -> object:
        if kind is EntryKind.CHARGE:
            if seen[kind] == step:
                die()
            seen[kind] += 1
        return append(self, kind, body)

    RunStore.append = dying  # type: ignore[method-assign,assignment]


def die_within_charge() -> None:
    """Kill the process in the middle of the population's first charging transaction."""
    from privet.server.ledger_file import LedgerFile

    append = LedgerFile.append

    def dying(self: LedgerFile, kind: EntryKind, body: dict[str, object]) -> object:
        found = append(self, kind, body)
        if kind is EntryKind.SPEND:
            die()
        return found

    LedgerFile.append = dying  # type: ignore[method-assign,assignment]


def raw_charges(path: Path, kind: str) -> list[Charge]:
    """Charges on the disk, read by nothing but SQL and JSON."""
    database = sqlite3.connect(path)
    try:
        rows = database.execute("SELECT body FROM ledger WHERE kind = ? ORDER BY seq", (kind,))
        from privet.privacy.accounting.adversaries import ReleaseTerms

        return [
            Charge(
                step=body["step"],
                attempt=body["attempt"],
                terms=ReleaseTerms.from_dict(body["terms"]),
            )
            for body in (json.loads(text) for (text,) in rows)
        ]
    finally:
        database.close()


def counted_plan(trust: Trust = Trust.SECURE_AGGREGATION, epsilon: float = 4.0) -> Plan:
    """A plan with two sums."""
    return plan_of(trust, epsilon=epsilon)
