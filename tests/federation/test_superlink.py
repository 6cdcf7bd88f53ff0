"""Over a real SuperLink, with TLS and authenticated nodes of both kinds: the simulation's integers."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.client.embedded.world import new_device
from tests.federation.supernode import SUPERNODE_APP, SuperNode, heartbeat
from tests.federation.world import (
    FEDERATION,
    SEED,
    SERVER_KEY,
    TWO_SUMS,
    Recording,
    World,
    charged,
    coordinate,
    histories,
    plan_of,
)
from tests.superlink import SuperLink, superlink

from privet.client.device import egress_policy
from privet.client.embedded.pace import Pace
from privet.client.session import DeviceSession
from privet.models.model import state_hash
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.courier import Deadlines
from privet.server.flower import FlowerFleet
from privet.simulations.fleet import InProcessFleet

PATIENT = Deadlines(**dict.fromkeys(vars(Deadlines()), 180.0))


@contextmanager
def embedded(link: SuperLink, session: DeviceSession) -> Iterator[None]:
    """A device without flwr, in a thread of its own."""
    done = threading.Event()
    device = new_device(link, session.answer)

    def live() -> None:
        with device:
            device.run(done.is_set, pace=Pace(poll_seconds=0.1, idle_seconds=0.1), wait=done.wait)

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


@contextmanager
def supernode(link: SuperLink, folder: Path, config: dict[str, int | str]) -> Iterator[None]:
    """A SuperNode that runs our ClientApp, in processes of its own."""
    node = SuperNode(link, folder, {"folder": str(folder), **config})
    try:
        node.start()
        yield
    finally:
        node.kill()


def check(trust: Trust, supernodes: int, others: int, folder: Path) -> None:
    """The first devices are at SuperNodes, the others embedded."""
    devices = supernodes + others
    cohort = histories(devices)
    plan = plan_of(trust, TWO_SUMS, cohort=cohort, fewest=devices)
    randomness = Randomness.insecure_seeded(SEED)
    here = Recording(
        InProcessFleet(TWO_SUMS, cohort, randomness=randomness, gate=Gate(egress_policy(plan)))
    )
    first = coordinate(here, plan, TWO_SUMS, folder / "here")
    world = World(plan, TWO_SUMS, cohort)
    with superlink(folder) as link, ExitStack() as stack:
        for row in range(devices):
            if row < supernodes:
                config: dict[str, int | str] = {
                    "row": row,
                    "devices": devices,
                    "trust": trust.value,
                }
                stack.enter_context(supernode(link, folder / f"node-{row}", config))
            else:
                stack.enter_context(embedded(link, world.sessions[row]))
        side = link.start_run(SUPERNODE_APP)
        stack.enter_context(heartbeat(side))
        fleet = FlowerFleet(side.grid, federation=FEDERATION, key=SERVER_KEY, deadlines=PATIENT)
        there = Recording(fleet)
        second = coordinate(there, plan, TWO_SUMS, folder / "there")
    assert len(here.sums) == 2 and here.sums == there.sums
    assert state_hash(first) == state_hash(second)
    assert [charge.terms.survivors for charge in charged(folder / "there")] == [devices] * 2


@pytest.mark.slow
def test_embedded_devices_on_a_superlink_give_the_integers_of_the_simulation(
    tmp_path: Path,
) -> None:
    check(Trust.SECURE_AGGREGATION, 0, 4, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("trust", list(Trust))
def test_supernodes_and_embedded_devices_together_give_the_integers_of_the_simulation(
    trust: Trust, tmp_path: Path
) -> None:
    check(trust, 3, 5, tmp_path)
