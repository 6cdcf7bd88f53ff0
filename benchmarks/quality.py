"""Spectral on MovieLens 1M: quality at each epsilon against its bars, and what a run costs.

Real noise, three runs a cell. Prints half, once and twice the head that the public rule gives.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import finish, measure, real_task, table

from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.simulations.data.load import data_root
from privet.simulations.preparation import Task

EPSILONS = (1.0, 2.0, 5.0, 10.0)
CENTRAL_RECALL = {1.0: 0.170, 2.0: 0.195, 5.0: 0.220, 10.0: 0.235}
CENTRAL_NDCG = {1.0: 0.280, 2.0: 0.315, 5.0: 0.345, 10.0: 0.365}
LARGEST_LOSS = 0.006
UPLOAD_AT_1 = 600_000
SEEDS = 3


def mean_quality(
    task: Task, epsilon: float, trust: Trust, scale: float = 1.0
) -> tuple[float, float, int, int]:
    """Mean Recall@20 and NDCG@20 over runs, the head's size and the upload in bytes."""
    model = Spectral(head_scale=scale)
    runs = 1 if math.isinf(epsilon) else SEEDS
    found = []
    for _ in range(runs):
        federated, evaluation = measure(model, task, epsilon, trust)
        found.append([evaluation.metrics[m].mean for m in ("recall@20", "ndcg@20")])
    recall, ndcg = np.mean(found, axis=0)
    head = model.head_size(federated.plan.facts)
    return float(recall), float(ndcg), head, federated.plan.upload_bytes


def main() -> None:
    """Measure every cell and compare with the bars."""
    task = real_task("ml-1m", "full_ranking.npz")
    figures: dict[str, object] = {}
    rows, passed = [], True
    for epsilon in EPSILONS:
        central = mean_quality(task, epsilon, Trust.CENTRAL)
        secure = mean_quality(task, epsilon, Trust.SECURE_AGGREGATION)
        good = (
            central[0] >= CENTRAL_RECALL[epsilon]
            and central[1] >= CENTRAL_NDCG[epsilon]
            and central[0] - secure[0] <= LARGEST_LOSS
            and (epsilon > 1 or secure[3] <= UPLOAD_AT_1)
        )
        passed &= good
        for trust, cell in (("central", central), ("secure-aggregation", secure)):
            rows.append([epsilon, trust, "1x", cell[2], *_shown(cell), "ok" if good else "MISSED"])
            figures[f"{trust}/{epsilon:g}"] = cell
        for scale in (0.5, 2.0):
            cell = mean_quality(task, epsilon, Trust.CENTRAL, scale)
            rows.append([epsilon, "central", f"{scale:g}x", cell[2], *_shown(cell), ""])
            figures[f"central/{epsilon:g}/{scale:g}x"] = cell
    none = mean_quality(task, math.inf, Trust.CENTRAL)
    good = none[0] >= 0.27 and none[1] >= 0.41
    rows.append(["inf", "-", "all", none[2], *_shown(none), "ok" if good else "MISSED"])
    table(["epsilon", "trust", "head", "size", "Recall@20", "NDCG@20", "MB up", "bars"], rows)
    cost = whole_run()
    fast = float(cost["seconds"]) < 60 and float(cost["peak_rss_mb"]) < 1500
    print(f"a whole run at epsilon 2: {cost['seconds']} s, {cost['peak_rss_mb']} MB at most")
    figures |= {"none": none, "cost": cost}
    finish(figures, passed=passed and good and fast)


def _shown(cell: tuple[float, float, int, int]) -> list[str]:
    return [f"{cell[0]:.4f}", f"{cell[1]:.4f}", f"{cell[3] / 1e6:.3f}"]


def whole_run() -> dict[str, float]:
    """Seconds and memory of the command itself, evaluation and references included."""
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        command = [sys.executable, "-m", "privet", "simulate"]
        command += [str(data_root() / "ml-1m" / "full_ranking.npz"), "--epsilon", "2"]
        command += ["--delta", "1e-5", "--json", "--out", str(Path(folder) / "run")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    return {"seconds": result["seconds"], "peak_rss_mb": result["peak_rss_mb"]}


if __name__ == "__main__":
    main()
