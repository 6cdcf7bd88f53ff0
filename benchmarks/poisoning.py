"""What devices that do not keep to the plan can do: MovieLens 1M, or 100K with ``--quick``.

Every run is a whole federation with real noise under secure aggregation (its masks simulated), in
which some devices send what they like. Promotion keeps within the bound, so no check of a bound
would help: the devices craft histories that push one unpopular item. Flooding sends vectors of
many times the bound, or random words. Prints Recall@20 of the honest devices, the share of them
that get the item into their 20, and what noticed. There is no bar on quality: these are measurements.
What must hold is said at the end: no honest run is refused, and random words always are.
"""

import argparse
import math
import tempfile
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
from common import finish, real_task, table
from numpy.typing import NDArray

from privet.client.device import egress_policy
from privet.models.cohort import Cohort
from privet.models.combination import Combination
from privet.models.model import LocalState, Model, SharedState
from privet.models.plan import Plan, Step
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.encoding import wrap
from privet.privacy.errors import PoisoningError
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator
from privet.server.fleet import Aggregate, ChargeSum, Fleet, Round
from privet.server.storage import RunStore
from privet.simulations.federation import Target, plan_for
from privet.simulations.fleet import InProcessFleet
from privet.simulations.preparation import Task

EPSILON = 2.0
TOP = 20
COMPANIONS = 8  # popular items that a crafted history has beside the promoted one
FRACTIONS = (0.001, 0.005, 0.01, 0.05)
FACTORS = (10.0, 100.0, 1000.0)
HOW = {
    "sum": (1, Combination.SUM),
    "median of 4": (4, Combination.MEDIAN),
    "trimmed of 8": (8, Combination.TRIMMED_MEAN),
    "median of 8": (8, Combination.MEDIAN),
    "sum of 4": (4, Combination.SUM),
    "sum of 8": (8, Combination.SUM),
}


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Which devices attack, and how: by crafted histories, or a few by vectors beyond the bound.

    Attributes:
        name: Of the row.
        fraction: Of devices that craft their histories; 0 for none.
        factor: Norm of a vector over the bound; 0 for none, infinite for random words.
        floods: Devices that send such a vector, each in another group where there are as many.
    """

    name: str
    fraction: float = 0.0
    factor: float = 0.0
    floods: int = 1


ATTACKS = (
    Attack(name="nobody"),
    *(Attack(name=f"promotion, {100 * f:g} %", fraction=f) for f in FRACTIONS),
    *(Attack(name=f"one device, {f:g} x", factor=f) for f in FACTORS),
    Attack(name="one device, random", factor=math.inf),
    Attack(name="two devices, 1000 x", factor=1000.0, floods=2),
)


def crafted(history: Cohort, attackers: NDArray[np.int64], target: int, top: object) -> Cohort:
    """Everyone's history, with those of the attackers replaced: the target, and ``top`` if given."""
    rows = history.dense() > 0
    rows[attackers] = False
    rows[attackers, target] = True
    if top is not None:
        rows[np.ix_(attackers, np.asarray(top, np.int64))] = True
    users, items = np.nonzero(rows)
    return Cohort.from_pairs(users, items, n_users=len(history), n_items=history.n_items)


class Promoting:
    """A model whose malicious devices offer other histories in each step, within the bound.

    For the first sum the target alone, which pushes it most; for co-occurrence the target together
    with the most popular items, so that whoever likes these is given it.
    """

    def __init__(self, inner: Model, attackers: NDArray[np.int64], target: int) -> None:
        """Of the inner model only the contributions differ."""
        self.inner, self.attackers, self.target = inner, set(attackers.tolist()), target
        self.name, self.trusts = inner.name, inner.trusts
        self.steps, self.update = inner.steps, inner.update
        self.personalise, self.score = inner.personalise, inner.score

    def contribute(
        self, step: Step, shared: SharedState, local: LocalState, cohort: Cohort, rng: Randomness
    ) -> tuple[Contribution, LocalState]:
        """The honest contribution of a cohort in which some have crafted histories."""
        here = np.flatnonzero([int(d) in self.attackers for d in cohort.devices])
        if len(here):
            top = None
            if "popularity" in shared:
                order = np.argsort(-np.asarray(shared["popularity"]), kind="stable")
                top = order[order != self.target][:COMPANIONS]
            cohort = replace(crafted(cohort, here, self.target, top), devices=cohort.devices)
        return self.inner.contribute(step, shared, local, cohort, rng)


class Flooding:
    """A fleet of which few devices send what no bound allows; nobody sees it under their masks."""

    def __init__(self, inner: Fleet, model: Model, target: int, items: int, attack: Attack) -> None:
        """One device in each of the first groups floods: which group is which says nothing."""
        self.inner, self.model, self.items = inner, model, items
        self.target, self.attack = target, attack

    def run(self, round_: Round, charge: ChargeSum) -> Aggregate:
        """The inner fleet's sums, with the floods added to those of their groups."""
        found = self.inner.run(round_, charge)
        groups = list(found.groups)
        for flood in range(self.attack.floods):
            group = groups[flood % len(groups)]
            total = wrap(group.total.astype(np.int64) + self._vector(round_))
            groups[flood % len(groups)] = replace(group, total=total)
        return replace(found, groups=tuple(groups))

    def _vector(self, round_: Round) -> NDArray[np.int64]:
        dimension = round_.step.encoding.dimension
        if math.isinf(self.attack.factor):
            return np.random.default_rng().integers(0, 1 << 32, dimension)
        none = np.zeros(0, np.int64)
        alone = Cohort.from_pairs(none, none, n_users=1, n_items=self.items)
        promoting = Promoting(self.model, np.array([0]), self.target)
        rng = Randomness.secret()
        offer, _ = promoting.contribute(round_.step.step, round_.shared, {}, alone, rng)
        vector = np.zeros(dimension)
        vector[offer.indices] = offer.values
        return np.rint(self.attack.factor * round_.step.encoding.scale * vector).astype(np.int64)


