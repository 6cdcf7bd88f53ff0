"""Property checks that tests run on the real code and mutants on code without its protection.

Each raises AssertionError if the property does not hold.
"""

import math
from collections.abc import Sequence

import numpy as np

from privet.privacy import clipping, encoding
from privet.privacy.contribution import Contribution
from privet.privacy.encoding import Encoding
from privet.privacy.randomness import Randomness

HUGE, TINY = 1e308, 5e-324


def contribution(
    rows: Sequence[Sequence[float]], *, l2_bound: float = 1.0, nonnegative: bool = False
) -> Contribution:
    """Dense rows as a contribution."""
    dimension = max(len(row) for row in rows)
    return Contribution(
        indptr=np.cumsum([0, *(len(row) for row in rows)]),
        indices=np.array([i for row in rows for i in range(len(row))], np.int64),
        values=np.array([value for row in rows for value in row], np.float64),
        dimension=dimension,
        l2_bound=l2_bound,
        nonnegative=nonnegative,
    )


def exact_norm(values: Sequence[float]) -> float:
    """L2 norm with exact summation, and without overflow."""
    largest = max((abs(v) for v in values), default=0.0)
    if largest == 0:
        return 0.0
    if not math.isfinite(largest):
        return math.inf
    return largest * math.sqrt(math.fsum((v / largest) ** 2 for v in values))


def check_clipped(rows: Sequence[Sequence[float]], l2_bound: float, nonnegative: bool) -> None:
    """Every clipped row is finite, at most ``l2_bound`` long and of the declared sign."""
    offered = contribution(rows, l2_bound=l2_bound, nonnegative=nonnegative)
    found = clipping.clip(offered).contribution
    for row in range(len(found)):
        values = found.values[found.indptr[row] : found.indptr[row + 1]].tolist()
        assert exact_norm(values) <= l2_bound * (1 + 1e-15 * (2 + len(values)))
        assert not nonnegative or all(v >= 0 for v in values)


def check_encoded(rows: Sequence[Sequence[float]], scale: int, seed: int) -> None:
    """Every encoded row is at most as long as the encoding declares, in L2 and in L1."""
    offered = contribution(rows)
    public = Encoding(dimension=offered.dimension, l2_clip_norm=1.0, devices=len(rows), scale=scale)
    streams = [Randomness.insecure_seeded(seed).stream(row) for row in range(len(rows))]
    clipped = clipping.clip(offered).contribution
    integers = encoding.encode(clipped, public, streams)
    for row in range(len(rows)):
        found = [int(v) for v in integers[clipped.indptr[row] : clipped.indptr[row + 1]]]
        assert sum(v * v for v in found) <= public.l2_bound**2 * (1 + 1e-12)
        assert sum(abs(v) for v in found) <= public.l1_bound * (1 + 1e-12)


def all_halves(dimension: int, scale: int) -> list[float]:
    """A unit row, as nearly as fits, of which every entry is half way between two integers."""
    steps = math.floor(scale / math.sqrt(dimension) - 0.5)
    return [(max(steps, 0) + 0.5) / scale] * dimension
