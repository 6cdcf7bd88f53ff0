"""A simulation's devices behind Flower's simulation engine: the third fleet.

:class:`privet.server.flower.FlowerFleet` and the ClientApp are those of a deployment; only the
engine below them, and where a device has its data from, are a simulation's.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from privet.models.model import Model
from privet.models.plan import Plan
from privet.privacy.errors import InputError
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Deadlines
from privet.server.flower import FlowerFleet
from privet.simulations.devices import SimulatedDevices
from privet.simulations.flower_devices import HandedDevices
from privet.simulations.flower_engine import FlowerEngine
from privet.simulations.preparation import Task
from privet.simulations.simulation import OpenFleet

if TYPE_CHECKING:
    from flwr.serverapp import Grid

_DAY = 86_400.0
# A device answers, or its actor fails and Flower says so at once: there is nothing to wait for in
# vain, and a shorter deadline would drop the devices of a slow machine. Whoever was not enrolled by
# the first greeting is greeted again for some seconds.
PATIENT = Deadlines(**{**dict.fromkeys(vars(Deadlines()), _DAY), "gather": 3.0})
_REGISTRATION_SECONDS = 30.0
_POLL_SECONDS = 0.05


def fleet_over(
    grid: "Grid", handed: HandedDevices, model: Model, task: Task, plan: Plan, seed: int | None
) -> FlowerFleet:
    """A fleet of a task's devices over the nodes of a simulation.

    Args:
        grid: Whose nodes have the app that ``handed`` opens devices for.
        handed: Gets the devices.
        model: Whose client half runs.
        task: Its training histories are the devices', one a node.
        plan: That their users agree to.
        seed: Of seeded noise, if the plan has it.

    Raises:
        InputError: The grid has fewer nodes than the task has devices.
        PrivacyError: No graph of secure aggregation fits the plan's groups.
    """
    wanted, deadline = len(task.train), time.monotonic() + _REGISTRATION_SECONDS
    while (found := len(list(grid.get_node_ids()))) < wanted:
        if time.monotonic() > deadline:
            raise InputError(
                f"Flower simulates {found} nodes, and the data have {wanted} devices. Say so with "
                f'--federation-config "num-supernodes={wanted}".'
            )
        time.sleep(_POLL_SECONDS)
    key = SigningKey.generate()
    seeded = partial(Randomness.insecure_seeded, 0 if seed is None else seed)
    devices = SimulatedDevices.joined(
        model,
        task.train,
        plan,
        server_key=key.public,
        randomness=seeded if plan.seeded_noise else Randomness.secret,
    )
    handed.hold(devices)
    return FlowerFleet(grid, federation=devices.federation, key=key, deadlines=PATIENT)


def opened_by(engine: FlowerEngine) -> OpenFleet:
    """Opens fleets whose devices are in an engine of their own."""

    @contextmanager
    def open_fleet(model: Model, task: Task, plan: Plan, seed: int | None) -> Iterator[FlowerFleet]:
        handed = HandedDevices()
        with engine.grid(handed, len(task.train)) as grid:
            yield fleet_over(grid, handed, model, task, plan, seed)

    return open_fleet
