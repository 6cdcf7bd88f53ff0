"""The app that ``flwr run`` simulates: a ServerApp and a ClientApp of one process.

Flower's simulation loads both into the process that has the Grid, and sends the ClientApp to actors
from there, so the devices that the ServerApp makes reach the ClientApp by `HandedDevices`. On a real
SuperLink there is no such process: no device of this app answers there.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from privet.client.flower_app import client_app
from privet.models.known import model_named
from privet.models.model import Model
from privet.models.plan import Plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.errors import InputError
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.server.fleet import Fleet
from privet.server.flower import server_app
from privet.simulations.commands.options import new_run_dir
from privet.simulations.data.load import load
from privet.simulations.federation import Target
from privet.simulations.flower_devices import HandedDevices
from privet.simulations.flower_fleet import fleet_over
from privet.simulations.preparation import Task, prepare
from privet.simulations.simulation import Options, simulate

if TYPE_CHECKING:
    from flwr.serverapp import Grid


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a run's configuration says, in the words of ``privet simulate``.

    Attributes:
        data: A data set's path or name.
        model: Its name.
        epsilon: Privacy; infinity for none.
        trust: Who adds the noise.
        seed: Of splits made here, and of seeded noise.
        insecure_seeded_noise: NOT PRIVATE, for tests.
        references: Whether to measure the reference rows too.
        out: Folder of the run; a new one below ``runs`` if empty.
    """

    data: str
    model: str = "spectral"
    epsilon: float = 2.0
    trust: str = Trust.SECURE_AGGREGATION.value
    seed: int = 0
    insecure_seeded_noise: bool = False
    references: bool = False
    out: str = ""

    @classmethod
    def read(cls, config: Mapping[str, object]) -> Self:
        """Read Flower's ``run_config``.

        Raises:
            InputError: A name that is none of these, a value of another type, or no data.
        """
        found = {name.replace("-", "_"): value for name, value in config.items()}
        types = {f.name: f.type for f in fields(cls)}
        if unknown := found.keys() - types.keys():
            raise InputError(f"The run's configuration has {sorted(unknown)}, which is unknown.")
        if "data" not in found:
            raise InputError("The run's configuration has no data.")
        for name, value in found.items():
            if types[name] is float and type(value) is int:
                found[name] = float(value)
            elif type(value) is not types[name]:
                raise InputError(f"Expected {name} of the run's configuration as {types[name]}.")
        return cls(**found)  # type: ignore[arg-type]  # checked above


def run(grid: "Grid", config: Mapping[str, object]) -> None:
    """One simulation, as ``privet simulate`` makes it, of devices at a grid's nodes.

    Raises:
        PrivetError: Any; what was charged stays charged.
    """
    asked = Configuration.read(config)
    if asked.trust not in set(Trust):
        raise InputError(f"Expected trust as one of {', '.join(Trust)}, found {asked.trust!r}.")
    trust = Trust(asked.trust)
    protocol = ProtocolTerms() if trust is Trust.SECURE_AGGREGATION else None
    options = Options(
        target=Target(epsilon=asked.epsilon, trust=trust, protocol=protocol),
        seed=asked.seed,
        insecure_seeded_noise=asked.insecure_seeded_noise,
        references=asked.references,
        command="flwr run",
    )
    path = Path(asked.data)
    out = Path(asked.out) if asked.out else new_run_dir(path, asked.model)

    def open_fleet(
        model: Model, task: Task, plan: Plan, seed: int | None
    ) -> AbstractContextManager[Fleet]:
        return nullcontext(fleet_over(grid, _devices, model, task, plan, seed))

    result = simulate(
        model_named(asked.model),
        prepare(load(path), seed=asked.seed),
        options,
        out,
        open_fleet=open_fleet,
    )
    print(f"{result.verdict}; report: {out.absolute() / 'report.html'}", flush=True)


_devices = HandedDevices()
server = server_app(run)
client = client_app(_devices)
