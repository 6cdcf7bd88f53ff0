"""How many neighbours and which threshold: from the corrupt and drop fractions assumed.

Every device chooses k neighbours uniformly from the rest of the roster; t of them must answer
before one of its secrets can be reconstructed (Bell et al. 2020, eprint 2020/704, section 3).
The smallest k is taken for which

- P[some honest device has t or more corrupt neighbours] < 2**-40 (security), and
- P[some device has fewer than t neighbours left after dropouts] < 2**-20 (correctness),

by a union bound over the n devices of hypergeometric tails. Tails are computed in integers, so
every device finds the same table.

Example:
    >>> found = graph_parameters(1000, corrupt_permille=100, drop_permille=100)
    >>> found.neighbours, found.threshold
    (45, 26)
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from privet.privacy.errors import PrivacyError
from privet.privacy.secagg.splits import split_failure

SECURITY_BITS = 40
CORRECTNESS_BITS = 20
LARGEST_COHORT = 20_000
SMALLEST_COHORT = 3


@dataclass(frozen=True, kw_only=True)
class GraphParameters:
    """The graph of one roster and how likely it is to fail.

    Attributes:
        devices: Size of the roster, n.
        neighbours: Neighbours that a device chooses, k; each holds a share of its secrets.
        threshold: Shares that reconstruct a secret, t.
        corrupt: Most devices that may be corrupt.
        dropped: Most devices that may drop out.
        log2_security_failure: Of the bound on P[some device has t or more corrupt neighbours];
            minus infinity where that cannot happen.
        log2_correctness_failure: Of the bound on P[some device has fewer than t neighbours left].
    """

    devices: int
    neighbours: int
    threshold: int
    corrupt: int
    dropped: int
    log2_security_failure: float
    log2_correctness_failure: float

    @property
    def quorum(self) -> int:
        """Fewest signatures on one survivor set: more than (n + corrupt) / 2.

        Two quorums share more than ``corrupt`` devices, so at least one that is honest, and an
        honest device signs once: no two survivor sets can both have a quorum.
        """
        return (self.devices + self.corrupt) // 2 + 1


@lru_cache(maxsize=256)
def graph_parameters(
    devices: int, *, corrupt_permille: int, drop_permille: int, fewest_neighbours: int = 2
) -> GraphParameters:
    """The smallest k, and the smallest t for it, whose failure probabilities are low enough.

    Args:
        devices: Size of the roster.
        corrupt_permille: Devices assumed corrupt, in thousandths of the roster, rounded down.
        drop_permille: Devices assumed to drop out at worst, likewise.
        fewest_neighbours: Least k to try.

    Raises:
        PrivacyError: No graph gives both bounds, or the cohort's size is out of range.
    """
    _check_range(devices, corrupt_permille, drop_permille)
    corrupt = devices * corrupt_permille // 1000
    dropped = devices * drop_permille // 1000
    others = devices - 1
    if (devices + corrupt) // 2 + 1 > devices - dropped:
        raise PrivacyError(
            f"{dropped} dropouts among {devices} devices leave no quorum that {corrupt} corrupt "
            "devices cannot double: assume smaller fractions."
        )
    corrupt_ways = _binomials(corrupt, others)
    honest_ways = _binomials(others - corrupt, others)
    for k in range(max(2, fewest_neighbours), devices):
        ways = math.comb(others, k)
        tails = _upper_tails(corrupt_ways, honest_ways, k)
        threshold = _smallest_threshold(tails, devices, ways, k)
        if threshold is None:
            continue
        few = _lower_tail(others, others - dropped, k, threshold)
        if (devices * few) << CORRECTNESS_BITS < ways:
            return GraphParameters(
                devices=devices,
                neighbours=k,
                threshold=threshold,
                corrupt=corrupt,
                dropped=dropped,
                log2_security_failure=_log2_ratio(devices * tails[threshold], ways),
                log2_correctness_failure=_log2_ratio(devices * few, ways),
            )
    raise PrivacyError(
        f"No graph over {devices} devices survives {corrupt} corrupt devices and {dropped} "
        "dropouts: assume smaller fractions or wait for a larger cohort."
    )


def log2_split_failure(parameters: GraphParameters, min_survivors: int) -> float:
    """Bounds how likely a server could cut the survivors' masks into two sums.

    Args:
        parameters: The roster's graph.
        min_survivors: Fewest survivors that devices accept; a quorum of them must have signed.

    Returns:
        Log2 of the bound on the probability, see `privet.privacy.secagg.splits`; 0 or more means
        that nothing is claimed, minus infinity that it cannot happen.
    """
    return split_failure(
        devices=parameters.devices,
        neighbours=parameters.neighbours,
        threshold=parameters.threshold,
        corrupt=parameters.corrupt,
        survivors=max(min_survivors, parameters.quorum),
    )


@lru_cache(maxsize=256)
def split_resistant_parameters(
    devices: int, *, corrupt_permille: int, drop_permille: int, min_survivors: int
) -> GraphParameters:
    """The graph of a roster: as `graph_parameters`, and a server can hardly cut it in two.

    Neighbours are added, a quarter more each time, until `log2_split_failure` is below -40 for the
    fewest survivors that can have a quorum of signatures. With all others as neighbours no cut is
    left, so there always is such a graph; below some 150 devices it is dense.

    Args:
        devices: Size of the roster.
        corrupt_permille: Devices assumed corrupt, in thousandths of the roster, rounded down.
        drop_permille: Devices assumed to drop out at worst, likewise.
        min_survivors: Fewest survivors that devices accept.

    Raises:
        PrivacyError: No graph gives the bounds, or the cohort's size is out of range.
    """
    found = graph_parameters(
        devices, corrupt_permille=corrupt_permille, drop_permille=drop_permille
    )
    while log2_split_failure(found, min_survivors) >= -SECURITY_BITS:
        found = graph_parameters(
            devices,
            corrupt_permille=corrupt_permille,
            drop_permille=drop_permille,
            fewest_neighbours=min(found.neighbours + -(-found.neighbours // 4), devices - 1),
        )
    return found


def _check_range(devices: int, corrupt_permille: int, drop_permille: int) -> None:
    if not SMALLEST_COHORT <= devices <= LARGEST_COHORT:
        raise PrivacyError(
            f"Expected a cohort of {SMALLEST_COHORT} to {LARGEST_COHORT} devices, "
            f"found {devices}: split larger ones into groups."
        )
    for name, value in (
        ("corrupt_permille", corrupt_permille),
        ("drop_permille", drop_permille),
    ):
        if not 0 <= value < 500:
            raise PrivacyError(f"Expected {name} from 0 to 499, found {value}.")


def _binomials(n: int, largest: int) -> list[int]:
    """Ways to choose 0, 1, ... of n, as far as any neighbourhood could need."""
    out = [1]
    for i in range(min(n, largest, 4096)):
        out.append(out[-1] * (n - i) // (i + 1))
    return out


def _upper_tails(corrupt_ways: list[int], honest_ways: list[int], k: int) -> list[int]:
    """Ways to have t or more corrupt ones among k, for t = 0..k+1."""
    tails = [0] * (k + 2)
    for t in range(k, -1, -1):
        fits = t < len(corrupt_ways) and k - t < len(honest_ways)
        tails[t] = tails[t + 1] + (corrupt_ways[t] * honest_ways[k - t] if fits else 0)
    return tails


def _smallest_threshold(tails: list[int], devices: int, ways: int, k: int) -> int | None:
    for t in range(2, k + 1):
        if (devices * tails[t]) << SECURITY_BITS < ways:
            return t
    return None


def _lower_tail(others: int, alive: int, k: int, threshold: int) -> int:
    """Ways to have fewer than ``threshold`` of the ``alive`` among k."""
    fewest = max(0, k - (others - alive))
    return sum(
        math.comb(alive, i) * math.comb(others - alive, k - i)
        for i in range(fewest, min(threshold, alive + 1))
    )


def _log2_ratio(above: int, below: int) -> float:
    return math.log2(above) - math.log2(below) if above else -math.inf
