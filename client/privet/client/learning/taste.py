"""What a user likes, as a vector over the words of items: solved on the device, for every item.

With x_j the vectors of the items that events speak for (y_j = 1) or against (y_j = -1) and w_j how
strongly, the taste minimises ``sum_j w_j (y_j - t x_j)^2 + ridge |t|^2``. In the dual,
``t = sum_j a_j x_j`` with ``(K + ridge diag(1 / w)) a = y`` and K the cosines among these items (Saunders
et al. 1998, "Ridge regression learning algorithm in dual variables"). So a score is a sum over the
items of the history, ``a_j`` times a cosine. Alike items share what they say instead of adding it up,
and an item that is new to everybody has a score as soon as the catalogue has its words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.models.content import ItemVectors

RIDGE = 1.0
MOST = 50
"""Items that a taste is solved from: those of the largest weight, of equal ones the latest."""
_SAMPLE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Taste:
    """A taste, as a sum over items.

    Attributes:
        items: Positions in the catalogue, sorted.
        shares: Of each of them; 1 for a single event of weight 1. Above 0 for what is liked and
            below for what is not, unless what is alike says otherwise.
        against: Of each, whether it is disliked.
    """

    items: NDArray[np.int64]
    shares: NDArray[np.float64]
    against: NDArray[np.bool_]


def solve(
    vectors: ItemVectors,
    items: NDArray[np.int64],
    strengths: NDArray[np.float64],
    latest: NDArray[np.int64],
) -> Taste:
    """The taste of a history.

    Args:
        vectors: Of the catalogue.
        items: Positions, sorted and distinct.
        strengths: Of each, in [-1, 1]; below 0 for what is disliked.
        latest: Rank of each in time.
    """
    held = np.flatnonzero(strengths)
    if len(held) > MOST:
        held = np.sort(held[np.lexsort((-latest[held], -np.abs(strengths[held])))][:MOST])
    items, strengths = items[held], strengths[held]
    if not len(items):
        return Taste(items=items, shares=np.zeros(0), against=np.zeros(0, bool))
    kernel = vectors.similarities(items).astype(np.float64)
    # Scaled by the weights' roots, so that a weight near 0 divides nothing.
    roots = np.sqrt(np.abs(strengths))
    system = roots[:, None] * kernel * roots + RIDGE * np.eye(len(items))
    shares = roots * np.linalg.solve(system, roots * np.sign(strengths))
    return Taste(items=items, shares=(1 + RIDGE) * shares, against=strengths < 0)


def unit(vectors: ItemVectors, n_items: int) -> float:
    """What one event says: the standard deviation of an item's cosines with others; 0 without words.

    Taken over items that are spread evenly over the catalogue.
    """
    sample = np.unique(np.linspace(0, n_items - 1, min(_SAMPLE, n_items)).astype(np.int64))
    cosines = vectors.similarities(sample).astype(np.float64)
    np.fill_diagonal(cosines, 0.0)
    return float(np.sqrt(cosines.var(axis=1).mean()))
