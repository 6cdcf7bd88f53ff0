"""``privet budget``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from privet.privacy.population import PopulationView
from privet.privacy.report.population import remaining_text
from privet.privacy.report.text import rounded_up
from privet.server.population import Population
from privet.simulations.commands import options as o
from privet.simulations.commands.console import console, print_json, print_population
from privet.simulations.simulation import finite, population_json


def budget_command(
    population: Annotated[Path, typer.Argument(help="A population's ledger, or its folder.")],
    json: o.Json = False,
) -> None:
    """What all runs on a population spent together, per adversary, and what is left."""
    ledger = Population(population)
    try:
        show_population(ledger.view, as_json=json)
    finally:
        ledger.close()


def show_population(view: PopulationView, *, as_json: bool) -> None:
    """What a population spent, for people or as JSON."""
    if as_json:
        print_json(_summary(view))
        return
    print_population(view)
    for g in view.guarantees:
        if g.epsilon is not None:
            console.print(f"  against {g.adversary}: epsilon {rounded_up(g.epsilon)[0]}")
    none = ", ".join(str(g.adversary) for g in view.guarantees if g.epsilon is None)
    console.print(f"  no guarantee against: {none}")
    console.print(f"Stop: {_stop(view)}", soft_wrap=True)
    console.print(_runs_table(view))


def _summary(view: PopulationView) -> dict[str, Any]:
    figures = population_json(view) or {}
    runs = [
        {**record.to_dict(), "releases": releases, "spent": finite(epsilon)}
        for record, releases, epsilon in view.by_run
    ]
    return {
        **figures,
        "runs": runs,
        "stop": _stop(view),
        "head": view.entries[-1].hash,
        "length": len(view.entries),
    }


def _stop(view: PopulationView) -> str:
    """Whether anything more can be released, in words."""
    if view.remaining == 0:
        return "the budget is used up: nothing more is released"
    if view.remaining == float("inf"):
        return "never: there is no limit"
    return (
        f"before the total is above {view.budget:g}; the largest further Gaussian release that "
        f"fits is {remaining_text(view.remaining)}"
    )


def _runs_table(view: PopulationView) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "model", "target", "for"):
        table.add_column(name, no_wrap=True)
    for name in ("releases", "epsilon by itself"):
        table.add_column(name, justify="right", no_wrap=True)
    for record, releases, epsilon in view.by_run:
        target = "inf" if record.epsilon is None else f"{record.epsilon:g}"
        purpose = "tuning" if record.tuning else "use"
        shown = rounded_up(epsilon)[0]
        table.add_row(record.run, record.model, target, purpose, str(releases), shown)
    return table
