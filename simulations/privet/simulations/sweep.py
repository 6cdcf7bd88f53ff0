"""Privacy against quality: the same simulation over epsilons and seeds."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from privet.models.model import Model
from privet.privacy.errors import BudgetError, InputError
from privet.privacy.population import PopulationView
from privet.privacy.report.sections import CurvePoint, GroupRow
from privet.privacy.report.text import rounded_up
from privet.server.population import Population
from privet.server.storage import DATABASE, RunStore
from privet.simulations.comparison import Row
from privet.simulations.evaluation.intervals import Estimate, over_seeds
from privet.simulations.federation import open_population, plan_for, remember, write_durably
from privet.simulations.preparation import Task
from privet.simulations.reporting import build_report, interval, write_report
from privet.simulations.simulation import (
    RESULT,
    Options,
    Watcher,
    counted,
    group_row,
    population_json,
    simulate,
)

SWEEP = "sweep.json"
_METRICS = ("recall@20", "ndcg@20")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One epsilon, over all seeds.

    Attributes:
        epsilon: Target; infinity for none.
        metrics: Mean over seeds with its 95 % interval, by metric; no interval for one seed.
        run_dirs: One a seed.
    """

    epsilon: float
    metrics: dict[str, Estimate]
    run_dirs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "epsilon": self.epsilon if math.isfinite(self.epsilon) else None,
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
            "run_dirs": list(self.run_dirs),
        }


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Every point, and the one run whose ledger the report is on.

    Attributes:
        points: In the order asked for.
        rows: The table of the reported run, references among it.
        groups: Quality by group of users at each epsilon, of the first seed.
        reported: The reported run's folder.
        reported_epsilon: Its target.
        directory: Of the sweep.
        population: What all runs on its users spent, these among them; None if not counted.
    """

    points: tuple[Point, ...]
    rows: tuple[Row, ...]
    groups: tuple[GroupRow, ...]
    reported: Path
    reported_epsilon: float
    directory: Path
    population: PopulationView | None = None

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON of ``privet sweep --json``, and ``sweep.json``."""
        aside = sorted(str(path) for path in self.directory.glob("*.interrupted-*"))
        return {
            "points": [point.to_dict() for point in self.points],
            "rows": [row.to_dict() for row in self.rows],
            "note": curve_note(self.points, self.population),
            "reported_run": str(self.reported),
            "interrupted_runs": aside,
            "population": population_json(self.population),
            "run_dir": str(self.directory),
        }


def sweep(
    model: Model,
    task_of: Callable[[int], Task],
    options: Options,
    directory: Path,
    *,
    epsilons: Sequence[float],
    seeds: Sequence[int],
    watcher: Watcher | None = None,
) -> Sweep:
    """Simulate every epsilon with every seed; finished runs are not run again.

    Args:
        model: To train.
        task_of: The task for a seed.
        options: Target (its epsilon is replaced) and so on; references are measured once, with
            the last finite epsilon's first seed.
        directory: One folder a run below it.
        epsilons: Targets, distinct.
        seeds: Of splits, distinct; real noise differs anyway.
        watcher: For progress.

    Raises:
        InputError: No epsilons or seeds, repeated ones, or a target that cannot be used.
        IntegrityError: The folder holds runs on other data or with other options.
        BudgetError: The runs that have not begun do not fit into the population's budget.
    """
    for name, values in (("epsilon", epsilons), ("seed", seeds)):
        if not values or len(set(values)) != len(values):
            raise InputError(f"A sweep needs at least one {name}, each only once.")
    asked = {(e, s): _asked(options, epsilon=e, seed=s) for e in epsilons for s in seeds}
    _require(model, task_of, asked, directory)  # refuse before anything is run
    finite = [epsilon for epsilon in epsilons if math.isfinite(epsilon)]
    reported_epsilon = finite[-1] if finite else epsilons[-1]
    reported = _run_dir(directory, reported_epsilon, seeds[0])
    points: list[Point] = []
    rows: Sequence[Mapping[str, Any]] = ()
    groups: list[GroupRow] = []
    for epsilon in epsilons:
        results = []
        for seed in seeds:
            run_dir = _run_dir(directory, epsilon, seed)
            # The population's budget is recorded by now; a run must not begin another ledger.
            own = replace(
                asked[epsilon, seed],
                references=options.references and run_dir == reported,
                population_budget=None,
            )
            result = _finish(model, task_of(seed), own, run_dir, watcher)
            results.append(result)
            rows = result["rows"] if run_dir == reported else rows
        groups += [group_row(body) for body in results[0]["groups"]]
        points.append(_point(epsilon, results))
    return Sweep(
        points=tuple(points),
        rows=tuple(Row.from_dict(row) for row in rows),
        groups=tuple(groups),
        reported=reported,
        reported_epsilon=reported_epsilon,
        directory=directory,
        population=_population(options),
    )


def _asked(options: Options, *, epsilon: float, seed: int) -> Options:
    return replace(options, seed=seed, target=replace(options.target, epsilon=epsilon))


