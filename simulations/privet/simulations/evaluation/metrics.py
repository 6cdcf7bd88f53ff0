"""Ranking metrics over the whole catalogue, with an interval over users for each.

Full ranking is the default because metrics on sampled negatives can order models wrongly
(Krichene and Rendle 2020, https://doi.org/10.1145/3394486.3403226); the sampled ones are here to
compare with published figures. Ties go against the model: see `ranks`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.evaluation.intervals import Estimate, mean_interval
from privet.simulations.evaluation.ranks import (
    checked_scores,
    largest,
    ranks,
    sampled_ranks,
    surely_in_top,
)

SAMPLED_K = 10
"""List length of the sampled metrics: the one that published figures use."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Metrics of one model on one test set.

    Attributes:
        metrics: By name, such as ``recall@20``. ``coverage@k`` is a count over all evaluated
            users and no mean, so its interval is NaN.
        users: Number of users with a test item.
        per_user: The values behind each mean, shape ``(users,)``, in the order of the test's rows;
            same users for every model that is tested on the same data, so they can be paired.
    """

    metrics: Mapping[str, Estimate]
    users: int
    per_user: Mapping[str, NDArray[np.float64]]

    def to_dict(self) -> dict[str, object]:
        """For JSON; without the values of single users, which are no business of a report."""
        return {
            "users": self.users,
            "metrics": {name: estimate.to_dict() for name, estimate in self.metrics.items()},
        }


def evaluate(
    score: Callable[[Cohort], NDArray[np.float64]],
    history: Cohort,
    test: Cohort,
    *,
    ks: Sequence[int] = (10, 20),
    negatives: NDArray[np.int32] | None = None,
    block: int = 512,
) -> Evaluation:
    """Rank the whole catalogue less each user's history, and compare with the held-out items.

    Means over the users who have a held-out item, for each k: ``recall@k`` (hits over all held-out
    items, so at most k over their number), ``ndcg@k`` (binary gains, ideal cut at k), ``hr@k`` (any
    hit), ``mrr@k`` (1 over the first hit's rank), and ``coverage@k``, the share of the catalogue
    that is in some evaluated user's top k however ties are broken. With ``negatives`` also
    ``sampled_hr@10`` and ``sampled_ndcg@10``.

    A constant scorer gets 0, unless a user has fewer than k candidates besides the held-out items.

    Args:
        score: The model: a block of histories to scores, shape ``(b, n_items)``. Minus infinity
            means "never recommend". It sees histories only, never ``test``.
        history: What the model may know of each user; excluded from the ranking.
        test: The held-out items of the same users, row by row.
        ks: Lengths of the recommendation list, each at least 1.
        negatives: Shape ``(users, m)``, item indices, padded with -1; then every user may have
            one held-out item at most. Never sample them with knowledge of the held-out items.
        block: Rows scored at a time; memory is about five ``(block, n_items)`` float64 arrays.

    Raises:
        InputError: Cohorts that do not correspond or overlap, no held-out items, or scores that
            are NaN, plus infinity or of another shape.
    """
    _check(history, test, ks, negatives, block)
    reached = {k: np.zeros(test.n_items, bool) for k in ks}
    values: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(test), block):
        stop = min(start + block, len(test))
        truth, seen = test.slice(start, stop), history.slice(start, stop)
        if not len(truth.items):
            continue
        candidates = checked_scores(score(seen), seen, start)
        known = seen.dense() > 0
        _refuse_overlap(known, truth)
        candidates[known] = -np.inf
        found = _ranking(candidates, truth, ks)
        _cover(candidates[truth.sizes > 0], reached)
        if negatives is not None:
            found |= _sampled(candidates, known, truth, negatives[start:stop])
        for name, column in found.items():
            values.setdefault(name, []).append(column)
    return _summary(values, reached)


def _ranking(
    candidates: NDArray[np.float64], truth: Cohort, ks: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    """Metrics of each user with a held-out item, by name."""
    place, rows = ranks(candidates, truth, max(ks)), truth.rows
    tested = truth.sizes > 0
    sizes = truth.sizes[tested]
    # Rows without held-out items have no entries, so the other rows' starts delimit the rest.
    first = np.minimum.reduceat(place, truth.indptr[:-1][tested])
    gains = _gain(place)
    out = {}
    for k in ks:
        hit = place <= k
        ideal = np.cumsum(_gain(np.arange(1, k + 1)))
        hits, gained = (
            np.bincount(rows, weights=weight, minlength=len(truth))[tested]
            for weight in (hit, hit * gains)
        )
        out[f"recall@{k}"] = hits / sizes
        # Sums in another order may end an ulp above their ideal.
        out[f"ndcg@{k}"] = np.minimum(gained / ideal[np.minimum(sizes, k) - 1], 1.0)
        out[f"hr@{k}"] = (first <= k).astype(np.float64)
        out[f"mrr@{k}"] = np.where(first <= k, 1 / first, 0.0)
    return out


def _sampled(
    candidates: NDArray[np.float64],
    known: NDArray[np.bool_],
    truth: Cohort,
    negatives: NDArray[np.int32],
) -> dict[str, NDArray[np.float64]]:
    """Sampled metrics of each user with a held-out item, by name."""
    rows = truth.rows  # one held-out item a user: these are the rows that have one
    place = sampled_ranks(candidates[rows], known[rows], truth.items, negatives[rows], SAMPLED_K)
    hit = place <= SAMPLED_K
    return {
        f"sampled_hr@{SAMPLED_K}": hit.astype(np.float64),
        f"sampled_ndcg@{SAMPLED_K}": hit * _gain(place),
    }


def _gain(place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Discounted gain of a hit at a rank."""
    return np.asarray(1 / np.log2(1.0 + place))


def _cover(candidates: NDArray[np.float64], reached: dict[int, NDArray[np.bool_]]) -> None:
    """Add the items in these users' lists to those reached."""
    best = largest(candidates, max(reached) + 1)
    for k, items in reached.items():
        items |= surely_in_top(candidates, best, k)


def _summary(
    values: Mapping[str, list[NDArray[np.float64]]], reached: Mapping[int, NDArray[np.bool_]]
) -> Evaluation:
    """Means and intervals over users."""
    per_user = {name: np.concatenate(parts) for name, parts in values.items()}
    users = len(next(iter(per_user.values())))
    metrics = {name: mean_interval(column, bounds=(0, 1)) for name, column in per_user.items()}
    for k, items in reached.items():
        metrics[f"coverage@{k}"] = Estimate(
            mean=float(items.mean()), low=math.nan, high=math.nan, users=users
        )
    return Evaluation(metrics=metrics, users=users, per_user=per_user)


def _refuse_overlap(known: NDArray[np.bool_], truth: Cohort) -> None:
    """A held-out item that the model was shown is a leak, or can never be recommended."""
    shared = int(known[truth.rows, truth.items].sum())
    if shared:
        raise InputError(
            f"{shared} held-out items are in their own user's history as well. "
            "Split by distinct items, or drop them from one of the two."
        )


def _check(
    history: Cohort,
    test: Cohort,
    ks: Sequence[int],
    negatives: NDArray[np.int32] | None,
    block: int,
) -> None:
    """Refuse inputs that do not belong together."""
    if history.n_items != test.n_items or not np.array_equal(history.devices, test.devices):
        raise InputError(
            "History and test must hold the same devices in the same order over the same items: "
            f"found {len(history)} and {len(test)} rows, {history.n_items} and {test.n_items} items."
        )
    if not len(test.items):
        raise InputError("Nothing to evaluate: no user has a held-out item.")
    if not ks or min(ks) < 1 or block < 1:
        raise InputError(f"Expected every k in ks={tuple(ks)} and block={block} >= 1.")
    if negatives is None:
        return
    if negatives.ndim != 2 or len(negatives) != len(test) or not negatives.size:
        raise InputError(
            f"Expected negatives of shape ({len(test)}, m), found {tuple(negatives.shape)}."
        )
    if not -1 <= negatives.min() <= negatives.max() < test.n_items:
        raise InputError(f"Expected negatives to be -1 or item indices below {test.n_items}.")
    if test.sizes.max() > 1:
        raise InputError("Sampled negatives need one held-out item a user at most, found more.")
