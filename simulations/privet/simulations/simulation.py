"""``privet simulate``: what does privacy cost this recommender, on this data?"""

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from privet.models.model import Model
from privet.models.plan import Plan
from privet.privacy.errors import InputError, PrivetError
from privet.privacy.population import PopulationView
from privet.privacy.report.assemble import adversary_rows
from privet.privacy.report.claims import Verdict
from privet.privacy.report.sections import GroupRow, Interval
from privet.privacy.report.spent import privacy_rows, profiles
from privet.server.coordinator import Observer
from privet.server.fleet import Fleet
from privet.server.population import Population
from privet.simulations.comparison import Row, federated_row, in_order, reference_rows
from privet.simulations.evaluation.groups import group_rows
from privet.simulations.federation import (
    Federated,
    Target,
    federate,
    open_population,
    plan_for,
    write_durably,
)
from privet.simulations.preparation import Task
from privet.simulations.protocol_fleet import random_drops
from privet.simulations.reporting import build_report, write_report

RESULT = "result.json"

OpenFleet = Callable[[Model, Task, Plan, int | None], AbstractContextManager[Fleet]]
"""Opens a fleet of a task's devices outside of this process, for a plan.

The number is the seed of their noise, or None for secret noise.
"""


class Interrupted(PrivetError):
    """Somebody stopped it; says how to go on."""

    exit_code: ClassVar[int] = 130


@contextmanager
def resumable(run_dir: Path, how: str) -> Iterator[None]:
    """Make an interruption say how to go on, if there is anything to go on with."""
    try:
        yield
    except KeyboardInterrupt as stop:
        begun = f" What was charged stays charged; {how}" if run_dir.exists() else ""
        raise Interrupted(f"Interrupted.{begun}") from stop


def population_json(view: PopulationView | None) -> dict[str, Any] | None:
    """A population in figures, for the documented JSON; None if there is none."""
    if view is None:
        return None
    opening = view.opening
    return {
        "id": opening.id,
        "name": opening.name,
        "relation": str(opening.relation),
        "delta": opening.delta,
        "budget": finite(view.budget),
        "spent": finite(view.spent),
        "remaining": finite(view.remaining),
        "privacy": [
            {"adversary": str(g.adversary), "epsilon": g.epsilon, "delta": g.delta}
            for g in view.guarantees
        ],
        "runs": len(view.runs),
        "tuning_runs": sum(record.tuning for record in view.runs),
        "releases": len(view.spends),
    }


def group_json(row: GroupRow) -> dict[str, Any]:
    """A group's figures, for the documented JSON."""
    return {**asdict(row), "epsilon": finite(row.epsilon)}


def group_row(body: Mapping[str, Any]) -> GroupRow:
    """Reads a group's figures back."""
    epsilon = math.inf if body["epsilon"] is None else float(body["epsilon"])
    loss = None if body["loss"] is None else Interval(**body["loss"])
    return GroupRow(
        **{**body, "epsilon": epsilon, "value": Interval(**body["value"]), "loss": loss}
    )


