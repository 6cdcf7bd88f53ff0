"""k-anonymity, l-diversity, t-closeness and alpha of a table, for each class and at worst.

Sources: k-anonymity, Sweeney 2002; l-diversity, Machanavajjhala et al. 2007, section 4; t-closeness, Li et al. 2007, section 4; (alpha, k), Wong et
al. 2006.

Formal Guarantees:
    The figures are facts about the table given. A class of k rows hides a row from whoever knows
    the quasi-identifiers *and nothing else*. None of the measures bounds what someone with other
    knowledge learns, none composes over two releases, and none is differential privacy; legal
    anonymity does not follow from any value of them.

Edge Case Handling:
    ==========================  =====================================================
    one class                   t is 0
    one sensitive value         every l is 1, t is 0, alpha is 1
    no sensitive attribute      InputError, except for k
    ordered distance on text    InputError: the alphabet is no order
    missing values, NaN, 1 row  the table refuses them (`privet.privacy.anonymization.tables`)
    ==========================  =====================================================
"""

import math
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.classes import Classes, Profile, equivalence_classes, profile
from privet.privacy.anonymization.hierarchies import Hierarchy
from privet.privacy.anonymization.tables import Column, Table
from privet.privacy.errors import InputError

Floats: TypeAlias = NDArray[np.float64]

_DENSE_CELLS = 1 << 20


class Distance(Enum):
    """How far apart two sensitive values are; a `Hierarchy` is the third way to say it."""

    EQUAL = "equal"
    ORDERED = "ordered"


def k_anonymity(table: Table) -> int:
    """Rows of the smallest class."""
    return int(equivalence_classes(table).sizes.min())


def distinct_l_diversity(table: Table) -> int:
    """Sensitive values in the class that has fewest."""
    return int(distinct(_profile(table)).min())


def entropy_l_diversity(table: Table) -> float:
    """The largest l for which every class's entropy is at least log(l)."""
    return float(effective(_profile(table)).min())


def recursive_l_diversity(table: Table, c: float) -> int:
    """The largest l for which every class is recursively (c, l)-diverse; 0 if none is."""
    return int(recursive(_profile(table), c).min())


def alpha(table: Table) -> float:
    """The largest share of one sensitive value in one class."""
    return float(largest_share(_profile(table)).max())


def t_closeness(table: Table, distance: Distance | Hierarchy = Distance.EQUAL) -> float:
    """The farthest that a class's distribution is from the whole table's, earth mover's distance.

    Args:
        table: With a sensitive attribute.
        distance: EQUAL counts all pairs of values as 1 apart; ORDERED counts ranks among the
            table's values; a hierarchy counts the level at which two values meet.
    """
    classes = equivalence_classes(table)
    return float(distances(classes, table.sensitive_column(), distance).max())


def distinct(found: Profile) -> NDArray[np.int64]:
    """For each class, its number of sensitive values."""
    return np.bincount(found.classes, minlength=len(found.sizes)).astype(np.int64)


def effective(found: Profile) -> Floats:
    """For each class, exp of its entropy: the number of equally frequent values it is worth."""
    share = found.counts / found.sizes[found.classes]
    return np.exp(-_sum_by_class(share * np.log(share), found))


def recursive(found: Profile, c: float) -> NDArray[np.int64]:
    """For each class, the largest l with ``r1 < c (rl + ... + rm)``, counts r descending."""
    if not 0 < c < math.inf:
        raise InputError(f"Expected c={c} to be finite and above 0.")
    order = np.lexsort((-found.counts, found.classes))
    counts = found.counts[order]
    first = np.searchsorted(found.classes, np.arange(len(found.sizes)))
    before = np.cumsum(counts) - counts
    tail = found.sizes[found.classes] - (before - before[first][found.classes])
    holds = counts[first][found.classes] < c * tail
    return _sum_by_class(holds, found).astype(np.int64)  # tails descend, so those that hold lead


def largest_share(found: Profile) -> Floats:
    """For each class, the share of its most frequent sensitive value."""
    most = np.zeros(len(found.sizes))
    np.maximum.at(most, found.classes, found.counts / found.sizes[found.classes])
    return most


def distances(classes: Classes, sensitive: Column, distance: Distance | Hierarchy) -> Floats:
    """For each class, the earth mover's distance of its sensitive values from the table's."""
    if isinstance(distance, Hierarchy):
        # Two leaves that meet at level a are a / height apart. A tree's earth mover's distance is
        # the flow over its edges, that is, the mean over levels of the total variation there.
        levels = distance.levels(sensitive)[:-1]
        each = [_total_variation(profile(classes, level)) for level in levels]
        return np.asarray(np.mean(each, axis=0), np.float64)
    if distance is Distance.EQUAL:
        return _total_variation(profile(classes, sensitive))
    if isinstance(sensitive.values[0], str):
        raise InputError("Expected numbers for the ordered distance, found text; use a hierarchy.")
    return _ordered(profile(classes, sensitive))


def _profile(table: Table) -> Profile:
    return profile(equivalence_classes(table), table.sensitive_column())


def _sum_by_class(entries: NDArray[np.float64] | NDArray[np.bool_], found: Profile) -> Floats:
    sums = np.bincount(found.classes, weights=entries, minlength=len(found.sizes))
    return sums.astype(np.float64)


def _total_variation(found: Profile) -> Floats:
    share = found.counts / found.sizes[found.classes]
    return _sum_by_class(np.maximum(share - found.shares[found.values], 0), found)


def _ordered(found: Profile) -> Floats:
    width = len(found.shares)
    if width == 1:
        return np.zeros(len(found.sizes))
    whole = np.cumsum(found.shares)
    result = np.empty(len(found.sizes))
    step = max(1, _DENSE_CELLS // width)
    for start in range(0, len(found.sizes), step):
        stop = min(start + step, len(found.sizes))
        a, b = np.searchsorted(found.classes, [start, stop])
        dense = np.zeros((stop - start, width))
        rows = found.classes[a:b]
        dense[rows - start, found.values[a:b]] = found.counts[a:b] / found.sizes[rows]
        moved = np.abs(np.cumsum(dense, axis=1) - whole)
        result[start:stop] = moved.sum(axis=1) / (width - 1)
    return result
