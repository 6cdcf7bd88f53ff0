"""Draws without replacement from product-form choice probabilities, without the dense matrix.

Given a user's taste for cells (groups of items), an item is drawn by its cell, then by its
popularity within the cell. Drawing on until enough distinct items are found and ignoring
repetitions is exactly successive sampling without replacement.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_ROUNDS = 6


def draw_histories(
    *,
    lengths: Ints,
    cell_tastes: Floats,
    cell_of: Ints,
    popularity: Floats,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Draw distinct items for every user.

    Args:
        lengths: Items a user, shape ``(users,)``, each at most the number of items.
        cell_tastes: Above 0, shape ``(users, cells)``.
        cell_of: Cell of each item, shape ``(items,)``.
        popularity: Above 0, shape ``(items,)``.
        rng: Draws.

    Returns:
        User and item of each event, sorted by user.
    """
    n_items = len(cell_of)
    keys = np.zeros(0, np.int64)  # user * n_items + item, in the order drawn within each user
    missing = lengths
    draw = _Drawer(cell_tastes, cell_of, popularity)
    for _ in range(_ROUNDS):
        # Half as many again, since some will repeat.
        rows = np.repeat(np.arange(len(lengths)), missing + missing // 2 + (missing > 0))
        new = rows * n_items + draw(rows, rng)
        keys = _first_of_each(np.concatenate([keys, new]), n_items, lengths)
        missing = lengths - np.bincount(keys // n_items, minlength=len(lengths))
        if not missing.any():
            break
    # Whoever likes little and wants much would draw the same items for long.
    late = [keys]
    for user in np.flatnonzero(missing).tolist():
        shares = cell_tastes[user, cell_of] * popularity
        shares[keys[keys // n_items == user] % n_items] = 0.0
        late.append(user * n_items + _without_replacement(shares, int(missing[user]), rng))
    keys = np.sort(np.concatenate(late))
    return keys // n_items, keys % n_items


def _first_of_each(keys: Ints, n_items: int, lengths: Ints) -> Ints:
    """Each user's first distinct items, at most as many as wanted, sorted by user."""
    _, first = np.unique(keys, return_index=True)
    keys = keys[np.sort(first)]
    keys = keys[np.argsort(keys // n_items, kind="stable")]
    users = keys // n_items
    starts = np.searchsorted(users, np.arange(len(lengths)))
    return keys[np.arange(len(keys)) - starts[users] < lengths[users]]


def _without_replacement(shares: Floats, size: int, rng: np.random.Generator) -> Ints:
    """Successive sampling by the largest of log share plus Gumbel noise; shares of 0 never."""
    with np.errstate(divide="ignore"):
        scores = np.log(shares) + rng.gumbel(size=len(shares))
    return np.argsort(scores)[::-1][:size]


class _Drawer:
    """Inverse distribution functions over (user, cell) and over items by cell, as flat arrays."""

    def __init__(self, cell_tastes: Floats, cell_of: Ints, popularity: Floats) -> None:
        """Sort the items by cell and accumulate."""
        n_cells = cell_tastes.shape[1]
        self.by_cell = np.argsort(cell_of, kind="stable")
        self.item_bounds = np.concatenate([[0.0], np.cumsum(popularity[self.by_cell])])
        counts = np.bincount(cell_of, minlength=n_cells)
        self.ends = np.cumsum(counts)
        self.starts = self.ends - counts
        mass = np.bincount(cell_of, weights=popularity, minlength=n_cells)
        bounds = np.cumsum(cell_tastes * mass, axis=1)
        bounds /= bounds[:, -1:]
        self.n_cells = n_cells
        self.last_cell = int(np.flatnonzero(counts).max())
        # Row r occupies (r, r + 1], so that one search serves all users.
        self.cell_bounds = (bounds + np.arange(len(bounds))[:, None]).ravel()

    def __call__(self, rows: Ints, rng: np.random.Generator) -> Ints:
        """One item for each row, with replacement."""
        found = np.searchsorted(self.cell_bounds, rows + rng.random(len(rows)), side="right")
        cells = np.minimum(found - rows * self.n_cells, self.last_cell)
        low, high = self.item_bounds[self.starts[cells]], self.item_bounds[self.ends[cells]]
        at = low + rng.random(len(rows)) * (high - low)
        position = np.searchsorted(self.item_bounds, at, side="right") - 1
        items: Ints = self.by_cell[np.clip(position, self.starts[cells], self.ends[cells] - 1)]
        return items