def _require(
    model: Model,
    task_of: Callable[[int], Task],
    asked: Mapping[tuple[float, int], Options],
    directory: Path,
) -> None:
    """Refuse targets that cannot be used, and runs that a population has no budget left for."""
    first = next(iter(asked.values()))
    plans = {}
    for (epsilon, seed), own in asked.items():
        if first.population is not None or own.seed == first.seed:
            plans[epsilon, seed] = plan_for(
                model, task_of(seed), own.target, seeded_noise=own.insecure_seeded_noise
            )
    if first.population is None:
        if first.population_budget is not None:
            raise InputError("--population-budget needs --population: whose budget it is.")
        return
    fresh = [plans[key] for key in plans if not (_run_dir(directory, *key) / DATABASE).exists()]
    population = open_population(
        first.population,
        next(iter(plans.values())),
        budget=first.population_budget,
        create=len(fresh) == len(plans),
    )
    try:
        if fresh:
            population.require(fresh)
    finally:
        population.close()


def _population(options: Options) -> PopulationView | None:
    if options.population is None:
        return None
    population = Population(options.population)
    try:
        return population.view
    finally:
        population.close()


def write_sweep(found: Sweep, task: Task, *, command: str) -> None:
    """Write ``sweep.json``, and the report on the reported run with the curve."""
    store = RunStore(found.reported)
    try:
        entries = store.entries
    finally:
        store.close()
    report = build_report(
        entries,
        task,
        found.rows,
        groups=found.groups,
        command=command,
        population=found.population,
        curve=curve(found.points),
        curve_note=f"{curve_note(found.points, found.population)}. This report's ledger and privacy figures are "
        f"those of the run at epsilon {found.reported_epsilon:g}, first seed",
    )
    write_report(report, found.directory)
    body = json.dumps(found.to_dict(), indent=2, allow_nan=False)
    write_durably(found.directory / SWEEP, body.encode() + b"\n")


def curve(points: Sequence[Point]) -> list[CurvePoint]:
    """The points as the report draws them; infinity has no place on the axis."""
    drawn = []
    for point in points:
        for metric in _METRICS if math.isfinite(point.epsilon) else ():
            estimate = point.metrics[metric]
            bounds = interval(estimate)
            drawn.append(
                CurvePoint(
                    epsilon=point.epsilon,
                    metric=metric,
                    mean=bounds.mean,
                    low=bounds.low,
                    high=bounds.high,
                    seeds=estimate.users,
                )
            )
    return drawn


def curve_note(points: Sequence[Point], population: PopulationView | None = None) -> str:
    """What the curve's points are, for the report."""
    seeds = len(points[0].run_dirs)
    spread = f"95 % over {seeds} seeds" if seeds > 1 else "one seed, no interval"
    each = (
        f"on the curve, {spread}. Each point of the curve is a separate simulated run with an "
        "epsilon of its own"
    )
    if population is None:
        return f"{each}; in a deployment on the same users their epsilons would add up"
    opening = population.opening
    total = "infinite" if math.isinf(population.spent) else rounded_up(population.spent)[0]
    return (
        f"{each}. Population {opening.name!r} counts them together, those set aside too: "
        f"{len(population.runs)} runs with {len(population.spends)} releases, epsilon {total} at "
        f"delta {opening.delta:g}"
    )


def _run_dir(directory: Path, epsilon: float, seed: int) -> Path:
    text = f"{epsilon:g}" if float(f"{epsilon:g}") == epsilon else repr(epsilon)
    return directory / f"epsilon-{text}-seed-{seed}"


def _finish(
    model: Model, task: Task, options: Options, run_dir: Path, watcher: Watcher | None
) -> dict[str, Any]:
    """The result of a run: read if it is finished, else run or resumed.

    A run that was interrupted while a release was open cannot repeat it within its budget. It is
    set aside with its charges, and a new run takes its place; a population counts both.
    """
    plan = plan_for(model, task, options.target, seeded_noise=options.insecure_seeded_noise)
    begun = (run_dir / DATABASE).exists()
    if begun:
        seed = options.seed if options.insecure_seeded_noise else None
        remember(run_dir, task, plan, seed, resume=True)
        found = _read_result(run_dir / RESULT)
        complete = found is not None and (len(found["rows"]) > 1 or not options.references)
        if found is not None and complete and found["plan_hash"] == plan.hash:
            return found
    try:
        result = simulate(model, task, options, run_dir, resume=begun, watcher=watcher)
    except BudgetError:
        if not begun:
            raise
        with counted(model, task, options, plan):  # a new one must fit, with what is charged
            _set_aside(run_dir)
        result = simulate(model, task, options, run_dir, watcher=watcher)
    return result.to_dict()


def _read_result(path: Path) -> dict[str, Any] | None:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    known = (
        isinstance(body, dict)
        and {"rows", "groups", "metrics", "plan_hash", "run_dir"} <= body.keys()
    )
    return body if known else None


def _set_aside(run_dir: Path) -> None:
    taken = len(list(run_dir.parent.glob(f"{run_dir.name}.interrupted-*")))
    run_dir.rename(run_dir.with_name(f"{run_dir.name}.interrupted-{taken + 1}"))


def _point(epsilon: float, results: Sequence[dict[str, Any]]) -> Point:
    metrics = {}
    for name in results[0]["metrics"]:
        values = [float(result["metrics"][name]) for result in results]
        alone = Estimate(mean=values[0], low=math.nan, high=math.nan, users=1)
        metrics[name] = over_seeds(values) if len(values) > 1 else alone
    return Point(
        epsilon=epsilon,
        metrics=metrics,
        run_dirs=tuple(str(result["run_dir"]) for result in results),
    )
