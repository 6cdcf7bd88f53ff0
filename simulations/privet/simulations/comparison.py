"""The rows that a federated model is compared with, on the same data and the same metrics."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from privet.models.model import Model
from privet.privacy.errors import InputError
from privet.simulations.evaluation.intervals import Estimate
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
_POPULARITY, _LOCAL = "popularity", "local only"
_PRIVATE, _NO_PRIVACY = "federated, private", "federated, no privacy"


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One recommender's quality.

    Attributes:
        name: For people.
        kind: Whether it is a reference, private, or federated without privacy.
        epsilon: Against the best informed adversary that it has a guarantee against; None for none.
        metrics: Means over users with their intervals, by name.
        per_user: The values behind the means; none in a row that was read back.
    """

    name: str
    kind: RowKind
    epsilon: float | None
    metrics: Mapping[str, Estimate]
    per_user: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        metrics = {name: estimate.to_dict() for name, estimate in self.metrics.items()}
        return {"name": self.name, "kind": self.kind, "epsilon": self.epsilon, "metrics": metrics}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "Row":
        """Read a row back; an end of an interval that is None is not a number."""
        metrics = {
            name: Estimate(
                mean=float(found["mean"]),
                low=math.nan if found["low"] is None else float(found["low"]),
                high=math.nan if found["high"] is None else float(found["high"]),
                users=int(found["users"]),
            )
            for name, found in body["metrics"].items()
        }
        return cls(name=body["name"], kind=body["kind"], epsilon=body["epsilon"], metrics=metrics)


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


def federated_row(model: Model, task: Task, federated: Federated) -> Row:
    """The row of the run itself, named by what its ledger says of privacy."""
    known = [g.epsilon for g in federated.guarantees if g.epsilon is not None]
    found = evaluate_federated(model, task, federated)
    seeded = federated.plan.seeded_noise and math.isfinite(federated.plan.facts.epsilon)
    return Row(
        name=_PRIVATE if known else "federated, NOT PRIVATE" if seeded else _NO_PRIVACY,
        kind="private" if known else "no privacy",
        epsilon=max(known) if known else None,
        metrics=found.metrics,
        per_user=found.per_user,
    )


def in_order(federated: Row, references: Sequence[Row]) -> tuple[Row, ...]:
    """The table: popularity and local only below, without privacy and centralised above."""
    below = [row for row in references if row.name in (_POPULARITY, _LOCAL)]
    above = [row for row in references if row.name not in (_POPULARITY, _LOCAL)]
    return (*below, federated, *above)


def reference_rows(model: Model, task: Task, target: Target) -> Iterator[Row]:
    """The reference rows, one at a time: popularity, local only, no privacy, centralised.

    The federation without privacy is run again from the start, in a folder that is removed.
    """
    yield _reference(_POPULARITY, CentralisedPopularity(), task)
    yield _reference(_LOCAL, LocalOnly(), task)
    if math.isfinite(target.epsilon):
        row = _without_privacy(model, task, target)
        if row is not None:
            yield row
    if len(task.catalogue) <= MAX_EASE_ITEMS:
        yield _reference("centralised (EASE)", Ease(), task)


def _reference(name: str, reference: Reference, task: Task) -> Row:
    scorer = reference.fit(task.train, task.catalogue)
    evaluation = evaluate(scorer.score, task.train, task.test, negatives=task.negatives)
    return Row(name=name, kind="reference", epsilon=None, metrics=evaluation.metrics)


def _without_privacy(model: Model, task: Task, target: Target) -> Row | None:
    try:
        plan = plan_for(model, task, replace(target, epsilon=math.inf, protocol=None))
    except InputError:
        return None  # more items than the model's map without noise can hold
    with tempfile.TemporaryDirectory(prefix="privet-") as folder:
        federated = federate(model, task, plan, Path(folder) / "run")
    found = evaluate_federated(model, task, federated)
    return Row(
        name=_NO_PRIVACY,
        kind="no privacy",
        epsilon=None,
        metrics=found.metrics,
        per_user=found.per_user,
    )
