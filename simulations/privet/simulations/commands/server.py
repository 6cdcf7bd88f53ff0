"""``privet server``: operate a federation."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from privet.models.invitation import EnrolmentRequest
from privet.server.operation.certificates import valid_until
from privet.server.operation.directory import INVITATION, SETTINGS, Directory
from privet.server.operation.logs import EventLog, LogEvent
from privet.server.operation.service import Service
from privet.server.operation.settings import Settings, load_settings
from privet.server.operation.status import models_of, status_of
from privet.server.operation.witness import Witness
from privet.simulations.commands import options as o
from privet.simulations.commands.budget import show_population
from privet.simulations.commands.console import console, print_json
from privet.simulations.data.csv import read_catalogue

app = typer.Typer(help="Operate a federation of real devices.", no_args_is_help=True)

Place = Annotated[Path, typer.Argument(help="The federation's directory.")]
Catalogue = Annotated[
    Path | None, typer.Option("--catalogue", help="CSV of items: item_id,title,categories,year.")
]


@app.command("init")
def init_command(
    directory: Annotated[Path, typer.Argument(help="A directory that is not there yet.")],
    settings: Annotated[
        Path | None, typer.Option("--settings", help="Settings to begin with, a privet.toml.")
    ] = None,
    catalogue: Catalogue = None,
    json: o.Json = False,
) -> None:
    """Make a federation's directory: settings, keys, certificates, empty ledgers."""
    wanted = Settings() if settings is None else load_settings(settings)
    items = None if catalogue is None else read_catalogue(catalogue)[0]
    made = Directory.make(directory, wanted)
    if items is not None:
        made.invite(items)
    if json:
        print_json(_fixed(made))
        return
    console.print(f"Made {directory}, which only you may read.", soft_wrap=True)
    if items is None:
        console.print(
            f"Next: read and change {directory / SETTINGS}, then fix the plan with\n"
            f"  privet server invite {directory} --catalogue FILE",
            soft_wrap=True,
        )
    else:
        _say_next(made)


@app.command("invite")
def invite_command(
    directory: Place,
    catalogue: Annotated[
        Path, typer.Option("--catalogue", help="CSV of items: item_id,title,categories,year.")
    ],
    json: o.Json = False,
) -> None:
    """Fix the plan by the settings, and write the invitation that devices join with."""
    made = Directory(directory)
    made.invite(read_catalogue(catalogue)[0])
    if json:
        print_json(_fixed(made))
    else:
        _say_next(made)


@app.command("certificate")
def certificate_command(directory: Place, json: o.Json = False) -> None:
    """Make a new certificate for the server, for the names in its settings."""
    made = Directory(directory)
    made.certify()
    until = valid_until((made.path / "tls" / "server.pem").read_bytes()).isoformat()
    names = [*made.certified_names]
    if json:
        print_json({"names": names, "certificate_until": until})
        return
    console.print(
        f"Made a certificate for {', '.join(names)}, until {until}. Restart the server and the "
        "proxy; devices notice nothing.",
        soft_wrap=True,
    )


@app.command("enrol")
def enrol_command(
    directory: Place,
    requests: Annotated[list[Path], typer.Argument(help="Devices' request.json.")],
    json: o.Json = False,
) -> None:
    """Enrol devices by their requests, all of them or none; while a server runs or not."""
    found = [EnrolmentRequest.from_bytes(_bytes(path)) for path in requests]
    new, enrolled = Directory(directory).enrol(found)
    if json:
        print_json({"new": new, "enrolled": enrolled})
    else:
        console.print(f"{new} devices are new; {enrolled} are enrolled.")


