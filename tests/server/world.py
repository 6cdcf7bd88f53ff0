"""A small federation, with a model that needs two different sums and keeps state on the device."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from privet.client.device import DeviceTask, egress_policy, take_part
from privet.models.cohort import Cohort
from privet.models.model import LocalState, Model, Release, SharedState
from privet.models.plan import Plan, PublicFacts, Step, StepPlan
from privet.models.planning import make_plan
from privet.models.popularity import Popularity, unit_histories
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.encoding import wrap
from privet.privacy.ledger import Charge, charges
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator, Phase, Progress
from privet.server.fleet import Aggregate, ChargeSum, Fleet, GroupSum, Round
from privet.server.storage import DATABASE, RunStore
from privet.simulations.fleet import InProcessFleet

DEVICES, ITEMS = 10, 12
SEED = 4


@dataclass(frozen=True, kw_only=True)
class TwoSums(Popularity):
    """Popularity, then a short signed vector of the devices' own state and randomness."""

    name: ClassVar[str] = "two-sums"
    trusts: ClassVar[frozenset[Trust]] = frozenset(Trust)

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        (first,) = Popularity().steps(facts)
        return (
            replace(first, budget_share=0.4),
            Step(name="signs", dimension=5, l2_clip_norm=2.0, budget_share=0.6),
        )

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        own = [rng.stream("contribute", "place", int(d)).below(5, 1) for d in cohort.devices]
        place = np.concatenate(own).astype(np.int64)
        if step.name == "popularity":
            return unit_histories(cohort), {"place": place, "sizes": cohort.sizes}
        # Simulated devices forget their state in a crash; what they kept must be their own.
        assert np.array_equal(local.get("sizes", cohort.sizes), cohort.sizes)
        some = cohort.sizes > 0
        return (
            Contribution(
                indptr=np.concatenate([[0], np.cumsum(some)]).astype(np.int64),
                indices=np.asarray(local.get("place", place), np.int64)[some],
                values=np.where(cohort.devices[some] % 2 == 0, 1.9, -1.3),
                dimension=5,
                l2_bound=2.0,
            ),
            local,
        )

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        return {**shared, step.name: release.total}


@cache
def histories(devices: int = DEVICES, items: int = ITEMS, seed: int = 0) -> Cohort:
    taken = np.random.default_rng(seed).random((devices, items)) < 0.3
    taken[0] = False  # someone has nothing
    users, found = np.nonzero(taken)
    return Cohort.from_pairs(users, found, n_users=devices, n_items=items)


def nobody(devices: int, items: int) -> Cohort:
    """Empty histories: the sum is noise and nothing else."""
    none = np.zeros(0, np.int64)
    return Cohort.from_pairs(none, none, n_users=devices, n_items=items)


@cache
def plan_of(
    trust: Trust,
    *,
    cohort: Cohort | None = None,
    model: Model | None = None,
    epsilon: float = 8.0,
    seeded: bool = False,
    min_survivors: int = 0,
) -> Plan:
    cohort = cohort or histories()
    facts = PublicFacts(
        devices=len(cohort),
        items=cohort.n_items,
        epsilon=epsilon,
        delta=1e-5,
        trust=trust,
        min_survivors=min_survivors,
    )
    return make_plan(model or TwoSums(), facts, catalogue_hash="0" * 64, seeded_noise=seeded)


class Crash(Exception):
    """What the observer raises where the process is to die."""


def crash_at(phase: Phase, index: int) -> Callable[[Progress], None]:
    def observe(progress: Progress) -> None:
        if (progress.phase, progress.index) == (phase, index):
            raise Crash

    return observe


def randomness_of(plan: Plan, store: RunStore) -> tuple[Randomness, bool]:
    """As :mod:`privet.simulations.federation` chooses it."""
    if plan.seeded_noise:
        return Randomness.insecure_seeded(SEED), True
    if plan.facts.trust is Trust.CENTRAL:
        return Randomness.from_key(store.keep_noise_key()), True
    return Randomness.secret(), False


def run(
    directory: Path,
    plan: Plan,
    *,
    model: Model | None = None,
    cohort: Cohort | None = None,
    resume: bool = False,
    budget: float | None = None,
    observer: Callable[[Progress], None] | None = None,
    wrap_fleet: Callable[[Fleet], Fleet] = lambda fleet: fleet,
) -> SharedState:
    """One process's life: from opening the run to its end, or to a crash."""
    model, cohort = model or TwoSums(), cohort or histories()
    store = RunStore(directory, create=not resume)
    try:
        randomness, repeatable = randomness_of(plan, store)
        gate = Gate(egress_policy(plan))
        fleet = wrap_fleet(InProcessFleet(model, cohort, randomness=randomness, gate=gate))
        return Coordinator(
            model=model,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=randomness,
            repeatable=repeatable,
            budget=budget,
            observer=observer,
        ).run()
    finally:
        store.close()


def charged(directory: Path) -> list[Charge]:
    """What a fresh reader of the file finds charged."""
    store = RunStore(directory)
    try:
        return list(charges(store.entries))
    finally:
        store.close()


def charges_in_file(directory: Path) -> int:
    """The same by nothing but SQL, while the run is going on."""
    connection = sqlite3.connect(f"file:{directory / DATABASE}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT COUNT(*) FROM ledger WHERE kind = 'charge'")
        return int(rows.fetchone()[0])
    finally:
        connection.close()


class OneByOne:
    """A fleet of single devices that add their own shares; the server adds modulo 2**32."""

    def __init__(self, model: Model, cohort: Cohort, randomness: Randomness, plan: Plan) -> None:
        self.model, self.cohort, self.randomness = model, cohort, randomness
        self.gate = Gate(egress_policy(plan))
        self.local: dict[int, LocalState] = {}

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        task = DeviceTask(
            plan=round_.plan, step=round_.step, shared=round_.shared, attempt=round_.attempt
        )
        total = np.zeros(round_.step.encoding.dimension, np.uint32)
        for row in reversed(range(len(self.cohort))):
            admitted, self.local[row] = take_part(
                self.model,
                task,
                self.local.get(row, {}),
                self.cohort.slice(row, row + 1),
                randomness=self.randomness,
                gate=self.gate,
                add_noise_share=True,
            )
            upload = np.zeros(len(total), np.int64)
            admitted.add_into(upload)
            total = total + wrap(upload)
        charge([len(self.cohort)])
        return Aggregate(groups=(GroupSum(total=total, survivors=len(self.cohort)),))


def small_noise(step: StepPlan, share_variance: float) -> StepPlan:
    """The step with so little noise that the integers' exact distribution shows."""
    return replace(step, terms=replace(step.terms, share_variance=share_variance))


def noise_of_sum(
    share_variance: float, *, devices: int, items: int, randomness: Randomness
) -> NDArray[np.int64]:
    """The integers that a secure aggregation of empty histories returns."""
    cohort = nobody(devices, items)
    plan = plan_of(Trust.SECURE_AGGREGATION, cohort=cohort, model=Popularity())
    plan = replace(plan, steps=(small_noise(plan.steps[0], share_variance),))
    fleet = InProcessFleet(
        Popularity(), cohort, randomness=randomness, gate=Gate(egress_policy(plan))
    )
    round_ = Round(plan=plan, step=plan.steps[0], shared={})
    total = fleet.run(round_, lambda survivors: None).total
    return total.astype(np.int32).astype(np.int64)
