"""The ClientApp that tests run in a SuperNode: one device of the world, by its row."""

from collections.abc import Mapping

from tests.federation.world import TWO_SUMS, World, histories, plan_of

from privet.client.flower_app import client_app
from privet.client.session import DeviceSession
from privet.privacy.accounting.adversaries import Trust


def open_device(config: Mapping[str, object]) -> DeviceSession:
    row, devices, trust = config["row"], config["devices"], Trust(str(config["trust"]))
    assert isinstance(row, int) and isinstance(devices, int)
    cohort = histories(devices)
    plan = plan_of(trust, TWO_SUMS, cohort=cohort, fewest=devices)
    return DeviceSession(World(plan, TWO_SUMS, cohort).devices[row])


app = client_app(open_device)
