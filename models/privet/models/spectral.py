"""Spectral: the strongest private collaborative model known to us, in two releases.

Sensitivity. Release 1 is :mod:`privet.models.popularity`'s, of norm 1. In release 2 a device with
unit vector y over the head offers the upper triangle of y y^T, off-diagonal entries times sqrt(2):
its squared norm is sum_i y_i^4 + 2 sum_{i<j} y_i^2 y_j^2 = (sum_i y_i^2)^2 = 1. An empty history
offers zero; no entry is negative. Tests: ``tests/models``, names starting with "spectral".

Sources: shrinkage of eigenvalues and eigenvectors under Wigner noise, Benaych-Georges and
Nadakuditi 2011 (arXiv 0910.2120); the ridge item map without noise, Steck 2019 (arXiv 1905.03375).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.models.model import LocalState, Release, SharedState
from privet.models.plan import PublicFacts, Step
from privet.models.popularity import Popularity, popularity_step, unit_histories
from privet.models.ridge import item_map
from privet.privacy.accounting.adversaries import Trust
from privet.privacy.contribution import Contribution
from privet.privacy.errors import InputError
from privet.privacy.randomness import Randomness

_MAX_HEAD = 10_000


@dataclass(frozen=True, kw_only=True)
class Spectral:
    """Co-occurrence of items, learnt once, denoised by random matrix theory.

    Attributes:
        head_share: Share of mu squared that release 1 gets.
        head_scale: Multiplies the head's size that the public rule gives.
    """

    head_share: float = 0.08
    head_scale: float = 1.0

    name: ClassVar[str] = "spectral"
    trusts: ClassVar[frozenset[Trust]] = frozenset({Trust.CENTRAL, Trust.SECURE_AGGREGATION})

    def steps(self, facts: PublicFacts) -> Sequence[Step]:
        """Popularity, then co-occurrence within the head; popularity alone if the head is empty."""
        head = self.head_size(facts)
        if head == 0:
            return (popularity_step(facts.items, budget_share=1.0),)
        return (
            popularity_step(facts.items, budget_share=self.head_share),
            Step(
                name="co-occurrence",
                dimension=head * (head + 1) // 2,
                nonnegative=True,
                budget_share=1 - self.head_share,
            ),
        )

    def head_size(self, facts: PublicFacts) -> int:
        """Number of items whose co-occurrence is learnt; 0 where popularity is all there is."""
        if math.isinf(facts.mu):
            if facts.items > _MAX_HEAD:
                raise InputError(
                    f"Without privacy Spectral inverts a matrix over all items, up to "
                    f"{_MAX_HEAD}; found {facts.items}. Use a finite epsilon or fewer items."
                )
            return facts.items
        signal = facts.mu * math.sqrt(facts.devices)
        return min(facts.items, int(round(self.head_scale * 29 * signal**0.77)))

    def contribute(
        self,
        step: Step,
        shared: SharedState,
        local: LocalState,
        cohort: Cohort,
        rng: Randomness,
    ) -> tuple[Contribution, LocalState]:
        """Unit histories, then their outer products over the head."""
        if step.name == "popularity":
            return unit_histories(cohort), local
        return outer_products(cohort.keep_items(_positions(shared, cohort.n_items))), local

    def update(
        self, step: Step, shared: SharedState, release: Release, facts: PublicFacts
    ) -> SharedState:
        """The head from the noisy popularity, then the item map from the noisy co-occurrence."""
        if step.name == "popularity":
            order = np.argsort(-release.total, kind="stable")
            head = np.sort(order[: self.head_size(facts)]).astype(np.int64)
            return {"popularity": release.total, "head": head}
        gram = unpack_triangle(release.total, len(shared["head"]))
        if release.noise_std == 0:
            return {**shared, "item_map": item_map(gram, regulariser(facts))}
        vectors, weights = shrink(gram, release.noise_std)
        return {**shared, "vectors": vectors, "weights": weights}

    def personalise(self, shared: SharedState, local: LocalState, cohort: Cohort) -> LocalState:
        """Nothing beyond the history itself."""
        return local

    def score(
        self, shared: SharedState, local: LocalState, cohort: Cohort
    ) -> NDArray[np.float64]:
        """The map of the history over the head; the rest after it, by popularity."""
        plain = Popularity().score(shared, local, cohort)
        head = np.asarray(shared["head"], np.int64)
        if len(head) == 0:
            return plain
        history = cohort.keep_items(_positions(shared, cohort.n_items)).dense()
        if "item_map" in shared:
            mapped = history @ shared["item_map"]
        else:
            mapped = (history @ shared["vectors"] * shared["weights"]) @ shared["vectors"].T
        tail = plain - plain.max() - 1 + mapped.min(axis=1, keepdims=True)
        tail[:, head] = mapped
        known = np.diff(cohort.indptr)[:, None] > 0
        return np.where(known & (np.abs(mapped).max(axis=1, keepdims=True) > 0), tail, plain)


def outer_products(cohort: Cohort) -> Contribution:
    """Upper triangle of each unit history's outer product, off-diagonal entries times sqrt(2).

    Entry (i, j), i <= j, of an h x h matrix is at ``i h - i (i - 1) / 2 + j - i``.
    """
    h = cohort.n_items
    sizes = cohort.sizes
    entries = sizes * (sizes + 1) // 2
    indptr = np.concatenate([[0], np.cumsum(entries)]).astype(np.int64)
    indices = np.empty(int(indptr[-1]), np.int64)
    values = np.empty(int(indptr[-1]))
    for row, size in enumerate(sizes):
        items = cohort.items[cohort.indptr[row] : cohort.indptr[row + 1]].astype(np.int64)
        upper = np.arange(size)[:, None] <= np.arange(size)
        offsets = items * h - items * (items - 1) // 2 - items
        entry = slice(int(indptr[row]), int(indptr[row + 1]))
        indices[entry] = (offsets[:, None] + items)[upper]
        outer = np.full((size, size), math.sqrt(2) / max(size, 1))
        np.fill_diagonal(outer, 1 / max(size, 1))
        values[entry] = outer[upper]
    return Contribution(
        indptr=indptr,
        indices=indices,
        values=values,
        dimension=h * (h + 1) // 2,
        l2_bound=1.0,
        nonnegative=True,
    )


def unpack_triangle(triangle: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The symmetric matrix whose scaled upper triangle this is, shape ``(size, size)``."""
    matrix = np.zeros((size, size))
    rows, columns = np.triu_indices(size)
    matrix[rows, columns] = triangle / np.where(rows == columns, 1.0, math.sqrt(2))
    matrix[columns, rows] = matrix[rows, columns]
    return matrix


