"""One federation on one machine, exactly as it would be deployed, from plan to shared state."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privet.client.device import egress_policy
from privet.models.model import Model, SharedState, state_hash
from privet.models.plan import Plan, PublicFacts
from privet.models.planning import make_plan
from privet.privacy.accounting.adversaries import Guarantee, Trust, guarantees
from privet.privacy.ledger import Entry, charges
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator, Observer
from privet.server.storage import RunStore
from privet.simulations.fleet import InProcessFleet
from privet.simulations.preparation import Task


@dataclass(frozen=True, kw_only=True)
class Target:
    """The privacy that a person asks for.

    Attributes:
        epsilon: Above 0; infinity for none.
        delta: In (0, 1); None for the smaller of 1e-5 and a tenth of 1 / users.
        trust: Who adds noise.
        min_survivors: Fewest devices in a sum, 0 for all.
        colluders: Devices assumed to reveal their noise shares.
    """

    epsilon: float
    delta: float | None = None
    trust: Trust = Trust.SECURE_AGGREGATION
    min_survivors: int = 0
    colluders: int = 1

    def facts(self, task: Task) -> PublicFacts:
        """The target together with what is public about a task's federation."""
        devices = len(task.train)
        delta = min(1e-5, 0.1 / devices) if self.delta is None else self.delta
        return PublicFacts(
            devices=devices,
            items=len(task.catalogue),
            epsilon=self.epsilon,
            delta=delta,
            trust=self.trust,
            min_survivors=self.min_survivors,
            colluders=self.colluders if devices > 1 else 0,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Federated:
    """What a federation left behind.

    Attributes:
        plan: Its public constants.
        shared: Final shared state.
        entries: The whole ledger.
        egress: What left the devices in this process, a line a step.
        budget: The limit on epsilon.
    """

    plan: Plan
    shared: SharedState
    entries: tuple[Entry, ...]
    egress: tuple[dict[str, Any], ...]
    budget: float

    @property
    def guarantees(self) -> tuple[Guarantee, ...]:
        """Per adversary, from everything that the ledger charged."""
        return guarantees(
            [charge.terms for charge in charges(self.entries)],
            self.plan.facts.delta,
            private=not self.plan.seeded_noise,
        )

    @property
    def model_hash(self) -> str:
        """Version of the shared state."""
        return state_hash(self.shared)


def plan_for(model: Model, task: Task, target: Target, *, seeded_noise: bool = False) -> Plan:
    """The plan that a federation on this task would follow."""
    return make_plan(
        model,
        target.facts(task),
        catalogue_hash=task.catalogue.hash,
        seeded_noise=seeded_noise,
    )


def federate(
    model: Model,
    task: Task,
    plan: Plan,
    directory: Path,
    *,
    resume: bool = False,
    seed: int | None = None,
    budget: float | None = None,
    observer: Observer | None = None,
    on_devices: Callable[[int], None] | None = None,
) -> Federated:
    """Run a plan over simulated devices, or what is left of it.

    Args:
        model: Both halves run, in this process.
        task: The devices' data.
        plan: Made by :func:`plan_for`.
        directory: Of the run.
        resume: Go on with the run that is there.
        seed: Of seeded noise, which the plan must have (NOT PRIVATE); None for real noise.
        budget: Limit on epsilon, the plan's target if not given. Raising it is recorded.
        observer: Called at each phase of a round.
        on_devices: Called with the number of devices done in a round.
    """
    store = RunStore(directory, create=not resume)
    try:
        randomness, repeatable = _randomness(plan, store, seed)
        gate = Gate(egress_policy(plan))
        fleet = InProcessFleet(
            model, task.train, randomness=randomness, gate=gate, on_devices=on_devices
        )
        coordinator = Coordinator(
            model=model,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=randomness,
            repeatable=repeatable,
            budget=budget,
            observer=observer,
        )
        shared = coordinator.run()
        return Federated(
            plan=plan,
            shared=shared,
            entries=store.entries,
            egress=tuple(gate.log),
            budget=coordinator.budget,
        )
    finally:
        store.close()


def _randomness(plan: Plan, store: RunStore, seed: int | None) -> tuple[Randomness, bool]:
    """The run's randomness, and whether an interrupted release would repeat exactly."""
    if plan.seeded_noise:
        return Randomness.insecure_seeded(0 if seed is None else seed), True
    if plan.facts.trust is Trust.CENTRAL and math.isfinite(plan.facts.epsilon):
        # Rounding and noise both follow from the kept key, so a repeat is the same release.
        return Randomness.from_key(store.keep_noise_key()), True
    return Randomness.secret(), False
