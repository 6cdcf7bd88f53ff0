"""The rows that a federated model is compared with, on the same data and the same metrics."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from privet.models.model import Model
from privet.privacy.errors import InputError
from privet.simulations.evaluation.metrics import Evaluation, evaluate
from privet.simulations.evaluation.references import (
    MAX_EASE_ITEMS,
    CentralisedPopularity,
    Ease,
    LocalOnly,
    Reference,
)
from privet.simulations.federation import Federated, Target, federate, plan_for
from privet.simulations.preparation import Task

RowKind = Literal["reference", "private", "no privacy"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One recommender's quality.

    Attributes:
        name: For people.
        kind: Whether it is a reference, private, or federated without privacy.
        epsilon: Against the best informed adversary that it has a guarantee against; None for none.
        evaluation: Its metrics.
    """

    name: str
    kind: RowKind
    epsilon: float | None
    evaluation: Evaluation


def evaluate_federated(model: Model, task: Task, federated: Federated) -> Evaluation:
    """Score every device's candidates on the device, as deployed, and compare with the test."""
    return evaluate(
        lambda cohort: model.score(
            federated.shared, model.personalise(federated.shared, {}, cohort), cohort
        ),
        task.train,
        task.test,
        negatives=task.negatives,
    )


def reference_rows(model: Model, task: Task, target: Target) -> Iterator[Row]:
    """The reference rows, one at a time: popularity, local only, no privacy, centralised.

    The federation without privacy is run again from the start, in a folder that is removed.
    """
    yield _reference("popularity", CentralisedPopularity(), task)
    yield _reference("local only", LocalOnly(), task)
    if math.isfinite(target.epsilon):
        row = _without_privacy(model, task, target)
        if row is not None:
            yield row
    if len(task.catalogue) <= MAX_EASE_ITEMS:
        yield _reference("centralised (EASE)", Ease(), task)


def _reference(name: str, reference: Reference, task: Task) -> Row:
    scorer = reference.fit(task.train, task.catalogue)
    evaluation = evaluate(scorer.score, task.train, task.test, negatives=task.negatives)
    return Row(name=name, kind="reference", epsilon=None, evaluation=evaluation)


def _without_privacy(model: Model, task: Task, target: Target) -> Row | None:
    try:
        plan = plan_for(model, task, replace(target, epsilon=math.inf))
    except InputError:
        return None  # more items than the model's map without noise can hold
    with tempfile.TemporaryDirectory(prefix="privet-") as folder:
        federated = federate(model, task, plan, Path(folder) / "run")
    return Row(
        name=f"federated {model.name}, no privacy",
        kind="no privacy",
        epsilon=None,
        evaluation=evaluate_federated(model, task, federated),
    )
