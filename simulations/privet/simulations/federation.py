"""One federation on one machine, exactly as it would be deployed, from plan to shared state."""

import json
import math
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from privet.client.device import egress_policy
from privet.models.combination import Combination
from privet.models.model import Model, SharedState, state_hash
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.privacy.accounting.adversaries import Guarantee, Trust
from privet.privacy.cohorts import EVERYONE, CohortRule
from privet.privacy.errors import InputError, IntegrityError, PrivacyError
from privet.privacy.ledger import Entry
from privet.privacy.minimization.gate import Gate
from privet.privacy.population import PopulationView
from privet.privacy.randomness import Randomness
from privet.privacy.report.view import LedgerView
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.server.coordinator import Coordinator, Observer
from privet.server.fleet import Fleet
from privet.server.population import Population, PopulationRun, population_path
from privet.server.storage import DATABASE, RunStore
from privet.simulations.fleet import InProcessFleet
from privet.simulations.preparation import Task
from privet.simulations.protocol_fleet import (
    Dropping,
    ProtocolFleet,
    check_size,
    random_drops,
)

_STATE = "simulation.json"
_NOISE_KEY = "noise.key"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The privacy that a person asks for.

    Attributes:
        epsilon: Above 0; infinity for none.
        delta: In (0, 1); None for the smaller of 1e-5 and a tenth of 1 / users.
        trust: Who adds noise.
        min_survivors: Fewest devices in a group's sum, 0 for all.
        colluders: Devices assumed to reveal their noise shares.
        groups: Groups that each round is split into.
        combination: How their sums become one release.
        protocol: How secure aggregation is run; None to simulate its effect.
        cohort: How the devices of a round are drawn.
    """

    epsilon: float
    delta: float | None = None
    trust: Trust = Trust.SECURE_AGGREGATION
    min_survivors: int = 0
    colluders: int = 1
    groups: int = 1
    combination: Combination = Combination.SUM
    protocol: ProtocolTerms | None = None
    cohort: CohortRule = EVERYONE

    def facts(self, task: Task, *, timed: bool) -> PublicFacts:
        """The target together with what is public about a task's federation.

        The period of the training events is data, so it is made public only where a model is
        `timed`.
        """
        devices = len(task.train)
        delta = min(1e-5, 0.1 / devices) if self.delta is None else self.delta
        start, end = task.period if timed else (0, 0)
        return PublicFacts(
            devices=devices,
            items=len(task.catalogue),
            epsilon=self.epsilon,
            delta=delta,
            trust=self.trust,
            min_survivors=self.min_survivors,
            colluders=self.colluders if devices > 1 else 0,
            groups=self.groups,
            combination=self.combination,
            cohort=self.cohort,
            start=start,
            end=end,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Federated:
    """What a federation left behind.

    Attributes:
        plan: Its public constants.
        shared: Final shared state.
        entries: The whole ledger.
        budget: The limit on epsilon.
        population: What is counted together with it, as of its end; None if it is counted alone.
    """

    plan: Plan
    shared: SharedState
    entries: tuple[Entry, ...]
    budget: float
    population: PopulationView | None = None

    @cached_property
    def view(self) -> LedgerView:
        """What the ledger says about privacy."""
        return LedgerView(entries=self.entries)

    @property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """Per adversary, from everything that the ledger charged."""
        return self.view.guarantees

    @property
    def model_hash(self) -> str:
        """Version of the shared state."""
        return state_hash(self.shared)


def plan_for(model: Model, task: Task, target: Target, *, seeded_noise: bool = False) -> Plan:
    """The plan that a federation on this task would follow."""
    return make_plan(
        model,
        target.facts(task, timed=model.timed),
        catalogue_hash=task.catalogue.hash,
        seeded_noise=seeded_noise,
        protocol=target.protocol,
    )


def federate(
    model: Model,
    task: Task,
    plan: Plan,
    directory: Path,
    *,
    resume: bool = False,
    seed: int | None = None,
    budget: float | None = None,
    population: Population | None = None,
    tuning: bool = False,
    observer: Observer | None = None,
    on_devices: Callable[[int], None] | None = None,
    dropping: Dropping | None = None,
    fleet: Fleet | None = None,
) -> Federated:
    """Run a plan over simulated devices, or what is left of it.

    Args:
        model: Both halves run, in this process unless there is a fleet.
        task: The devices' data.
        plan: Made by :func:`plan_for`.
        directory: Of the run.
        resume: Go on with the run that is there.
        seed: Of seeded noise, which the plan must have (NOT PRIVATE); None for real noise.
        budget: Limit on epsilon, the plan's target if not given. Raising it is recorded.
        population: Whose budget the releases are charged to as well, open.
        tuning: Whether the population's ledger is to say that the run is for choosing.
        observer: Called at each phase of a round.
        on_devices: Called with the number of devices done in a round.
        dropping: Who drops out of the protocol, where it is run; nobody if not given.
        fleet: Of devices outside of this process, which have the task's data and, where noise is
            seeded, the same seed; it never repeats a release. If not given, they are in it.

    Raises:
        InputError: The directory cannot be used, or the budget is not above 0.
        PrivacyError: The run cannot be counted in the population.
        IntegrityError: The run that is there is damaged, or of other data or another plan.
        BudgetError: A release would overspend.
    """
    if budget is not None and not budget > 0:  # before anything is written; NaN is no limit at all
        raise InputError(f"Expected budget={budget} to be a number > 0, or inf.")
    if plan.protocol is not None:
        check_size(plan)
    remember(directory, task, plan, seed, resume=resume)
    store = _open(directory, resume=resume)
    try:
        spending = None if population is None else _spending(population, plan, store, tuning)
        randomness, repeatable = _randomness(plan, store, seed, elsewhere=fleet is not None)
        if fleet is None and plan.protocol is None:
            fleet = InProcessFleet(
                model,
                task.train,
                randomness=randomness,
                gate=Gate(egress_policy(plan)),
                on_devices=on_devices,
            )
        elif fleet is None:
            fleet = ProtocolFleet(
                model,
                plan,
                task.train,
                randomness=randomness,
                dropping=dropping or random_drops(0.0, 0),
                on_devices=on_devices or (lambda _: None),
            )
        coordinator = Coordinator(
            model=model,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=randomness,
            repeatable=repeatable,
            start=model.begin(task.catalogue),
            budget=budget,
            spending=spending,
            observer=observer,
        )
        shared = coordinator.run()
        return Federated(
            plan=plan,
            shared=shared,
            entries=store.entries,
            budget=coordinator.budget,
            population=None if population is None else population.view,
        )
    except sqlite3.Error as error:
        raise IntegrityError(
            f"The ledger in {directory} could not be written: another process uses it, or the "
            "disk is full. What was charged stays charged."
        ) from error
    finally:
        store.close()


def open_population(
    place: Path, plan: Plan, *, budget: float | None, create: bool = True
) -> Population:
    """Open a population's ledger, or begin one with a plan's delta and neighbouring relation.

    Args:
        place: Its file or folder.
        plan: Of a run that is to be counted in it.
        budget: Limit on epsilon; one that differs from the recorded one is recorded. None to
            leave it, and then the ledger must be there.
        create: False where the ledger must be there in any case.

    Raises:
        InputError: There is none to open, or the budget is not above 0.
        IntegrityError: It is damaged or not a population's.
        PrivacyError: One was to begin with a run whose noise follows from a seed.
    """
    if create and budget is not None and not population_path(place).exists():
        if plan.seeded_noise:
            raise PrivacyError("A run with seeded noise cannot begin a population: it is a test.")
        facts = plan.facts
        return Population.create(
            place, delta=facts.delta, relation=facts.trust.relation, budget=budget
        )
    population = Population(place)
    try:
        if budget is not None:
            population.set_budget(budget)
    except BaseException:
        population.close()
        raise
    return population


def _spending(population: Population, plan: Plan, store: RunStore, tuning: bool) -> PopulationRun:
    """The run's hold on the population: a new one only for a run that has not begun."""
    if store.entries:
        return population.resume(store.entries)
    return population.start(plan, tuning=tuning)


