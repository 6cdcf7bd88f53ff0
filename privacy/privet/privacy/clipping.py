"""Clipping: enforce the declared bound on every device's vector, whatever the model computed."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from privet.privacy.contribution import Contribution

# Scaling rounds each entry by half a unit in the last place; this much smaller a factor keeps
# the rounded norm at or below the bound for up to 2**40 entries.
_ROUNDING_GUARD = 1.0 - 2.0**-30
_OVERFLOW_GUARD = 2.0**-100


@dataclass(frozen=True, kw_only=True, eq=False)
class Clipped:
    """A contribution whose bound was enforced, and how often it was needed.

    Attributes:
        contribution: Every row has norm at most ``contribution.l2_bound``; all entries finite.
        nonfinite: Entries that were NaN or infinite and became 0. Stays on the device.
        rows_clipped: Rows that were longer than the bound. Stays on the device.
    """

    contribution: Contribution
    nonfinite: int
    rows_clipped: int


def row_norms(values: NDArray[np.float64], indptr: NDArray[np.int64]) -> NDArray[np.float64]:
    """L2 norm of each ragged row, without overflow or underflow; shape ``(n,)``.

    Squares of entries above 1e154 or below 1e-154 leave float64's range, so each row is
    measured relative to its largest entry.
    """
    norms = np.zeros(len(indptr) - 1)
    filled = np.flatnonzero(np.diff(indptr) > 0)
    if len(filled) == 0:
        return norms
    starts = indptr[filled]
    largest = np.maximum.reduceat(np.abs(values), starts)
    divisor = np.where(largest > 0, largest, 1.0)
    relative = values / np.repeat(divisor, np.diff(indptr)[filled])
    norms[filled] = divisor * np.sqrt(np.add.reduceat(relative * relative, starts))
    norms[filled[largest == 0]] = 0.0
    return norms


def clip(contribution: Contribution) -> Clipped:
    """Make every row finite and at most ``l2_bound`` long.

    Args:
        contribution: What a model's client half returned; its values may be anything.

    Returns:
        The contribution with rows rescaled onto the ball where they were outside of it.

    Formal Guarantees:
        After clipping, every row's norm is at most ``l2_bound`` in float64, rounding included,
        and if ``nonnegative`` was declared no entry is below 0. The guarantee does not depend on
        the model, its inputs or its state.

    Edge Case Handling:
        ==================== ============================================================
        NaN, +inf, -inf      the entry becomes 0 and is counted
        zero vector          stays zero
        denormal entries     kept; the norm is computed without underflow
        entries near 1e308   their norm overflows; the row is scaled down in two steps
        undeclared negative  the entry becomes 0 and is counted with the non-finite ones
        ==================== ============================================================
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is widened
        values = np.asarray(contribution.values, np.float64)
    usable = np.isfinite(values)
    if contribution.nonnegative:
        usable &= ~(values < 0)
    nonfinite = int(len(values) - usable.sum())
    if nonfinite:
        values = np.where(usable, values, 0.0)
    bound, rows = contribution.l2_bound, contribution.rows
    with np.errstate(over="ignore"):
        norms = row_norms(values, contribution.indptr)
    too_long = norms > bound
    overflown = np.isinf(norms)
    if overflown.any():
        values = values * np.where(overflown, _OVERFLOW_GUARD, 1.0)[rows]
        norms = np.where(overflown, row_norms(values, contribution.indptr), norms)
    if too_long.any():
        factor = np.where(too_long, bound / np.where(too_long, norms, 1.0) * _ROUNDING_GUARD, 1.0)
        values = values * factor[rows]
    return Clipped(
        contribution=replace(contribution, values=values),
        nonfinite=nonfinite,
        rows_clipped=int(too_long.sum()),
    )
