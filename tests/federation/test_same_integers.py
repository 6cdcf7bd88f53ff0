"""One plan, one seed, any fleet: the same integers in every sum and the same model."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Message
from tests.federation.world import (
    DEVICES,
    SEED,
    Recording,
    World,
    charged,
    coordinate,
    histories,
    plan_of,
)
from tests.server.world import TwoSums

from privet.client.device import egress_policy
from privet.models.cohort import Cohort
from privet.models.federation import SECURE_STAGES, Stage
from privet.models.model import state_hash
from privet.models.plan import Plan
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.agreed import ProtocolTerms
from privet.simulations.fleet import InProcessFleet
from privet.simulations.memory_grid import Node
from privet.simulations.protocol_fleet import ProtocolFleet


def simulated(
    plan: Plan, model: TwoSums | Spectral, cohort: Cohort | None = None
) -> InProcessFleet:
    return InProcessFleet(
        model,
        cohort or histories(),
        randomness=Randomness.insecure_seeded(SEED),
        gate=Gate(egress_policy(plan)),
    )


CASES = [(trust, m) for m in (TwoSums(), Spectral()) for trust in Trust if trust in m.trusts]


@pytest.mark.parametrize(("trust", "model"), CASES)
def test_flower_gives_the_integers_and_the_model_of_the_simulation(
    trust: Trust, model: TwoSums | Spectral, tmp_path: Path
) -> None:
    plan = plan_of(trust, model)
    world = World(plan, model)
    here, there = Recording(simulated(plan, model)), Recording(world.fleet(world.grid()))
    first = coordinate(here, plan, model, tmp_path / "here")
    second = coordinate(there, plan, model, tmp_path / "there")
    assert len(here.sums) == len(plan.steps) and here.sums == there.sums
    assert state_hash(first) == state_hash(second)
    assert [c.terms for c in charged(tmp_path / "here")] == [
        c.terms for c in charged(tmp_path / "there")
    ]


def test_with_groups_every_group_has_the_sum_of_the_simulation(tmp_path: Path) -> None:
    cohort = histories(2 * DEVICES)
    plan = plan_of(Trust.SECURE_AGGREGATION, TwoSums(), cohort=cohort, groups=2)
    world = World(plan, TwoSums(), cohort)
    here = Recording(simulated(plan, TwoSums(), cohort))
    there = Recording(world.fleet(world.grid()))
    first = coordinate(here, plan, TwoSums(), tmp_path / "here")
    second = coordinate(there, plan, TwoSums(), tmp_path / "there")
    assert len(here.sums) == 4 and here.sums == there.sums
    assert state_hash(first) == state_hash(second)


@pytest.mark.parametrize("stage", SECURE_STAGES)
def test_with_dropouts_flower_gives_what_the_protocol_in_memory_gives(
    stage: Stage, tmp_path: Path
) -> None:
    plan = plan_of(Trust.SECURE_AGGREGATION, TwoSums())
    gone, world = (2, 7), World(plan, TwoSums())

    def leave(node: Node) -> Node:
        def answer(message: Message) -> Iterable[Message]:
            asked = message.content.config_records["privet"]["stage"]
            return [] if asked in SECURE_STAGES[SECURE_STAGES.index(stage) :] else node(message)

        return answer

    agreed = ProtocolTerms(corrupt_permille=0, drop_permille=300)
    in_memory = replace(plan, protocol=agreed)
    protocol = ProtocolFleet(
        TwoSums(),
        in_memory,
        histories(),
        randomness=Randomness.insecure_seeded(SEED),
        dropping=lambda number, rows: {stage: gone},
    )
    here = Recording(protocol)
    there = Recording(world.fleet(world.grid(dict.fromkeys(gone, leave))))
    first = coordinate(here, in_memory, TwoSums(), tmp_path / "here")
    second = coordinate(there, plan, TwoSums(), tmp_path / "there")
    assert len(here.sums) == 2
    assert (here.sums, state_hash(first)) == (there.sums, state_hash(second))
    left = DEVICES if stage in (Stage.COSIGN, Stage.UNMASK) else DEVICES - len(gone)
    assert [charge.terms.survivors for charge in charged(tmp_path / "there")] == [left] * 2
