"""Spectral is never worse than private popularity at the same epsilon, on three kinds of data.

Real noise; by default 20 runs a cell (``SEEDS=n`` in the environment for fewer). The sparse world
is evaluated on a fixed sample of 2,000 users. Where the public rule makes Spectral the very same
release as popularity, there is nothing to tell apart, and the cell says so instead of comparing
two samples of one distribution.
"""

import os

import numpy as np
from common import finish, measure, real_task, table

from privet.models.cohort import Cohort
from privet.models.model import Model
from privet.models.popularity import Popularity
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.data.splits import keep_events
from privet.simulations.data.synthetic import SyntheticConfig, synthesize
from privet.simulations.evaluation.intervals import over_seeds
from privet.simulations.federation import Target, plan_for
from privet.simulations.preparation import Task, prepare

EPSILONS = (0.1, 0.3, 1.0, 3.0, 10.0)
SEEDS = int(os.environ.get("SEEDS", "20"))
METRICS = ("recall@20", "ndcg@20")


def sparse_world() -> Task:
    """30,000 users and 40,000 items, some 20 items a user, tested on 2,000 of the users."""
    world = synthesize(SyntheticConfig(users=30_000, items=40_000), seed=7)
    task = prepare(world.dataset, seed=0)
    tested = np.random.default_rng(0).permutation(len(task.test))[:2000]
    kept = np.isin(task.test.rows, tested)
    test: Cohort = keep_events(task.test, kept)
    return Task(
        name="sparse world",
        catalogue=task.catalogue,
        train=task.train,
        test=test,
        negatives=None,
        split=task.split,
    )


def cell(model: Model, task: Task, epsilon: float, trust: Trust) -> list[float]:
    """Both metrics of one run."""
    _, evaluation = measure(model, task, epsilon, trust, delta=delta(task))
    return [evaluation.metrics[m].mean for m in METRICS]


def same_release(task: Task, epsilon: float, trust: Trust) -> bool:
    """Whether Spectral asks for exactly the release that popularity asks for."""
    target = Target(epsilon=epsilon, delta=delta(task), trust=trust)
    return plan_for(Spectral(), task, target).steps == plan_for(Popularity(), task, target).steps


def delta(task: Task) -> float:
    """The usual 1e-5, or less for many users."""
    return min(1e-5, 0.1 / len(task.train))


def main() -> None:
    """Compare the two models in every cell."""
    tasks = {
        "ml-100k": real_task("ml-100k"),
        "ml-1m": real_task("ml-1m", "full_ranking.npz"),
        "sparse": sparse_world(),
    }
    trust = Trust.SECURE_AGGREGATION
    figures: dict[str, object] = {"seeds": SEEDS}
    passed = True
    for name, task in tasks.items():
        rows = []
        for epsilon in EPSILONS:
            if same_release(task, epsilon, trust):
                rows.append([name, epsilon, "both", "", "", "", "same release"])
                figures[f"{name}/{epsilon:g}"] = "same release"
                continue
            ours = np.array([cell(Spectral(), task, epsilon, trust) for _ in range(SEEDS)])
            floor = np.array([cell(Popularity(), task, epsilon, trust) for _ in range(SEEDS)])
            for i, metric in enumerate(METRICS):
                # Runs are independent, so a difference of any pairing has the right spread.
                gap = over_seeds((ours - floor)[:, i].tolist())
                good = gap.high >= 0
                passed &= good
                means = [f"{ours[:, i].mean():.4f}", f"{floor[:, i].mean():.4f}"]
                interval = f"[{gap.low:+.4f}, {gap.high:+.4f}]"
                rows.append([name, epsilon, metric, *means, interval, "ok" if good else "WORSE"])
                figures[f"{name}/{epsilon:g}/{metric}"] = [gap.low, gap.mean, gap.high]
        table(["data", "epsilon", "metric", "spectral", "popularity", "difference", ""], rows)
    finish(figures, passed=passed)


if __name__ == "__main__":
    main()
