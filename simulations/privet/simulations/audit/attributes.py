"""Attack: gender and age from what a device sends, against guessing what most people are.

Someone who has other people's histories and attributes fits a linear classifier and asks it about whatever
of a target's items can be read out of an upload (Zhang et al. 2022, arXiv 2205.11857, section 4, with a
ridge regression in the place of their network). The targets are not among those people.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from privet.privacy.report.audit import Attack, Figure, Observable
from privet.simulations.audit.estimates import bounded, shown
from privet.simulations.audit.uploads import Readings, Scores
from privet.simulations.evaluation.groups import age_band
from privet.simulations.preparation import Task

_SOURCE = "Zhang et al. 2022 (arXiv 2205.11857), section 4, with a ridge regression"
_FEWEST = 20  # users of a class among targets, below which its recall says nothing
_NEEDED = 1.15  # of balanced accuracy from raw uploads, in terms of guessing: the control
_RIDGE = 3.0


def infer_attributes(
    task: Task, readings: Readings, *, progress: Callable[[str], None] = lambda _: None
) -> tuple[Attack, ...]:
    """Attack every reading, for each attribute that the task's users have.

    Args:
        task: With attributes ``gender`` and ``age``; those that it lacks are left out.
        readings: Of the targets' uploads.
        progress: Called with what begins.
    """
    found: list[Attack] = []
    for name in ("gender", "age"):
        if name not in task.attributes:
            continue
        progress(f"{name} from uploads")
        labels = _labels(name, task.attributes[name])
        found += _attacks(name, task, readings, labels)
    return tuple(found)


def _labels(name: str, values: Sequence[str]) -> NDArray[np.str_]:
    """A class a user, empty where unknown."""
    if name != "age":
        return np.array(values)
    return np.array([age_band(value) for value in values])


def _attacks(
    name: str, task: Task, readings: Readings, labels: NDArray[np.str_]
) -> tuple[Attack, ...]:
    """One attack a reading, or none where classes are too small to say anything."""
    rows = readings.rows
    kinds = [k for k in np.unique(labels) if k and (labels[rows] == k).sum() >= _FEWEST]
    known = np.isin(labels[rows], kinds)
    others = np.setdiff1d(np.flatnonzero(np.isin(labels, kinds)), rows)
    if len(kinds) < 2 or len(others) < _FEWEST:
        return ()
    weights = _fit(task.train.take(others).dense(), labels[others], kinds)
    truth = np.searchsorted(kinds, labels[rows][known])
    return tuple(
        _attack(name, observable, _guess(scores[known], weights), truth, kinds)
        for observable, scores in readings.scores.items()
    )


def _fit(
    histories: NDArray[np.float64], labels: NDArray[np.str_], kinds: Sequence[str]
) -> NDArray[np.float64]:
    """Ridge regression of the classes on unit histories, each class with the same weight."""
    unit = _unit(histories)
    wanted = np.array([[1.0 if label == kind else -1.0 for kind in kinds] for label in labels])
    share = np.array([(labels == label).mean() for label in labels])
    weight = np.sqrt(1 / share / len(kinds))[:, None]
    unit = np.column_stack([unit, np.ones(len(unit))]) * weight
    inner = unit @ unit.T + _RIDGE * np.eye(len(unit))
    return np.asarray(unit.T @ np.linalg.solve(inner, wanted * weight), np.float64)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray(rows / norms, np.float64)


def _guess(scores: Scores, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class that a reading looks most like; the mean reading is what says nothing."""
    unit = _unit(np.maximum(scores.astype(np.float64), 0.0))
    margins = unit @ weights[:-1] + weights[-1]
    return np.asarray(np.argmax(margins, axis=1), np.int64)


def _attack(
    name: str,
    observable: Observable,
    guess: NDArray[np.int64],
    truth: NDArray[np.int64],
    kinds: Sequence[str],
) -> Attack:
    """Balanced accuracy against guessing, accuracy against naming the majority."""
    counts = np.bincount(truth, minlength=len(kinds))
    right = guess == truth
    # Each target counts by its class, so that the mean is the mean of the classes' recalls.
    balanced = right * (len(truth) / (len(kinds) * counts[truth]))
    most, chance = float((len(truth) / (len(kinds) * counts)).max()), 1 / len(kinds)
    control = observable == "raw upload"
    interval = bounded if observable == "masked upload" else shown
    main = Figure(
        name="balanced accuracy",
        value=interval(balanced, high=most),
        baseline=chance,
        allowed=chance if observable == "masked upload" else None,
        needed=_NEEDED * chance if control else None,
    )
    plain = Figure(name="accuracy", value=shown(right), baseline=float(counts.max() / len(truth)))
    return Attack(
        goal="attribute",
        name=name,
        observable=observable,
        adversary=None if control else "A3",
        role="negative control" if control else "attack",
        source=_SOURCE,
        targets=len(truth),
        figures=(main, plain),
        note=f"{len(kinds)} classes; the second baseline is to name the most frequent one.",
    )