@app.command("up")
def up_command(
    directory: Place,
    once: Annotated[
        bool, typer.Option("--once", help="End when the run is finished and models are delivered.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Begin another run if the last one is finished.")
    ] = False,
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Train nothing: deliver models only.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="Limit of this run, for repeats; devices' own limits stay."),
    ] = None,
    witness: Annotated[
        str | None,
        typer.Option("--witness", help="LENGTH:HEAD of the population's ledger, from elsewhere."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Start the SuperLink, run what is left of the plan, and deliver models. Logs to stderr."""
    place = Directory(directory)
    noted = None if witness is None else Witness.parse(witness)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as Ctrl-C does
    with place.locked():
        service = Service(
            place,
            EventLog(sys.stderr),
            again=again,
            deliver=deliver,
            budget=budget,
            witness=noted,
        )
        outcome = service.run(once=once)
    version = outcome.version
    if json:
        print_json(
            {
                "trained": outcome.trained,
                "version": None if version is None else version.version,
                "state_hash": None if version is None else version.state_hash,
                "delivered": outcome.delivered,
                "waiting": outcome.waiting,
            }
        )
        return
    last = "none" if version is None else f"{version.version}, {version.state_hash}"
    console.print(
        f"Last model: {last}. {outcome.delivered} devices have what they are to have, "
        f"{outcome.waiting} not yet.",
        soft_wrap=True,
    )


@app.command("status")
def status_command(directory: Place, json: o.Json = False) -> None:
    """Say where the federation is."""
    found = status_of(Directory(directory))
    if json:
        print_json(found)
        return
    for name, value in found.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if type(value) is dict else value
        console.print(f"[bold]{name.replace('_', ' ')}[/]: {shown}", soft_wrap=True)


@app.command("budget")
def budget_command(directory: Place, json: o.Json = False) -> None:
    """What all runs on these users spent together, per adversary, and what is left."""
    ledger = Directory(directory).population()
    try:
        show_population(ledger.view, as_json=json)
    finally:
        ledger.close()


@app.command("models")
def models_command(directory: Place, json: o.Json = False) -> None:
    """Versions of the model: hash, what made it, and who gets it."""
    found = models_of(Directory(directory))
    if json:
        print_json(found)
        return
    for model in found["models"]:
        origin = model["origin"]
        state = "stable" if model["version"] == found["stable"] else ""
        if model["version"] == found["candidate"]:
            state = f"candidate, {found['permille']} of 1000 devices"
        console.print(
            f"{model['version']}  {model['state_hash'][:16]}  run {origin['run']}, ledger "
            f"{origin['ledger_length']}:{origin['ledger_head'][:16]}  {state}",
            soft_wrap=True,
        )
    if not found["models"]:
        console.print("No model yet: `privet server up` makes one.")


@app.command("rollout")
def rollout_command(
    directory: Place,
    version: Annotated[int, typer.Argument(help="Of the model.")],
    permille: Annotated[int, typer.Argument(help="Devices in thousandths; 1000 for all.")],
    json: o.Json = False,
) -> None:
    """Give a model to a share of the devices; a running server delivers it."""
    registry = Directory(directory).registry()
    try:
        registry.roll_out(version, permille)
    finally:
        registry.close()
    EventLog(sys.stderr).write(LogEvent.ROLLED_OUT, version=version, permille=permille)
    _show_rollout(directory, as_json=json)


@app.command("rollback")
def rollback_command(
    directory: Place,
    version: Annotated[
        int | None, typer.Argument(help="Model to go back to; what was before, if not given.")
    ] = None,
    json: o.Json = False,
) -> None:
    """Go back to an earlier model on all devices; a running server delivers it."""
    registry = Directory(directory).registry()
    try:
        back = registry.roll_back(version)
    finally:
        registry.close()
    EventLog(sys.stderr).write(LogEvent.ROLLED_BACK, version=back or 0)
    _show_rollout(directory, as_json=json)


def _show_rollout(directory: Path, *, as_json: bool) -> None:
    found = models_of(Directory(directory))
    if as_json:
        print_json({name: found[name] for name in ("stable", "candidate", "permille")})
        return
    console.print(f"Stable: {found['stable'] or 'none'}.")
    if found["candidate"]:
        console.print(f"Candidate: {found['candidate']}, {found['permille']} of 1000 devices.")


def _fixed(place: Directory) -> dict[str, object]:
    fixed = place.fixed
    return {
        "directory": str(place.path),
        "settings": str(place.path / SETTINGS),
        "invitation": str(place.path / INVITATION) if fixed else None,
        "plan_hash": place.invitation.plan.hash if fixed else None,
        "server_key": place.key.public.hex(),
    }


def _say_next(place: Directory) -> None:
    invitation = place.invitation
    console.print(
        f"The plan is fixed: {invitation.plan.hash}\n"
        f"Next: give {place.path / INVITATION} and the catalogue to devices, over a way that they "
        "trust;\n"
        "  each joins with      privet client join INVITATION DIR\n"
        f"  enrol them with      privet server enrol {place.path} DIR/request.json ...\n"
        f"  start with           privet server up {place.path}\n"
        "Keep tls/authority.key and a copy of signing.key off this machine.",
        soft_wrap=True,
    )


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read((2 << 20) + 1)
