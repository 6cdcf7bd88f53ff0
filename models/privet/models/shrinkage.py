"""Eigenvectors of a noisy symmetric matrix: which are signal, and how far to trust each.

Sources: Benaych-Georges and Nadakuditi 2011 (arXiv 0910.2120) for a low-rank matrix under Wigner
noise, whose eigenvalues end at ``edge``. An eigenvalue l above it belongs to a true one
``t = (l + sqrt(l^2 - edge^2)) / 2``, and the squared cosine between its eigenvector and the true
one is ``1 - (edge / 2)^2 / t^2``.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS_A_HOLLOW_ONE = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """What stands out of the noise.

    Attributes:
        vectors: Eigenvectors, shape ``(h, r)``; r may be 0.
        values: Estimates of the true eigenvalues, shape ``(r,)``.
        overlaps: Squared cosines between these eigenvectors and the true ones, shape ``(r,)``.
    """

    vectors: NDArray[np.float64]
    values: NDArray[np.float64]
    overlaps: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of directions."""
        return len(self.values)

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """Diagonal of the low-rank estimate, shape ``(h,)``."""
        return np.asarray((self.vectors**2) @ (self.values * self.overlaps), np.float64)


def noise_edge(noise_std: float, size: int) -> float:
    """Where the eigenvalues of the noise end.

    Args:
        noise_std: Of the scaled upper triangle; off-diagonal entries of the symmetric matrix have
            ``noise_std / sqrt(2)``.
        size: Rows of the matrix.
    """
    return noise_std * math.sqrt(2 * size)


def above_noise(matrix: NDArray[np.float64], edge: float) -> Spikes:
    """The directions of a symmetric matrix above the noise's edge."""
    from scipy.linalg import eigh

    found, vectors = eigh(matrix, subset_by_value=(edge, np.inf))
    true = (found + np.sqrt(np.maximum(found**2 - edge**2, 0.0))) / 2
    return Spikes(vectors=vectors, values=true, overlaps=1 - (edge / 2) ** 2 / true**2)


def spikes_of_co_occurrence(gram: NDArray[np.float64], edge: float) -> tuple[Spikes, Spikes]:
    """Directions of a noisy co-occurrence matrix, and those of its off-diagonal part alone.

    The diagonal says how often an item occurs, not with what. Where it alone makes many
    directions stand out (short histories over many items), it counts less: the more directions it
    adds to those of the off-diagonal part, the more of it is replaced by that part's estimate.

    Returns:
        The directions to use, and the off-diagonal ("hollow") part's.
    """
    from scipy.linalg import eigvalsh

    hollow = gram.copy()
    np.fill_diagonal(hollow, 0.0)
    off_diagonal = above_noise(hollow, edge)
    with_diagonal = len(eigvalsh(gram, subset_by_value=(edge, np.inf)))
    trust = min(1.0, _DIRECTIONS_A_HOLLOW_ONE * len(off_diagonal) / max(with_diagonal, 1))
    np.fill_diagonal(hollow, trust * np.diag(gram) + (1 - trust) * off_diagonal.diagonal)
    return above_noise(hollow, edge), off_diagonal
