"""Spectral is never worse than private popularity at the same epsilon, on three kinds of data.

Real noise; by default 20 runs a cell (``SEEDS=n`` in the environment for fewer). Worlds of more
than 6,500 users are evaluated on a fixed sample of 2,000.
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
    _, evaluation = measure(model, task, epsilon, trust, delta=min(1e-5, 0.1 / len(task.train)))
    return [evaluation.metrics[m].mean for m in METRICS]


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
