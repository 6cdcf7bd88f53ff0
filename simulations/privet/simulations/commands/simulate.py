"""``privet simulate``."""

from typing import Annotated

import typer

from privet.models.combination import Combination
from privet.models.known import model_named
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.cohorts import CohortRule
from privet.privacy.errors import InputError
from privet.simulations.commands import options as o
from privet.simulations.commands.console import (
    live,
    print_guarantees,
    print_json,
    print_plan,
    print_table,
    quiet,
)
from privet.simulations.federation import Target
from privet.simulations.preparation import prepare
from privet.simulations.simulation import Options, resumable, simulate


def simulate_command(
    path: o.DataPath,
    model: o.ModelName = "spectral",
    epsilon: Annotated[float, typer.Option(help="Privacy; inf for none.")] = 2.0,
    delta: o.Delta = None,
    trust: o.TrustOption = Trust.SECURE_AGGREGATION,
    seed: Annotated[int, typer.Option(help="Of splits made here.")] = 0,
    out: o.Out = None,
    resume: o.Resume = False,
    budget: Annotated[
        float | None,
        typer.Option(help="Limit on epsilon in the ledger; default: --epsilon."),
    ] = None,
    population: o.PopulationOption = None,
    population_budget: o.PopulationBudget = None,
    split: o.SplitOption = None,
    validate: o.Validate = False,
    references: o.References = True,
    min_survivors: o.MinSurvivors = 0,
    colluders: o.Colluders = 1,
    groups: o.Groups = 1,
    combine: o.Combine = Combination.SUM,
    secure_aggregation: o.Aggregation = o.SecureAggregationKind.SIMULATED,
    drop: o.Drop = 0.0,
    certified: o.Certified = False,
    cohort: o.CohortOption = "all",
    fleet: o.FleetOption = o.FleetKind.IN_PROCESS,
    device_cpus: o.DeviceCpus = None,
    ray_address: o.RayAddress = None,
    insecure_seeded_noise: o.Seeded = False,
    user_col: o.UserColumn = "user_id",
    item_col: o.ItemColumn = "item_id",
    weight_col: o.WeightColumn = "weight",
    time_col: o.TimeColumn = "datetime",
    catalogue: o.CatalogueOption = None,
    json: o.Json = False,
) -> None:
    """Run a federation on one machine as it would be deployed, and say what privacy cost."""
    if resume and out is None:
        raise InputError("--resume needs --out RUN_DIR: the folder of the run to go on with.")
    chosen = model_named(model)
    dataset = o.read_data(path, (user_col, item_col, weight_col, time_col), catalogue)
    task = prepare(dataset, seed=seed, split=split, validate=validate)
    open_fleet = o.outside(fleet, device_cpus=device_cpus, ray_address=ray_address)
    if open_fleet is not None and trust is Trust.SECURE_AGGREGATION:  # it has no other way
        secure_aggregation = o.SecureAggregationKind.PROTOCOL
    protocol = o.protocol_terms(secure_aggregation, trust, drop=drop, certified=certified)
    if drop and not min_survivors:  # as many as are sure to be left
        smallest, largest = len(task.train) // groups, -(-len(task.train) // groups)
        min_survivors = smallest - int(drop * largest)
    target = Target(
        epsilon=epsilon,
        delta=delta,
        trust=trust,
        min_survivors=min_survivors,
        colluders=colluders,
        groups=groups,
        combination=combine,
        protocol=protocol,
        cohort=CohortRule.parse(cohort),
    )
    options = Options(
        target=target,
        seed=seed,
        insecure_seeded_noise=insecure_seeded_noise,
        budget=budget,
        references=references,
        population=population,
        population_budget=population_budget,
        tuning=validate,
        drop=drop,
        command=o.command_line(),
    )
    run_dir = out or o.new_run_dir(path, model)
    how = f"go on with the same options and --out {run_dir} --resume."
    with (
        resumable(run_dir, how),
        live(silent=quiet(as_json=json), on_plan=None if json else print_plan) as watcher,
    ):
        result = simulate(
            chosen, task, options, run_dir, resume=resume, watcher=watcher, open_fleet=open_fleet
        )
    if json:
        print_json(result.to_dict())
    else:
        print_guarantees(result)
        print_table(result.rows, run_dir)
