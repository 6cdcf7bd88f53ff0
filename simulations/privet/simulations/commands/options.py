"""Options that several verbs share, with one wording each."""

import math
import secrets
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import click
import typer

from privet.models.combination import Combination
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.privacy.secagg.agreed import SIMULATED_CERTIFIER_KEY, ProtocolTerms
from privet.simulations.data.csv import Columns
from privet.simulations.data.dataset import Dataset
from privet.simulations.data.load import load
from privet.simulations.preparation import SplitKind
from privet.simulations.simulation import OpenFleet


class SecureAggregationKind(StrEnum):
    """Whether the protocol is run."""

    SIMULATED = "simulated"
    PROTOCOL = "protocol"


class FleetKind(StrEnum):
    """Where the devices of a simulation are."""

    IN_PROCESS = "in-process"
    FLOWER = "flower"


DataPath = Annotated[
    Path, typer.Argument(help="MovieLens folder, CSV, .npz split or .privet file.")
]
ModelName = Annotated[
    str, typer.Option("--model", help="hybrid, popularity, spectral or trending.")
]
Delta = Annotated[
    float | None,
    typer.Option("--delta", help="Default: the smaller of 1e-5 and a tenth of 1/users."),
]
TrustOption = Annotated[Trust, typer.Option("--trust", help="Who adds the noise.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
SplitOption = Annotated[
    SplitKind | None,
    typer.Option("--split", help="How to hold out; default: the source's own split, or random."),
]
Validate = Annotated[
    bool, typer.Option("--validate", help="Train on train and score on valid, to tune.")
]
Seeded = Annotated[
    bool,
    typer.Option("--insecure-seeded-noise", help="Noise from --seed, for tests: NOT PRIVATE."),
]
References = Annotated[
    bool, typer.Option("--references/--no-references", help="Measure the reference rows too.")
]
MinSurvivors = Annotated[
    int, typer.Option("--min-survivors", help="Fewest devices in a group's sum; 0 for all.")
]
Groups = Annotated[
    int, typer.Option("--groups", help="Groups that a round is split into, each with a sum.")
]
Combine = Annotated[
    Combination, typer.Option("--combine", help="How the sums of groups become one release.")
]
Colluders = Annotated[
    int, typer.Option("--colluders", help="Devices assumed to reveal their noise shares.")
]
PopulationOption = Annotated[
    Path | None,
    typer.Option("--population", help="Ledger of all runs on these users: a file or its folder."),
]
PopulationBudget = Annotated[
    float | None,
    typer.Option(
        "--population-budget", help="Limit on its epsilon; begins a ledger if there is none."
    ),
]
Aggregation = Annotated[
    SecureAggregationKind,
    typer.Option("--secure-aggregation", help="Simulate the effect of masks, or run the protocol."),
]
Drop = Annotated[
    float,
    typer.Option("--drop", help="Share of devices that drop out of the protocol, from --seed."),
]
Certified = Annotated[
    bool,
    typer.Option("--certified", help="A simulated certifier of identities, for the protocol."),
]
CohortOption = Annotated[
    str, typer.Option("--cohort", help="Who takes part: all, fixed:N or poisson:RATE.")
]
FleetOption = Annotated[
    FleetKind, typer.Option("--fleet", help="Devices in this process, or in Flower's simulation.")
]
DeviceCpus = Annotated[
    float | None,
    typer.Option("--device-cpus", help="Cores of a device in Flower's simulation; default: 1."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        envvar="RAY_ADDRESS",
        help="A Ray cluster for Flower's simulation; default: one on this machine.",
    ),
]
UserColumn = Annotated[str, typer.Option("--user-col", help="CSV column of users.")]
ItemColumn = Annotated[str, typer.Option("--item-col", help="CSV column of items.")]
WeightColumn = Annotated[str, typer.Option("--weight-col", help="CSV column of strengths.")]
TimeColumn = Annotated[str, typer.Option("--time-col", help="CSV column of times.")]
CatalogueOption = Annotated[
    Path | None, typer.Option("--catalogue", help="CSV of items: item_id,title,categories,year.")
]


def protocol_terms(
    kind: SecureAggregationKind, trust: Trust, *, drop: float, certified: bool
) -> ProtocolTerms | None:
    """What the plan says of the protocol; None where it is not run.

    Raises:
        InputError: Options of the protocol without it.
    """
    if kind is SecureAggregationKind.SIMULATED:
        if drop or certified:
            raise InputError("--drop and --certified need --secure-aggregation protocol.")
        return None
    if trust is not Trust.SECURE_AGGREGATION:
        raise InputError(f"--secure-aggregation protocol needs --trust {Trust.SECURE_AGGREGATION}.")
    if not 0 <= drop < 0.5:
        raise InputError(f"Expected --drop from 0 to below 0.5, found {drop}.")
    assumed = ProtocolTerms()
    return replace(
        assumed,
        drop_permille=max(assumed.drop_permille, math.ceil(1000 * drop)),
        certifier_key=SIMULATED_CERTIFIER_KEY if certified else None,
    )


def outside(
    kind: FleetKind, *, device_cpus: float | None, ray_address: str | None
) -> OpenFleet | None:
    """Opens the devices of a simulation; None where they are in this process.

    Raises:
        InputError: An option of Flower's simulation without it.
    """
    if kind is FleetKind.IN_PROCESS:
        if device_cpus is not None:
            raise InputError("--device-cpus needs --fleet flower.")
        return None
    from privet.simulations.flower_engine import FlowerEngine
    from privet.simulations.flower_fleet import opened_by

    cpus = 1.0 if device_cpus is None else device_cpus
    return opened_by(FlowerEngine(device_cpus=cpus, address=ray_address or None))


ColumnNames = tuple[str, str, str, str]
COLUMNS: ColumnNames = ("user_id", "item_id", "weight", "datetime")


def read_data(path: Path, columns: ColumnNames = COLUMNS, catalogue: Path | None = None) -> Dataset:
    """Load a data set; columns (user, item, weight, time) and catalogue are for CSV files only."""
    user, item, weight, time = columns
    named = Columns(user_id=user, item_id=item, weight=weight, datetime=time)
    return load(path, columns=None if columns == COLUMNS else named, catalogue=catalogue)


def new_run_dir(data: Path, model: str) -> Path:
    """A folder of its own under ``runs/``."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{data.stem}-{model}-{stamp}-{secrets.token_hex(2)}"


def command_line() -> str:
    """What was typed, for the report; paths are shortened to their names."""
    context = click.get_current_context(silent=True)
    typed = sys.argv[1:] if context is None or context.obj is None else context.obj
    return shlex.join(["privet", *map(_without_folders, typed)])


def _without_folders(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + (Path(value).name if "/" in value else value)
