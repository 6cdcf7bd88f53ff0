"""How likely a server that sees the graph could cut the survivors' masks into two sums.

A malicious server may see who is whose neighbour before it says who dropped out. A set S of s
honest survivors is cut off from the other honest survivors S' only if no mask joins the two, and
if every device of S still has t neighbours that answer the server, who are corrupt or in S. For each
s the smaller of two union bounds is taken: over S by the second condition, over S and S' by the
first. Neighbours are uniform and independent (`privet.privacy.secagg.graph`).
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROWS = 1024
_NEGLIGIBLE = -100.0  # natural logarithm: below it a term needs no second bound


def split_failure(
    *, devices: int, neighbours: int, threshold: int, corrupt: int, survivors: int
) -> float:
    """Log2 of the union bound on the probability of a cut.

    Args:
        devices: Size of the roster, n.
        neighbours: Neighbours that each device chooses, k.
        threshold: Shares that reconstruct a secret, t.
        corrupt: Most devices that may be corrupt.
        survivors: Fewest devices in a sum.
    """
    honest, fewest = devices - corrupt, max(survivors - corrupt, 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, devices + 1)))])
    sizes = np.arange(1, honest // 2 + 1)
    bounds = [-math.inf]
    for start in range(0, len(sizes), _ROWS):
        block = sizes[start : start + _ROWS]
        inside = _log_enough_inside(factorials, block, devices, neighbours, threshold, corrupt)
        found = _log_choose(factorials, np.int64(honest), block) + block * inside
        for place in np.flatnonzero(found > _NEGLIGIBLE):
            edges = _log_no_edges(
                factorials, int(block[place]), devices, neighbours, honest, fewest
            )
            found[place] = min(float(found[place]), edges)
        bounds.append(_log_sum(found))
    return _log_sum(np.array(bounds)) / math.log(2)


def _log_choose(
    factorials: Floats, n: NDArray[np.int64] | np.int64, k: NDArray[np.int64] | np.int64
) -> Floats:
    """Log of n over k, entry by entry; minus infinity where there is no way."""
    n, k = np.broadcast_arrays(n, k)
    possible = (k >= 0) & (k <= n)
    of, out = np.where(possible, n, 0), np.where(possible, k, 0)
    ways = factorials[of] - factorials[out] - factorials[of - out]
    return np.where(possible, ways, -np.inf)


def _log_sum(logs: Floats) -> float:
    """Log of the sum of exponentials."""
    largest = float(np.max(logs, initial=-np.inf))
    if largest == -math.inf:
        return largest
    return largest + math.log(float(np.sum(np.exp(logs - largest))))


def _log_enough_inside(
    factorials: Floats,
    sizes: NDArray[np.int64],
    devices: int,
    neighbours: int,
    threshold: int,
    corrupt: int,
) -> Floats:
    """Log P[t or more of a device's k neighbours are corrupt or among s - 1 others of S]."""
    others, inside = devices - 1, (corrupt + sizes - 1)[:, None]
    i = np.arange(threshold, neighbours + 1)[None, :]
    terms = _log_choose(factorials, inside, i)
    terms = terms + _log_choose(factorials, others - inside, neighbours - i)
    ways = float(_log_choose(factorials, np.int64(others), np.int64(neighbours)))
    return np.array([min(_log_sum(row) - ways, 0.0) for row in terms])


def _log_no_edges(
    factorials: Floats, s: int, devices: int, neighbours: int, honest: int, fewest: int
) -> float:
    """Log of the sum over S' of P[no device of S chose one of S', and none of S' one of S]."""
    others, k = devices - 1, np.int64(neighbours)
    ways = float(_log_choose(factorials, np.int64(others), k))
    rest = np.arange(max(s, fewest - s), honest - s + 1)
    partitions = _log_choose(factorials, np.int64(honest), np.int64(s))
    partitions = partitions + _log_choose(factorials, np.int64(honest - s), rest)
    outward = s * (_log_choose(factorials, others - rest, k) - ways)
    inward = rest * (float(_log_choose(factorials, np.int64(others - s), k)) - ways)
    return _log_sum(partitions + outward + inward)