def shrink(
    noisy: NDArray[np.float64], noise_std: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvectors above the noise and their weights (spiked Wigner model, 0910.2120).

    The off-diagonal noise has standard deviation ``noise_std / sqrt(2)``, so noise eigenvalues end
    at ``edge = noise_std * sqrt(2 h)``. An eigenvalue l above it belongs to a true one
    ``t = (l + sqrt(l^2 - edge^2)) / 2``, and its eigenvector's squared cosine with the true one is
    ``1 - (edge / 2)^2 / t^2``: the weight.

    Returns:
        Vectors, shape ``(h, r)``, and weights, shape ``(r,)``; r may be 0.
    """
    from scipy.linalg import eigh

    edge = noise_std * math.sqrt(2 * len(noisy))
    values, vectors = eigh(noisy)
    kept = values > edge
    true = (values[kept] + np.sqrt(values[kept] ** 2 - edge**2)) / 2
    return vectors[:, kept], 1 - (edge / 2) ** 2 / true**2


def regulariser(facts: PublicFacts) -> float:
    """Ridge of the item map without noise, from public quantities."""
    return 0.02 * facts.devices / math.sqrt(facts.items)


def _positions(shared: SharedState, n_items: int) -> NDArray[np.int64]:
    """Position of each item in the head, -1 outside of it."""
    head = np.asarray(shared["head"], np.int64)
    positions = np.full(n_items, -1, np.int64)
    positions[head] = np.arange(len(head))
    return positions
