"""``privet data import|describe|synthesize``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from privet.simulations.commands import options as o
from privet.simulations.commands.console import console, print_json
from privet.simulations.data.dataset import Dataset, describe
from privet.simulations.data.privet_file import save
from privet.simulations.data.synthetic import SyntheticConfig, synthesize

app = typer.Typer(help="Import, describe and synthesize data sets.", no_args_is_help=True)
_SHOWN_PROBLEMS = 10


@app.command("import")
def import_command(
    path: o.DataPath,
    out: Annotated[Path, typer.Option("--out", help="The .privet file to write.")],
    user_col: o.UserColumn = "user_id",
    item_col: o.ItemColumn = "item_id",
    weight_col: o.WeightColumn = "weight",
    time_col: o.TimeColumn = "datetime",
    catalogue: o.CatalogueOption = None,
    json: o.Json = False,
) -> None:
    """Read a data set in any known format and write it as one .privet file."""
    dataset = o.read_data(path, (user_col, item_col, weight_col, time_col), catalogue)
    save(dataset, out)
    _show(dataset, {"path": str(out)}, as_json=json)


@app.command("describe")
def describe_command(path: o.DataPath, json: o.Json = False) -> None:
    """Say what is in a data set, and which rows could not be used."""
    _show(o.read_data(path), {}, as_json=json)


@app.command("synthesize")
def synthesize_command(
    out: Annotated[Path, typer.Option("--out", help="The .privet file to write.")],
    users: Annotated[int, typer.Option(help="Number of users.")] = SyntheticConfig.users,
    items: Annotated[int, typer.Option(help="Number of items.")] = SyntheticConfig.items,
    categories: Annotated[int, typer.Option(help="Public categories.")] = (
        SyntheticConfig.categories
    ),
    history_mean: Annotated[float, typer.Option(help="Mean items a user.")] = (
        SyntheticConfig.history_mean
    ),
    seed: Annotated[int, typer.Option(help="The same seed makes the same world.")] = 0,
    json: o.Json = False,
) -> None:
    """Make a world of users with known tastes, to test on."""
    config = SyntheticConfig(
        users=users, items=items, categories=categories, history_mean=history_mean
    )
    world = synthesize(config, seed=seed)
    save(world.dataset, out)
    _show(world.dataset, {"path": str(out), "seed": seed}, as_json=json)


def _show(dataset: Dataset, more: dict[str, Any], *, as_json: bool) -> None:
    body = {**describe(dataset), **more}
    if as_json:
        print_json(body)
        return
    for name, value in body.items():
        if name not in ("problems", "first_problems") and value not in (None, [], {}):
            console.print(f"[bold]{name.replace('_', ' ')}[/]: {value}", soft_wrap=True)
    console.print(f"[bold]rows that could not be used[/]: {len(dataset.problems)}")
    for problem in dataset.problems[:_SHOWN_PROBLEMS]:
        console.print(f"  {problem}", soft_wrap=True)
    if len(dataset.problems) > _SHOWN_PROBLEMS:
        console.print(f"  and {len(dataset.problems) - _SHOWN_PROBLEMS} more")
