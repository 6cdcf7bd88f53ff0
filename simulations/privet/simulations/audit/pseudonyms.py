"""Attack: whose upload is this? Finding a person among uploads by a few items that one knows of them.

The scoreboard of Narayanan and Shmatikov 2008 ("Robust De-anonymization of Large Sparse Datasets", section
5) on what can be read out of uploads: each known item counts by how rare it is, the best one is named.
Some of what is known is wrong. Names have been taken off the uploads, which is no protection, and the
negative control shows it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.histories import Histories
from privet.privacy.anonymization.unicity import unicity
from privet.privacy.report.audit import Attack, Figure, Observable
from privet.privacy.report.sections import Interval
from privet.simulations.audit.estimates import bounded, shown
from privet.simulations.audit.uploads import Readings, Scores
from privet.simulations.preparation import Task

KNOWN, WRONG = 8, 2
NEEDED = 0.8
"""Of uploads that are found again before noise and masks: the negative control."""

_UNICITY = (2, 4, 8)
_SOURCE = "Narayanan and Shmatikov 2008, section 5"


def find_uploads(
    task: Task,
    readings: Readings,
    *,
    rng: np.random.Generator,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Attack, ...]:
    """Attack every reading: among the targets' uploads, which is this person's?

    Args:
        task: With everybody's history.
        readings: Of the targets' uploads; targets with fewer than 8 items are not looked for.
        rng: Chooses what is known.
        progress: Called with what begins.
    """
    progress("whose upload it is")
    cohort = task.train
    wanted = np.flatnonzero(cohort.sizes[readings.rows] >= KNOWN)
    if not len(wanted):
        return ()
    support = np.bincount(cohort.items, minlength=cohort.n_items)
    known = np.stack([_known(task, int(readings.rows[w]), rng) for w in wanted])
    weights = 1 / np.log(np.maximum(support[known], 2))
    return tuple(
        _attack(observable, _found(scores, known, weights, wanted), len(readings.rows))
        for observable, scores in readings.scores.items()
    )


def disclosure(task: Task, *, rng: np.random.Generator, most: int = 2000) -> dict[str, Interval]:
    """Risks of histories as they lie on devices: how many users a few items single out."""
    cohort, found = task.train, {}
    histories = Histories(indptr=cohort.indptr, items=cohort.items.astype(np.int64))
    for items in _UNICITY:
        if int(cohort.sizes.max(initial=0)) >= items:
            share = unicity(histories, items, rng=rng, max_users=most).unique
            name = f"users whom {items} items of their history single out"
            found[name] = Interval(mean=share.share, low=share.low, high=share.high)
    return found


def _known(task: Task, row: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Items of a user, some of them replaced by others."""
    cohort = task.train
    own = cohort.items[cohort.indptr[row] : cohort.indptr[row + 1]]
    right = rng.choice(own, KNOWN - WRONG, replace=False)
    wrong = rng.choice(cohort.n_items, WRONG, replace=False)
    return np.concatenate([right, wrong]).astype(np.int64)


def _found(
    scores: Scores,
    known: NDArray[np.int64],
    weights: NDArray[np.float64],
    wanted: NDArray[np.intp],
) -> NDArray[np.float64]:
    """1 where the upload that fits best is the person's; a tie counts by the number of equals."""
    centred = scores - scores.mean(axis=0)  # what all uploads say alike says nothing
    scale = np.maximum(np.linalg.norm(scores, axis=1), 1e-12)
    right = np.zeros(len(wanted))
    for position, (items, weight) in enumerate(zip(known, weights, strict=True)):
        fits = (centred[:, items] @ weight) / scale
        best = np.flatnonzero(fits == fits.max())
        right[position] = (wanted[position] in best) / len(best)
    return right


def _attack(observable: Observable, right: NDArray[np.float64], pool: int) -> Attack:
    control, masked = observable == "raw upload", observable == "masked upload"
    figure = Figure(
        name="found among all targets' uploads",
        value=(bounded if masked else shown)(right),
        baseline=1 / pool,
        allowed=1 / pool if masked else None,
        needed=NEEDED if control else None,
    )
    return Attack(
        goal="re-identification",
        name="by known items",
        observable=observable,
        adversary=None if control else "A3",
        role="negative control" if control else "attack",
        source=_SOURCE,
        targets=len(right),
        figures=(figure,),
        note=f"{KNOWN} items are known of a person, {WRONG} of them wrong; no names on "
        f"{pool} uploads. A server knows who sends; this is what taking names off would be worth.",
    )
