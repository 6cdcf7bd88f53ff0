"""A federation of a few devices behind a Flower Grid in memory, with the real ClientApp."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from tests.server.world import TwoSums

from privet.client.flower_app import client_app
from privet.client.session import Device, DeviceSession
from privet.models.cohort import Cohort
from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.model import Model, SharedState
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.ledger import Charge, charges
from privet.privacy.minimization.agreement import Agreement, Limits
from privet.privacy.randomness import Randomness
from privet.privacy.secagg.primitives import SigningKey
from privet.server.coordinator import Coordinator, Progress
from privet.server.courier import Deadlines
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.flower import FlowerFleet
from privet.server.storage import RunStore
from privet.simulations.memory_grid import MemoryGrid, Node, app_node

DEVICES, ITEMS, FEWEST = 12, 14, 8
SEED = 4
TWO_SUMS = TwoSums()
SERVER_KEY = SigningKey.from_secret(bytes(range(32)))
FEDERATION = Federation(
    run="a-test", server_key=SERVER_KEY.public, corrupt_permille=0, drop_permille=300
)
# A grid in memory has every reply there is at the first look, however long it takes to make them.
QUICK = Deadlines(**dict.fromkeys(vars(Deadlines()), 0.1))


def histories(devices: int = DEVICES, items: int = ITEMS) -> Cohort:
    taken = np.random.default_rng(3).random((devices, items)) < 0.4
    taken[0] = False  # someone has nothing
    users, found = np.nonzero(taken)
    return Cohort.from_pairs(users, found, n_users=devices, n_items=items)


def plan_of(
    trust: Trust,
    model: Model,
    *,
    cohort: Cohort | None = None,
    seeded: bool = True,
    fewest: int = FEWEST,
    epsilon: float = 8.0,
    groups: int = 1,
) -> Plan:
    cohort = cohort or histories()
    facts = PublicFacts(
        devices=len(cohort),
        items=cohort.n_items,
        epsilon=epsilon,
        delta=1e-4,
        trust=trust,
        min_survivors=fewest,
        groups=groups,
    )
    return make_plan(model, facts, catalogue_hash="0" * 64, seeded_noise=seeded)


class World:
    """Devices that last, and servers that come and go."""

    def __init__(
        self,
        plan: Plan,
        model: Model,
        cohort: Cohort | None = None,
        *,
        federation: Federation = FEDERATION,
        lasting: bool = False,
        participations: int = 3,
    ) -> None:
        self.plan, self.model, self.federation = plan, model, federation
        self.cohort = cohort or histories()
        policy = federation_policy(plan, federation)
        self.devices = [
            Device(
                model=model,
                history=self.cohort.slice(row, row + 1),
                identity=SigningKey.from_secret(sha256(b"device %d" % row).digest()),
                federation=federation,
                agreement=Agreement.to(policy, limits=Limits(max_participations=participations)),
                randomness=(
                    (lambda: Randomness.insecure_seeded(SEED))
                    if plan.seeded_noise
                    else Randomness.secret
                ),
            )
            for row in range(len(self.cohort))
        ]
        self.sessions = [DeviceSession(device) for device in self.devices]

        def open_session(config: Mapping[str, object]) -> DeviceSession:
            row = config["row"]
            assert isinstance(row, int)
            # A process of its own for every message: nothing but the context is left of it.
            return self.sessions[row] if lasting else DeviceSession(self.devices[row])

        app = client_app(open_session, lasting=lasting)
        self.nodes: dict[int, Node] = {
            100 + row: app_node(app, 100 + row, {"row": row}) for row in range(len(self.cohort))
        }

    def restart(self, row: int) -> None:
        """A device's process ends and begins: what it kept on its disk is left."""
        self.sessions[row] = DeviceSession(self.devices[row])

    def grid(self, change: Mapping[int, Callable[[Node], Node]] | None = None) -> MemoryGrid:
        nodes = dict(self.nodes)
        for row, wrap in (change or {}).items():
            nodes[100 + row] = wrap(nodes[100 + row])
        return MemoryGrid(nodes)

    def fleet(self, grid: MemoryGrid, **options: Any) -> FlowerFleet:
        options = {"deadlines": QUICK, "poll_seconds": 0.02, **options}
        return FlowerFleet(grid, federation=self.federation, key=SERVER_KEY, **options)


class Recording:
    """A fleet that remembers the sums of another."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.sums: list[bytes] = []

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        found = self.fleet.run(round_, charge)
        self.sums += [group.total.tobytes() for group in found.groups]
        return found


def coordinate(
    fleet: Fleet,
    plan: Plan,
    model: Model,
    directory: Path,
    *,
    observer: Callable[[Progress], None] | None = None,
    resume: bool = False,
    budget: float | None = None,
) -> SharedState:
    store = RunStore(directory, create=not resume)
    try:
        return Coordinator(
            model=model,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=Randomness.insecure_seeded(SEED),
            repeatable=plan.seeded_noise,
            observer=observer,
            budget=budget,
        ).run()
    finally:
        store.close()


def charged(directory: Path) -> list[Charge]:
    store = RunStore(directory)
    try:
        return list(charges(store.entries))
    finally:
        store.close()
