"""Trending with correlated noise, with independent noise, and popularity, at equal epsilon.

Two streams, both split by time: MovieLens 100K, and a synthetic one of 8,000 users whose taste
changes once, after 60 % of the period. MovieLens 1M is not among them: its copy in
``PRIVET_DATA`` has no times. Real noise; means over ``SEEDS`` runs (3 by default).

Before that, the error of prefix sums: of releases of nothing through the whole coordinator, and by
theory, for independent and for banded noise at equal mu.
"""

import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import finish, measure, real_task, table
from numpy.typing import NDArray

from privet.client.device import egress_policy
from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.models.model import Model, Release, SharedState
from privet.models.plan import PublicFacts, Step
from privet.models.planning import make_plan
from privet.models.popularity import Popularity
from privet.models.trending import Trending
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.accounting.matrix import normalised_rmse, strategy_coefficients
from privet.privacy.minimization.gate import Gate
from privet.privacy.randomness import Randomness
from privet.server.coordinator import Coordinator
from privet.server.storage import RunStore
from privet.simulations.data.dataset import Dataset
from privet.simulations.fleet import InProcessFleet
from privet.simulations.preparation import SplitKind, Task, prepare

EPSILONS = (1.0, 2.0, 4.0, 8.0, math.inf)
SEEDS = int(os.environ.get("SEEDS", "3"))
METRICS = ("recall@20", "ndcg@20")
DELTA = 1e-5
TREND = Trending()
MODELS: dict[str, Model] = {
    "trending, banded noise": TREND,
    "trending, independent": replace(TREND, bands=1),
    "trending, half life 5": replace(TREND, half_life=5.0),
    "popularity": Popularity(),
}


def changing_stream(users: int = 8_000, items: int = 500, events: int = 12) -> Task:
    """Every user has some events at any time; after 60 % of the period other items are popular."""
    rng = np.random.default_rng(5)
    when = rng.integers(1, 100 * 86_400, (users, events))
    weight = 1 / np.arange(1, items // 2 + 1)
    rank = rng.choice(items // 2, size=(users, events), p=weight / weight.sum())
    later = when > 60 * 86_400
    cohort = Cohort.from_pairs(
        np.repeat(np.arange(users), events),
        (2 * rank + later).ravel(),
        n_users=users,
        n_items=items,
        times=when.ravel(),
    )
    names = tuple(f"item {i}" for i in range(items))
    dataset = Dataset(
        name="changing stream",
        catalogue=Catalogue(item_ids=names),
        user_ids=tuple(f"user {u}" for u in range(users)),
        cohort=cohort,
        rows_read=users * events,
    )
    return prepare(dataset, seed=0, split=SplitKind.TIME)


def released_noise(model: Trending) -> tuple[NDArray[np.float64], float]:
    """Releases of empty histories, shape (rounds, items), and mu at which they were planned."""
    totals: list[NDArray[np.float64]] = []

    class Keeping(Trending):
        def update(
            self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
        ) -> SharedState:
            totals.append(release.total)
            return super().update(step, shared, release, facts)

    devices, items = 200, 2_000
    facts = PublicFacts(devices=devices, items=items, epsilon=2.0, delta=DELTA, trust=Trust.CENTRAL)
    kept = Keeping(**vars(model))
    plan = make_plan(kept, facts, catalogue_hash="0" * 64)
    nobody = np.zeros(0, np.int64)
    cohort = Cohort.from_pairs(nobody, nobody, n_users=devices, n_items=items)
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        store = RunStore(Path(folder) / "run", create=True)
        randomness = Randomness.from_key(store.keep_noise_key())
        fleet = InProcessFleet(kept, cohort, randomness=randomness, gate=Gate(egress_policy(plan)))
        Coordinator(
            model=kept,
            plan=plan,
            fleet=fleet,
            store=store,
            randomness=randomness,
            repeatable=True,
        ).run()
        store.close()
    return np.array(totals), facts.mu


def prefix_errors() -> tuple[list[list[object]], dict[str, float]]:
    """Root mean square error of prefix sums, in units of one user at mu 1: found and by theory."""
    rows: list[list[object]] = []
    figures: dict[str, float] = {}
    for name, bands in (("independent", 1), ("banded", TREND.bands)):
        noise, mu = released_noise(replace(TREND, bands=bands))
        found = float(np.sqrt((np.cumsum(noise, axis=0) ** 2).mean())) * mu
        theory, _ = normalised_rmse(
            strategy_coefficients(bands),
            rounds=TREND.rounds,
            separation=TREND.separation,
            participations=TREND.rounds // TREND.separation,
        )
        rows.append([name, bands, f"{found:.3f}", f"{theory:.3f}", f"{found / theory - 1:+.2%}"])
        figures |= {f"rmse/{name}/found": found, f"rmse/{name}/theory": theory}
    for kind in ("found", "theory"):
        figures[f"rmse/ratio/{kind}"] = (
            figures[f"rmse/independent/{kind}"] / figures[f"rmse/banded/{kind}"]
        )
    return rows, figures


def quality(task: Task, figures: dict[str, float]) -> list[list[object]]:
    """Means over seeds of both metrics, a row for each epsilon and model."""
    rows: list[list[object]] = []
    delta = min(DELTA, 0.1 / len(task.train))
    for epsilon in EPSILONS:
        for name, model in MODELS.items():
            runs = [
                [
                    measure(model, task, epsilon, Trust.CENTRAL, delta=delta)[1].metrics[m].mean
                    for m in METRICS
                ]
                for _ in range(1 if math.isinf(epsilon) else SEEDS)
            ]
            mean, spread = np.mean(runs, axis=0), np.ptp(runs, axis=0)
            shown = [f"{a:.4f} (range {b:.4f})" for a, b in zip(mean, spread, strict=True)]
            rows.append([task.name, f"{epsilon:g}", name, *shown])
            for metric, value in zip(METRICS, mean, strict=True):
                figures[f"{task.name}/{epsilon:g}/{name}/{metric}"] = round(float(value), 5)
    return rows


def main() -> None:
    """Print errors, then quality; passes if the noise is the planned and correlation helps."""
    rows, figures = prefix_errors()
    table(["noise", "bands", "prefix RMSE x mu", "theory", "difference"], rows)
    print(
        f"independent over banded: found {figures['rmse/ratio/found']:.3f}, "
        f"theory {figures['rmse/ratio/theory']:.3f}"
    )
    large = {
        bands: normalised_rmse(
            strategy_coefficients(bands), rounds=1000, separation=100, participations=10
        )[0]
        for bands in (1, 100)
    }
    print(f"1,000 rounds, separation 100, 10 times: {large[1]:.1f} becomes {large[100]:.1f}\n")
    ml = real_task("ml-100k", split=SplitKind.TIME)
    for task in (ml, changing_stream()):
        table(["data", "epsilon", "model", *METRICS], quality(task, figures))
        print()
    off = abs(figures["rmse/ratio/found"] / figures["rmse/ratio/theory"] - 1)
    finish(figures, passed=off < 0.02 and figures["rmse/ratio/theory"] > 1)


if __name__ == "__main__":
    main()
