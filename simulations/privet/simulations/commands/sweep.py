"""``privet sweep``."""

from functools import lru_cache
from typing import Annotated

import typer

from privet.models.combination import Combination
from privet.models.known import model_named
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.simulations.commands import options as o
from privet.simulations.commands.console import (
    console,
    curve_table,
    live,
    print_json,
    print_table,
    quiet,
)
from privet.simulations.federation import Target
from privet.simulations.preparation import Task, prepare
from privet.simulations.simulation import Options, resumable
from privet.simulations.sweep import curve_note, sweep, write_sweep


def sweep_command(
    path: o.DataPath,
    model: o.ModelName = "spectral",
    epsilons: Annotated[str, typer.Option(help="Comma-separated; inf is allowed.")] = "1,2,5,10",
    seeds: Annotated[int, typer.Option(help="Number of seeds, from 0.")] = 3,
    delta: o.Delta = None,
    trust: o.TrustOption = Trust.SECURE_AGGREGATION,
    groups: o.Groups = 1,
    combine: o.Combine = Combination.SUM,
    out: o.Out = None,
    population: o.PopulationOption = None,
    population_budget: o.PopulationBudget = None,
    split: o.SplitOption = None,
    validate: o.Validate = False,
    references: o.References = True,
    insecure_seeded_noise: o.Seeded = False,
    json: o.Json = False,
) -> None:
    """Draw quality against privacy; with the same --out again, finished points are kept."""
    chosen = model_named(model)
    wanted = _numbers(epsilons)
    if seeds < 1:
        raise InputError(f"Expected --seeds of at least 1, found {seeds}.")
    dataset = o.read_data(path)

    @lru_cache(maxsize=seeds)
    def task_of(seed: int) -> Task:
        return prepare(dataset, seed=seed, split=split, validate=validate)

    options = Options(
        target=Target(
            epsilon=wanted[0], delta=delta, trust=trust, groups=groups, combination=combine
        ),
        insecure_seeded_noise=insecure_seeded_noise,
        references=references,
        population=population,
        population_budget=population_budget,
        tuning=True,
        command=o.command_line(),
    )
    directory = out or o.new_run_dir(path, f"{model}-sweep")
    with (
        resumable(directory, f"go on with the same options and --out {directory}."),
        live(silent=quiet(as_json=json)) as watcher,
    ):
        found = sweep(
            chosen,
            task_of,
            options,
            directory,
            epsilons=wanted,
            seeds=range(seeds),
            watcher=watcher,
        )
        write_sweep(found, task_of(0), command=options.command)
    if json:
        print_json(found.to_dict())
        return
    console.print(curve_table(found.points, width=console.width))
    console.print(f"Here, {curve_note(found.points, found.population)}.")
    print_table(found.rows, directory)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"Expected --epsilons as numbers separated by commas, found {text!r}."
        ) from error
