"""Who pays for privacy on MovieLens 1M: quality by group of users at each epsilon, and what each loses.

Real noise under secure aggregation, one run an epsilon; the intervals are over users. Prints for each
attribute the two groups whose losses differ most, and writes the report with its plot of losses.
"""

import math
import tempfile
from dataclasses import asdict
from pathlib import Path

from common import finish, real_task, table

from privet.models.hybrid import Hybrid
from privet.models.model import Model
from privet.models.spectral import Spectral
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.report.sections import GroupRow
from privet.simulations.comparison import evaluate_federated
from privet.simulations.evaluation.groups import (
    PerUser,
    group_rows,
    groupings,
    widest_gap,
)
from privet.simulations.federation import Target, federate, plan_for
from privet.simulations.preparation import Task

EPSILONS = (0.5, 1.0, 2.0, 5.0, 10.0)
METRIC = "ndcg@20"


def per_user(model: Model, task: Task, epsilon: float) -> PerUser:
    """Each user's metrics under one run."""
    target = Target(epsilon=epsilon, delta=1e-5, trust=Trust.SECURE_AGGREGATION)
    with tempfile.TemporaryDirectory(prefix="privet-bench-") as folder:
        federated = federate(model, task, plan_for(model, task, target), Path(folder) / "run")
    return evaluate_federated(model, task, federated).per_user


def shown(row: GroupRow) -> list[str]:
    """A group's figures for people."""
    loss = (
        "" if row.loss is None else f"{row.loss.mean:.1%} [{row.loss.low:.1%}, {row.loss.high:.1%}]"
    )
    value = f"{row.value.mean:.4f} [{row.value.low:.4f}, {row.value.high:.4f}]"
    return [f"{row.epsilon:g}", row.attribute, row.group, str(row.users), value, loss]


def measure(model: Model, task: Task) -> tuple[list[GroupRow], list[list[str]]]:
    """Every group at every epsilon, and the widest gap of each attribute."""
    without = per_user(model, task, math.inf)
    rows = list(group_rows(task, without, epsilon=math.inf))
    gaps = []
    for epsilon in EPSILONS:
        found = per_user(model, task, epsilon)
        rows += group_rows(task, found, epsilon=epsilon, without=without)
        for attribute in groupings(task):
            gap = widest_gap(task, found, without, attribute, METRIC)
            if gap is not None:
                most, least, size = gap
                between = f"{size.mean:.1%} [{size.low:.1%}, {size.high:.1%}]"
                gaps.append([f"{epsilon:g}", attribute, most, least, between])
    return [row for row in rows if row.metric == METRIC], gaps


def main() -> None:
    """Measure, print and draw."""
    task = real_task("ml-1m", "full_ranking.npz")
    figures, passed = {}, True
    for model in (Spectral(), Hybrid()):
        print(f"{model.name}, {METRIC}, loss against the same model without privacy")
        rows, gaps = measure(model, task)
        table(["epsilon", "by", "group", "users", "mean", "loss"], [shown(row) for row in rows])
        table(["epsilon", "by", "loses most", "loses least", "difference"], gaps)
        print()
        figures[model.name] = [asdict(row) for row in rows]
        expected = {(e, a) for e in EPSILONS for a in groupings(task)}
        there = {(row.epsilon, row.attribute) for row in rows if row.loss is not None}
        passed &= expected == there
    finish({"groups": {name: len(rows) for name, rows in figures.items()}}, passed=passed)


if __name__ == "__main__":
    main()
