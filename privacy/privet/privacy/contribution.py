"""Contributions: what a device offers to a round, with the bound that its privacy rests on."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import PrivacyError


class NeighbouringRelation(StrEnum):
    """Which two data sets a guarantee cannot tell apart. A closed set: proofs depend on it.

    ``ZERO_OUT``: one user's whole history becomes empty; the number of users is public.
    ``REPLACE_ONE``: one user's whole history becomes any other history.
    """

    ZERO_OUT = "zero-out"
    REPLACE_ONE = "replace-one"


@dataclass(frozen=True, kw_only=True, eq=False)
class Contribution:
    """One bounded vector a device, stacked ragged and sparse for a cohort.

    Attributes:
        indptr: Shape ``(n + 1,)``; device ``i`` owns entries ``indptr[i]:indptr[i + 1]``.
        indices: Shape ``(nnz,)``, int64, distinct within a device, each in ``[0, dimension)``.
        values: Shape ``(nnz,)``, float64.
        dimension: Length of the dense vector that a device uploads, whatever its history.
        l2_bound: Largest L2 norm of a device's vector that the model promises, above 0.
        nonnegative: True if no entry is below 0, which makes replace-one cheaper.

    Formal Guarantees:
        An empty history must give the zero vector (:mod:`privet.models.testing` checks it), so
        under zero-out one user changes the sum by one vector of norm at most ``l2_bound``. Under
        replace-one it changes by ``a - b``; for vectors without negative entries
        ``|a - b|^2 = |a|^2 + |b|^2 - 2ab <= 2 l2_bound^2``, in general ``|a - b| <= 2 l2_bound``.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    values: NDArray[np.float64]
    dimension: int
    l2_bound: float
    nonnegative: bool = False

    def __post_init__(self) -> None:
        """Refuse what could void the bound."""
        if not (math.isfinite(self.l2_bound) and self.l2_bound > 0):
            raise PrivacyError(f"Expected a finite l2_bound > 0, found {self.l2_bound}.")
        fitting = len(self.indices) == len(self.values) == self.indptr[-1]
        if not fitting or self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            raise PrivacyError("Contribution arrays do not fit together.")
        if len(self.indices) and not (
            0 <= self.indices.min() <= self.indices.max() < self.dimension
        ):
            raise PrivacyError(f"Contribution indices must be in [0, {self.dimension}).")
        if self._has_repeated_indices():
            # Clipping measures entries: ten of .3 in one place have norm .95 but add up to 3.
            raise PrivacyError("Contribution indices must be distinct within a device.")

    def _has_repeated_indices(self) -> bool:
        rising = np.diff(self.indices) > 0
        starts = self.indptr[1:-1]
        rising[starts[(starts > 0) & (starts < len(self.indices))] - 1] = True
        if rising.all():
            return False
        rows = self.rows
        order = np.lexsort((self.indices, rows))
        same_row = np.diff(rows[order]) == 0
        return bool((same_row & (np.diff(self.indices[order]) == 0)).any())

    def __len__(self) -> int:
        """Number of devices."""
        return len(self.indptr) - 1

    @property
    def rows(self) -> NDArray[np.int64]:
        """Device of each entry, shape ``(nnz,)``."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.indptr))

    def dense(self) -> NDArray[np.float64]:
        """All vectors in full, shape ``(n, dimension)``; for small cohorts and tests."""
        matrix = np.zeros((len(self), self.dimension))
        matrix[self.rows, self.indices] = self.values
        return matrix


def sensitivity(l2_bound: float, relation: NeighbouringRelation, *, nonnegative: bool) -> float:
    """L2 distance between the sums of neighbouring data sets, at most.

    Args:
        l2_bound: Bound on the norm of one device's vector.
        relation: The neighbouring relation.
        nonnegative: Whether vectors have no negative entries.
    """
    if relation is NeighbouringRelation.ZERO_OUT:
        return l2_bound
    return (math.sqrt(2.0) if nonnegative else 2.0) * l2_bound