def _open(directory: Path, *, resume: bool) -> RunStore:
    try:
        return RunStore(directory, create=not resume)
    except sqlite3.Error as error:
        raise InputError(f"Cannot open {directory / DATABASE} for writing.") from error


def _randomness(
    plan: Plan, store: RunStore, seed: int | None, *, elsewhere: bool
) -> tuple[Randomness, bool]:
    """The run's randomness, and whether an interrupted release would repeat exactly.

    Devices elsewhere round with randomness of their own, so none of theirs would.

    Under central trust rounding and noise both follow from a key that is kept from before the
    first ledger entry to the end, so a repeat is the same release. A run whose key is lost must
    not get another one: its repeats are new releases, and are charged again.
    """
    if plan.seeded_noise:
        return Randomness.insecure_seeded(0 if seed is None else seed), not elsewhere
    if elsewhere:
        return Randomness.secret(), False
    noised_here = plan.facts.trust is Trust.CENTRAL and math.isfinite(plan.facts.epsilon)
    if noised_here and (not store.entries or (store.directory / _NOISE_KEY).exists()):
        return Randomness.from_key(store.keep_noise_key()), True
    return Randomness.secret(), False


def remember(directory: Path, task: Task, plan: Plan, seed: int | None, *, resume: bool) -> None:
    """Record which data a run is on; on resume check that it is the same.

    The plan cannot hold it: it is published, and a hash of private data is not for publishing.
    Repeating a release with its own noise on other data would reveal the difference.

    Raises:
        InputError: Nothing to resume, or the directory cannot be written.
        IntegrityError: The run there is on other data, or with another noise seed.
    """
    state = {"fingerprint": task.fingerprint, "noise_seed": seed if plan.seeded_noise else None}
    path = directory / _STATE
    if not resume:
        if not (directory / DATABASE).exists():
            write_durably(path, json.dumps(state).encode() + b"\n")
        return
    if not (directory / DATABASE).is_file():
        raise InputError(
            f"No run to resume in {directory}: it was never started. Leave --resume away."
        )
    try:
        recorded = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"{path} is missing or damaged, so it cannot be told whether the data are the same. "
            "Start a new run elsewhere."
        ) from error
    if recorded != state:
        raise IntegrityError(
            "This run was started on other data, with another split or another noise seed. Resume "
            "it with the same, or start a new run elsewhere."
        )


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or not there, whatever happens; makes its folder.

    Raises:
        InputError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from error
