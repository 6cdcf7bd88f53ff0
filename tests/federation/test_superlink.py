"""Over a real SuperLink, with TLS and authenticated SuperNodes: the integers of the simulation."""

from pathlib import Path

import pytest
from tests.federation.supernode import SUPERNODE_APP, SuperNode, heartbeat
from tests.federation.world import (
    FEDERATION,
    SEED,
    SERVER_KEY,
    TWO_SUMS,
    Recording,
    coordinate,
    histories,
    plan_of,
)
from tests.superlink import superlink

from privet.client.device import egress_policy
from privet.models.model import state_hash
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.courier import Deadlines
from privet.server.flower import FlowerFleet
from privet.simulations.fleet import InProcessFleet

DEVICES = 3


@pytest.mark.slow
@pytest.mark.parametrize("trust", list(Trust))
def test_a_superlink_with_supernodes_gives_the_integers_of_the_simulation(
    trust: Trust, tmp_path: Path
) -> None:
    cohort = histories(DEVICES)
    plan = plan_of(trust, TWO_SUMS, cohort=cohort, fewest=DEVICES)
    randomness = Randomness.insecure_seeded(SEED)
    here = Recording(
        InProcessFleet(TWO_SUMS, cohort, randomness=randomness, gate=Gate(egress_policy(plan)))
    )
    first = coordinate(here, plan, TWO_SUMS, tmp_path / "here")
    with superlink(tmp_path) as link:
        config = {"devices": DEVICES, "trust": trust.value}
        nodes = [
            SuperNode(link, tmp_path / f"node-{row}", {"row": row, **config})
            for row in range(DEVICES)
        ]
        try:
            for node in nodes:
                node.start()
            side = link.start_run(SUPERNODE_APP)
            fleet = FlowerFleet(
                side.grid,
                federation=FEDERATION,
                key=SERVER_KEY,
                deadlines=Deadlines(**dict.fromkeys(vars(Deadlines()), 120.0)),
            )
            there = Recording(fleet)
            with heartbeat(side):
                second = coordinate(there, plan, TWO_SUMS, tmp_path / "there")
        finally:
            for node in nodes:
                node.kill()
    assert len(here.sums) == 2 and here.sums == there.sums
    assert state_hash(first) == state_hash(second)
