"""Ranks of held-out items under the worst order that the scores allow.

The tie rule, once and for all: candidates are ordered by score, and among equal scores every item
that is not held out goes before every one that is. So nobody gains by giving equal scores, and the
items' order in the catalogue doesn't matter. Held-out items that tie with each other take
consecutive places (were they to share one, an nDCG above 1 would be possible). A score of minus
infinity means "never recommend": such an item holds no place and gets none.
"""

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError

NEVER = np.iinfo(np.int64).max
"""Rank of an item that is never recommended."""


def checked_scores(scores: NDArray[np.float64], history: Cohort, start: int) -> NDArray[np.float64]:
    """A copy of a model's scores, refused if they cannot be ranked.

    Args:
        scores: What the model gave for ``history``; expected shape ``(len(history), n_items)``.
        history: The block that was scored.
        start: Row of the block's first user, for the message.

    Raises:
        InputError: Another shape, NaN, or plus infinity. A diverged model must not look perfect.
    """
    values = np.array(scores, np.float64)
    expected = (len(history), history.n_items)
    if values.shape != expected:
        raise InputError(f"Expected scores of shape {expected}, found {values.shape}.")
    bad = ~(values < np.inf)  # true for NaN as well
    if bad.any():
        nans = int(np.isnan(values).sum())
        # The row but not the item: which item is wrong can depend on the user's history.
        raise InputError(
            f"The model's scores for rows {start} to {start + len(history) - 1} hold {nans} NaN "
            f"and {int(bad.sum()) - nans} infinite values, first in row "
            f"{start + int(bad.any(axis=1).argmax())}. The model has probably diverged: "
            "lower its learning rate or check its inputs. Only -inf (never recommend) is allowed."
        )
    return values


def largest(scores: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The ``count`` largest of each row, descending, shape ``(b, count)``; -inf where there are fewer."""
    n = scores.shape[1]
    kept = min(count, n)
    top = np.partition(scores, n - kept, axis=1)[:, n - kept :] if kept < n else scores
    out = np.full((len(scores), count), -np.inf)
    out[:, :kept] = np.sort(top, axis=1)[:, ::-1]
    return out


def ranks(candidates: NDArray[np.float64], truth: Cohort, limit: int) -> NDArray[np.int64]:
    """Rank of each held-out item, from 1; exact up to ``limit``, some larger number beyond.

    Args:
        candidates: Scores, -inf for the items that are not to be ranked, shape ``(b, n_items)``.
        truth: The held-out items of the same users.
        limit: The largest rank that matters.

    Returns:
        Shape ``(nnz of truth,)``; `NEVER` where the score is -inf.
    """
    rows = truth.rows
    mine = candidates[rows, truth.items]
    others = candidates.copy()
    others[rows, truth.items] = -np.inf
    # All others would have to be sorted for exact ranks; the best `limit` say who is within it.
    before = (largest(others, limit)[rows] >= mine[:, None]).sum(axis=1)
    place = np.empty(len(mine), np.int64)
    place[np.lexsort((-mine, rows))] = np.arange(1, len(mine) + 1) - truth.indptr[rows]
    return np.where(mine > -np.inf, before + place, NEVER)


def surely_in_top(
    candidates: NDArray[np.float64], best: NDArray[np.float64], k: int
) -> NDArray[np.bool_]:
    """Which items are in some row's top k however ties are broken, shape ``(n_items,)``.

    Args:
        candidates: As for `ranks`.
        best: The ``k + 1`` largest of each row at least, descending.
        k: Length of the list.
    """
    return np.asarray((candidates > best[:, k, None]).any(axis=0))


def sampled_ranks(
    candidates: NDArray[np.float64],
    seen: NDArray[np.bool_],
    positive: NDArray[np.int32],
    negatives: NDArray[np.int32],
    limit: int,
) -> NDArray[np.int64]:
    """Rank of one held-out item a user among its sampled negatives, ties against it.

    Dropped: padding (-1), the positive itself, items of the user's history. A negative that is
    given twice counts twice.

    Args:
        candidates: As for `ranks`, shape ``(b, n_items)``.
        seen: The users' histories, shape ``(b, n_items)``.
        positive: Shape ``(b,)``.
        negatives: Shape ``(b, m)``, -1 or item indices.
        limit: The largest rank that matters.

    Returns:
        Shape ``(b,)``; `NEVER` where the positive's score is -inf.

    Raises:
        InputError: Some user keeps fewer than ``limit`` negatives: any score would be a hit.
    """
    rows = np.arange(len(positive))
    mine = candidates[rows, positive]
    kept = (negatives >= 0) & (negatives != positive[:, None])
    kept &= ~seen[rows[:, None], negatives]
    if len(kept) and kept.sum(axis=1).min() < limit:
        raise InputError(
            f"Expected at least {limit} negatives for each user besides the positive and the "
            f"history, found {kept.sum(axis=1).min()}: any score would count as a hit at {limit}."
        )
    before = (kept & (candidates[rows[:, None], negatives] >= mine[:, None])).sum(axis=1)
    return np.where(mine > -np.inf, before + 1, NEVER)