def finite(value: float) -> float | None:
    """An epsilon as JSON has it: null for infinity."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person asks of a simulation.

    Attributes:
        target: Privacy.
        seed: Of splits, and of noise if ``insecure_seeded_noise``.
        insecure_seeded_noise: Noise follows from the seed: NOT PRIVATE, for tests.
        budget: Limit on epsilon in the ledger; the target's epsilon if None.
        references: Whether to measure the reference rows as well.
        population: Place of the ledger of a population that the run is counted in; None if it is
            counted alone.
        population_budget: Limit on the population's epsilon; None for the one recorded there.
        tuning: Whether the run is for choosing among models or parameters.
        command: What to type to run it again, for the report.
        drop: Share of each group's devices that drop out of the protocol, drawn from the seed.
    """

    target: Target
    seed: int = 0
    insecure_seeded_noise: bool = False
    budget: float | None = None
    references: bool = True
    population: Path | None = None
    population_budget: float | None = None
    tuning: bool = False
    command: str = "privet simulate"
    drop: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Watcher:
    """Callbacks for whoever watches a simulation.

    Attributes:
        planned: The plan, before anything runs.
        observer: Each phase of a round.
        on_devices: Devices done in a round.
        on_row: Each row of the table, once measured.
    """

    planned: Callable[[Plan], None] = lambda _: None
    observer: Observer = lambda _: None
    on_devices: Callable[[int], None] = lambda _: None
    on_row: Callable[[Row], None] = lambda _: None


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a simulation found.

    Attributes:
        task: The data.
        federated: The run.
        row: Its quality.
        references: What to compare it with; empty if not asked for.
        run_dir: Where everything is.
        seconds: Wall time of this process: federation, evaluation and references.
    """

    task: Task
    federated: Federated
    row: Row
    references: tuple[Row, ...]
    run_dir: Path
    seconds: float

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table, in order."""
        return in_order(self.row, self.references)

    @property
    def groups(self) -> tuple[GroupRow, ...]:
        """Quality by group of users, with what each loses, if no privacy was measured too."""
        without = next((row for row in self.references if row.kind == "no privacy"), None)
        epsilon = self.federated.plan.facts.epsilon
        private = math.isfinite(epsilon) and without is not None
        return group_rows(
            self.task,
            self.row.per_user,
            epsilon=epsilon,
            without=without.per_user if private and without is not None else None,
        )

    @property
    def verdict(self) -> Verdict:
        """The report's, in two words."""
        if self.federated.plan.seeded_noise:
            return "NOT PRIVATE"
        return "PRIVATE" if self.row.kind == "private" else "NO GUARANTEE"

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON of ``privet simulate --json``."""
        plan, view = self.federated.plan, self.federated.view
        measured = self.row.to_dict()["metrics"]
        return {
            "model": plan.model,
            "data": self.task.name,
            "split": self.task.split,
            "trust": str(plan.facts.trust),
            "secure_aggregation": self.federated.plan.secure_aggregation,
            "metrics": {name: estimate["mean"] for name, estimate in measured.items()},
            "intervals": {name: [e["low"], e["high"]] for name, e in measured.items()},
            "references": {
                row.name: {name: e.mean for name, e in row.metrics.items()}
                for row in self.references
            },
            "rows": [row.to_dict() for row in self.rows],
            "groups": [group_json(row) for row in self.groups],
            "privacy": privacy_rows(adversary_rows(view), profiles(view)),
            "population": population_json(self.federated.population),
            "verdict": self.verdict,
            "seeded_noise": plan.seeded_noise,
            "users": plan.facts.devices,
            "items": plan.facts.items,
            "upload_bytes_per_device": plan.upload_bytes,
            "seconds": round(self.seconds, 3),
            "peak_rss_mb": round(peak_rss_mb(), 1),
            "run_dir": str(self.run_dir),
            "plan_hash": plan.hash,
            "model_hash": self.federated.model_hash,
        }


@contextmanager
def counted(
    model: Model, task: Task, options: Options, plan: Plan, *, resume: bool = False
) -> Iterator[Population | None]:
    """The population that a run is counted in, open; None if it is counted alone.

    Raises:
        BudgetError: A new run's whole plan does not fit; says which target would.
        PrivetError: It cannot be opened, or the run cannot be counted in it.
    """
    if options.population is None:
        if options.population_budget is not None:
            raise InputError("--population-budget needs --population: whose budget it is.")
        yield None
        return
    population = open_population(
        options.population, plan, budget=options.population_budget, create=not resume
    )
    try:
        if not resume:
            population.require(
                [plan],
                plan_of=lambda epsilon: plan_for(
                    model, task, replace(options.target, epsilon=epsilon)
                ),
            )
        yield population
    finally:
        population.close()


def peak_rss_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def simulate(
    model: Model,
    task: Task,
    options: Options,
    run_dir: Path,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    open_fleet: OpenFleet | None = None,
) -> Result:
    """Run a federation, measure it beside its references, and write the report.

    Args:
        model: To train.
        task: Devices' data and held-out events.
        options: Privacy target, seed and so on.
        run_dir: For the ledger, the checkpoint, the result and the report.
        resume: Go on with the run that is there, which must have the same data and options.
        watcher: For progress.
        open_fleet: Opens the devices, if they are not to be in this process.

    Raises:
        PrivetError: Any; what was charged stays charged.
    """
    if open_fleet is not None and options.drop:
        raise InputError("Only devices in this process drop out on demand: leave --drop away.")
    watch = watcher or Watcher()
    started = time.monotonic()
    plan = plan_for(model, task, options.target, seeded_noise=options.insecure_seeded_noise)
    watch.planned(plan)
    seed = options.seed if options.insecure_seeded_noise else None
    with (
        counted(model, task, options, plan, resume=resume) as population,
        nullcontext() if open_fleet is None else open_fleet(model, task, plan, seed) as fleet,
    ):
        federated = federate(
            model,
            task,
            plan,
            run_dir,
            resume=resume,
            seed=seed,
            budget=options.budget,
            population=population,
            tuning=options.tuning,
            observer=watch.observer,
            on_devices=watch.on_devices,
            dropping=random_drops(options.drop, options.seed),
            fleet=fleet,
        )
    row = federated_row(model, task, federated)
    watch.on_row(row)
    references = []
    for reference in reference_rows(model, task, options.target) if options.references else ():
        watch.on_row(reference)
        references.append(reference)
    result = Result(
        task=task,
        federated=federated,
        row=row,
        references=tuple(references),
        run_dir=run_dir,
        seconds=time.monotonic() - started,
    )
    report = build_report(
        federated.entries,
        task,
        result.rows,
        groups=result.groups,
        command=options.command,
        population=federated.population,
    )
    write_report(report, run_dir)
    body = json.dumps(result.to_dict(), indent=2, allow_nan=False)
    write_durably(run_dir / RESULT, body.encode() + b"\n")  # last: it marks the run as finished
    return result
