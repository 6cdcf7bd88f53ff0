"""``privet demo``: the main job on an embedded default."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from privet.models.known import model_named
from privet.models.model import Model
from privet.privacy.errors import InputError
from privet.server.storage import DATABASE
from privet.simulations.commands import options as o
from privet.simulations.commands.console import (
    console,
    live,
    print_guarantees,
    print_json,
    print_plan,
    print_table,
    quiet,
)
from privet.simulations.data.synthetic import SyntheticConfig, synthesize
from privet.simulations.federation import Target
from privet.simulations.preparation import prepare
from privet.simulations.reporting import build_report, write_report
from privet.simulations.simulation import (
    Options,
    Result,
    Watcher,
    resumable,
    simulate,
)
from privet.simulations.sweep import curve, curve_note, sweep

_EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0)


def demo(
    epsilon: Annotated[float, typer.Option(help="Privacy of the run that is reported.")] = 2.0,
    users: Annotated[int, typer.Option(help="Users of the synthetic world.")] = 3000,
    out: o.Out = None,
    json: o.Json = False,
) -> None:
    """Simulate on a synthetic world: no data, no network, under a minute."""
    model = model_named("spectral")
    run_dir = out or o.new_run_dir(Path("synthetic"), "demo")
    if (run_dir / DATABASE).exists():
        raise InputError(f"{run_dir} already holds a run; give another --out.")
    world = synthesize(SyntheticConfig(users=users), seed=0)
    task = prepare(world.dataset, seed=0)
    options = Options(target=Target(epsilon=epsilon), command=o.command_line())
    if not json:
        console.print(
            f"A synthetic world: {users:,} users with known tastes, {len(task.catalogue)} items"
        )
    silent = quiet(as_json=json)
    with resumable(run_dir, "start the demo again with another --out."):
        with live(silent=silent, on_plan=None if json else print_plan) as watcher:
            result = simulate(model, task, options, run_dir, watcher=watcher)
        with live(silent=silent) as watcher:
            _add_curve(model, result, options, watcher)
    if json:
        print_json(result.to_dict())
    else:
        print_guarantees(result)
        print_table(result.rows, run_dir)


def _add_curve(model: Model, result: Result, options: Options, watcher: Watcher) -> None:
    """Simulate other epsilons as well, and write the report again with the curve."""
    found = sweep(
        model,
        lambda _: result.task,
        replace(options, references=False),
        result.run_dir / "curve",
        epsilons=_EPSILONS,
        seeds=range(2),
        watcher=watcher,
    )
    report = build_report(
        result.federated.entries,
        result.task,
        result.rows,
        groups=result.groups,
        command=options.command,
        curve=curve(found.points),
        curve_note=curve_note(found.points),
    )
    write_report(report, result.run_dir)
