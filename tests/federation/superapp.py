"""The ClientApp that tests run in a SuperNode: one device of the world, with a store of its own."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.federation.world import TWO_SUMS, World, histories, plan_of

from privet.client.device_store import DeviceStore
from privet.client.flower_app import client_app
from privet.client.local_states import LocalStateFolder
from privet.client.session import DeviceSession
from privet.privacy.accounting.adversaries import Trust


def open_device(config: Mapping[str, object]) -> DeviceSession:
    row, devices, trust = config["row"], config["devices"], Trust(str(config["trust"]))
    assert isinstance(row, int) and isinstance(devices, int)
    cohort = histories(devices)
    plan = plan_of(trust, TWO_SUMS, cohort=cohort, fewest=devices)
    folder = Path(str(config["folder"]))
    memory = folder / "device.db"
    device = replace(
        World(plan, TWO_SUMS, cohort).devices[row],
        ledger=DeviceStore(memory, create=not memory.exists()).ledger,
        local=LocalStateFolder(folder / "states"),
    )
    return DeviceSession(device)


app = client_app(open_device)
