"""Attack: which items did this device touch?

From its raw upload, from the same with its share of the noise (what is left to see for whoever broke the
masks), from the masked upload, from a round's sum by someone who knows everybody else's history, and from
the model by someone who knows nothing else. The idea is that of attacks on the support of updates in
federated recommenders (Chai et al. 2021, "Secure Federated Matrix Factorization", section 3.3).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.models.model import Model, SharedState
from privet.models.plan import Plan
from privet.privacy.clipping import clip
from privet.privacy.randomness import Randomness
from privet.privacy.report.audit import Attack, Figure, Observable
from privet.server.coordinator import Released
from privet.simulations.audit.estimates import bounded, shown
from privet.simulations.audit.game import Played
from privet.simulations.audit.uploads import Readings, Scores, read_vectors
from privet.simulations.preparation import Task

NEEDED = 0.99
"""Of precision and recall from raw uploads: the negative control."""

_SOURCE = "after Chai et al. 2021 (IEEE Intelligent Systems), section 3.3"
_NAME = "items of a history"
_SLICE = 256


def recover_items(
    model: Model,
    task: Task,
    plan: Plan,
    played: Played,
    readings: Readings,
    *,
    rng: np.random.Generator,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Attack, ...]:
    """Attack every observable.

    Args:
        model: Of the plan.
        task: With everybody's history.
        plan: Of the run.
        played: One play of the plan over the task's own histories.
        readings: Of the targets' uploads in that play.
        rng: Pairs targets with each other for the baseline.
        progress: Called with what begins.

    Formal Guarantees:
        Of a masked upload nothing may be learnt at all, as long as ChaCha20's masks look random
        and enough neighbours are honest: a target's own upload must not tell more of its items
        than another target's does.
    """
    targets = task.train.take(readings.rows)
    truth = targets.dense() > 0
    popularity = np.bincount(task.train.items, minlength=task.train.n_items)
    guess = _hits(np.tile(popularity.astype(np.float32), (len(truth), 1)), truth)
    found = []
    for observable, scores in readings.scores.items():
        progress(f"items from the {observable}")
        if observable == "raw upload":
            found.append(_control(scores, truth))
            continue
        others = _hits(scores[_derangement(len(truth), rng)], truth)
        found.append(_attack(observable, scores, truth, guess, others))
    progress("items from the sum and from the model")
    residual = _read_sums(model, task, plan, played, readings)
    found.append(_attack("sum", residual, truth, guess))
    found.append(_attack("model", _read_model(model, played.shared, targets), truth, guess))
    return tuple(found)


def _control(scores: Scores, truth: NDArray[np.bool_]) -> Attack:
    """Before noise and masks, whatever was touched is there to be read."""
    named = scores > 0
    right = (named & truth).sum(axis=1)
    precision = right / np.maximum(named.sum(axis=1), 1)
    recall = right / np.maximum(truth.sum(axis=1), 1)
    return Attack(
        goal="items",
        name=_NAME,
        observable="raw upload",
        adversary=None,
        role="negative control",
        source=_SOURCE,
        targets=len(truth),
        figures=(
            Figure(name="precision", value=shown(precision), needed=NEEDED),
            Figure(name="recall", value=shown(recall), needed=NEEDED),
        ),
        note="What a device computes, before its noise share and its masks: nobody gets it but a "
        "server under central trust.",
    )


_NOTES: dict[Observable, str] = {
    "upload with its noise share": "What an honest-but-curious server would get if it broke the "
    "masks, or what every server gets under local trust.",
    "masked upload": "What a server gets. The second figure compares with reading another "
    "device's upload.",
    "sum": "One release after the other, by someone who knows the histories of everybody else.",
    "model": "By someone who knows nothing of the user: what is popular is popular with most.",
}


def _attack(
    observable: Observable,
    scores: Scores,
    truth: NDArray[np.bool_],
    guess: NDArray[np.float64],
    others: NDArray[np.float64] | None = None,
) -> Attack:
    hits = _hits(scores, truth)
    figures = [
        Figure(
            name="precision at the history's length",
            value=shown(hits),
            baseline=float(guess.mean()),
        )
    ]
    if others is not None and observable == "masked upload":
        figures.append(
            Figure(
                name="precision beyond that of another device's upload",
                value=bounded(hits - others, low=-1.0),
                allowed=0.0,
            )
        )
    return Attack(
        goal="items",
        name=_NAME,
        observable=observable,
        adversary="A1" if observable == "model" else "A3",
        role="attack",
        source=_SOURCE,
        targets=len(truth),
        figures=tuple(figures),
        note=_NOTES[observable],
    )


def _hits(scores: Scores, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of a target's items among as many best ones, shape ``(targets,)``."""
    order = np.argsort(-scores, axis=1, kind="stable")
    sizes = truth.sum(axis=1)
    right = np.cumsum(np.take_along_axis(truth, order, axis=1), axis=1)
    at = np.maximum(sizes - 1, 0)
    return np.asarray(right[np.arange(len(truth)), at] / np.maximum(sizes, 1), np.float64)


def _read_sums(model: Model, task: Task, plan: Plan, played: Played, readings: Readings) -> Scores:
    """Readings of what is left of every sum once everybody else's vector is taken away."""
    left = {id(r): _noise_of(model, task.train, r) for r in played.releases}
    return read_vectors(
        model,
        task.train,
        played.releases,
        readings.rows,
        lambda released, exact: exact + left[id(released)],
    )


def _noise_of(model: Model, cohort: Cohort, released: Released) -> NDArray[np.float64]:
    """A release's sum less what everybody contributes in expectation, in integers."""
    step, devices = released.round.step, released.round.devices
    total = np.sum(released.sums, axis=0)
    for rows in np.array_split(cohort.rows_of(devices), max(1, len(cohort) // _SLICE)):
        found, _ = model.contribute(
            step.step, released.round.shared, {}, cohort.take(rows), Randomness.secret()
        )
        clipped = clip(found).contribution
        weights = clipped.values * step.encoding.scale
        total -= np.bincount(clipped.indices, weights=weights, minlength=len(total))
    return np.asarray(total, np.float64)


def _read_model(model: Model, shared: SharedState, targets: Cohort) -> Scores:
    """What the model ranks for somebody of whom nothing is known."""
    nothing = np.zeros(0, np.int64)
    nobody = Cohort.from_pairs(nothing, nothing, n_users=1, n_items=targets.n_items)
    scores = model.score(shared, model.personalise(shared, {}, nobody), nobody)
    return np.tile(scores.astype(np.float32), (len(targets), 1))


def _derangement(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Another target for each: a random cycle through all."""
    order = rng.permutation(count)
    partner = np.empty(count, np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def sample_targets(cohort: Cohort, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of some devices with a history, sorted."""
    filled = np.flatnonzero(cohort.sizes > 0)
    chosen: Sequence[int] = rng.choice(filled, min(most, len(filled)), replace=False).tolist()
    return np.sort(np.asarray(chosen, np.int64))
