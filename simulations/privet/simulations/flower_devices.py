"""How the devices of a simulation get to the actors of Flower's simulation."""

from collections.abc import Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from privet.client.carried import CarriedSession
from privet.privacy.errors import InputError
from privet.simulations.devices import SimulatedDevices

if TYPE_CHECKING:
    from ray import ObjectRef

PARTITION = "partition-id"
"""What Flower's simulation calls a node's place, from 0, in the node's configuration."""


class HandedDevices:
    """Opens devices in whatever process it is called, for `privet.client.flower_app.client_app`.

    Flower sends its ClientApp to an actor with every message. On that way this object leaves the
    devices in Ray's object store, once, from where every machine takes them once and every actor of
    a machine reads the same memory. So nothing lies in a file, and no folder has to be shared.
    """

    def __init__(self) -> None:
        """Have nobody yet."""
        self._lock = Lock()
        self._devices: SimulatedDevices | None = None
        self._stored: ObjectRef[SimulatedDevices] | None = None

    def hold(self, devices: SimulatedDevices) -> None:
        """Have these from now on."""
        with self._lock:
            self._devices, self._stored = devices, None

    def __call__(self, config: Mapping[str, object]) -> CarriedSession:
        """The device of a node, in the process that holds them.

        Raises:
            InputError: There is none.
        """
        return _opened(self._devices, config)

    def __reduce__(self) -> tuple[object, ...]:
        """What an actor gets instead: where the devices are."""
        import ray

        with self._lock:
            if self._devices is not None and self._stored is None:
                self._stored = ray.put(self._devices)
            return partial, (_open_stored, self._stored)


def _opened(devices: SimulatedDevices | None, config: Mapping[str, object]) -> CarriedSession:
    if devices is None:
        raise InputError("There are no devices yet.")
    row = config.get(PARTITION)
    if not isinstance(row, int) or not 0 <= row < len(devices.cohort):
        raise InputError(f"Expected {PARTITION} from 0 to {len(devices.cohort) - 1}.")
    return CarriedSession(devices.device(row))


def _open_stored(
    stored: "ObjectRef[SimulatedDevices] | None", config: Mapping[str, object]
) -> CarriedSession:
    import ray

    return _opened(None if stored is None else ray.get(stored), config)