def trained(model: Model, task: Task, plan: Plan, attack: Attack, target: int) -> SharedState:
    """One federation under attack, from its plan to its shared state."""
    count = math.ceil(attack.fraction * len(task.train))
    attackers = np.arange(count)  # numbers say nothing: groups are dealt by a hash
    # Its class attributes are the inner model's, which a protocol cannot say of an instance.
    acting = cast(Model, Promoting(model, attackers, target)) if count else model
    randomness = Randomness.secret()
    fleet: Fleet = InProcessFleet(
        acting, task.train, randomness=randomness, gate=Gate(egress_policy(plan))
    )
    if attack.factor:
        fleet = Flooding(fleet, model, target, len(task.catalogue), attack)
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        store = RunStore(Path(folder) / "run", create=True)
        try:
            return Coordinator(
                model=model,
                plan=plan,
                fleet=fleet,
                store=store,
                randomness=randomness,
                repeatable=False,
            ).run()
        finally:
            store.close()


def quality(
    model: Model, task: Task, shared: SharedState, target: int, honest: slice
) -> tuple[float, float]:
    """Recall@20 of the honest devices, and the share whose 20 hold the target, unless they had it."""
    promoted, without = 0, 0
    recalls: list[float] = []
    for start in range(honest.start, len(task.train), 512):
        stop = min(start + 512, len(task.train))
        rows = task.train.slice(start, stop)
        scores = np.array(model.score(shared, model.personalise(shared, {}, rows), rows))
        had = rows.dense() > 0
        scores[had] = -np.inf
        best = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        truth = task.test.slice(start, stop).dense() > 0
        found = np.take_along_axis(truth, best, axis=1).sum(axis=1)
        some = truth.sum(axis=1) > 0
        recalls += (found[some] / truth.sum(axis=1)[some]).tolist()
        promoted += int((best[~had[:, target]] == target).any(axis=1).sum())
        without += int((~had[:, target]).sum())
    return float(np.mean(recalls)), promoted / max(without, 1)


def measured(
    model: Model, task: Task, how: str, attack: Attack, target: int, runs: int
) -> tuple[float, float, int]:
    """Mean Recall@20 and share of lists with the target where not refused; runs refused."""
    groups, combination = HOW[how]
    privacy = Target(
        epsilon=EPSILON,
        delta=1e-5,
        trust=Trust.SECURE_AGGREGATION,
        groups=groups,
        combination=combination,
    )
    plan = plan_for(model, task, privacy)
    # The same people are asked in every row: those who attack in none.
    honest = slice(math.ceil(max(FRACTIONS) * len(task.train)), len(task.train))
    found, refused = [], 0
    for _ in range(runs):
        try:
            shared = trained(model, task, plan, attack, target)
        except PoisoningError:
            refused += 1
            continue
        found.append(quality(model, task, shared, target, honest))
    recall, hit = np.mean(found, axis=0) if found else (math.nan, math.nan)
    return float(recall), float(hit), refused


def unpopular(task: Task) -> int:
    """The item at the median of popularity."""
    counts = np.bincount(task.train.items, minlength=len(task.catalogue))
    return int(np.argsort(-counts, kind="stable")[len(counts) // 2])


def main() -> None:
    """Measure every cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="MovieLens 100K, popularity only")
    parser.add_argument("--runs", type=int, default=1, help="runs a cell, whose mean is printed")
    parser.add_argument("--how", nargs="*", default=list(HOW), choices=list(HOW))
    parser.add_argument("--attacks", nargs="*", default=[a.name for a in ATTACKS])
    chosen = parser.parse_args()
    attacks = [attack for attack in ATTACKS if attack.name in chosen.attacks]
    source = ("ml-100k",) if chosen.quick else ("ml-1m", "full_ranking.npz")
    task = real_task(*source)
    models: list[Model] = [Popularity()] if chosen.quick else [Popularity(), Spectral()]
    target = unpopular(task)
    figures: dict[str, object] = {}
    rows, passed = [], True
    for model, how, attack in product(models, chosen.how, attacks):
        recall, hit, refused = measured(model, task, how, attack, target, chosen.runs)
        borne = HOW[how][1].trimmed(HOW[how][0])
        if attack.name == "nobody":
            passed &= refused == 0
        if math.isinf(attack.factor) and not borne:
            passed &= refused == chosen.runs
        rows.append([model.name, how, attack.name, f"{recall:.4f}", f"{100 * hit:.2f}", refused])
        print(*rows[-1], sep="\t", flush=True)
        figures[f"{model.name}/{how}/{attack.name}"] = {
            "recall@20": recall if refused < chosen.runs else None,
            "has_item": hit if refused < chosen.runs else None,
            "refused": refused,
        }
    table(["model", "groups", "attack", "Recall@20", "has the item, %", "refused"], rows)
    finish(figures, passed=passed)


if __name__ == "__main__":
    main()
