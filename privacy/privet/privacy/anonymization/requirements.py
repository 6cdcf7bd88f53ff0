"""What a table must reach before it may be released."""

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.classes import Classes, Profile, equivalence_classes, profile
from privet.privacy.anonymization.hierarchies import Hierarchy
from privet.privacy.anonymization.measures import (
    Distance,
    distances,
    distinct,
    effective,
    largest_share,
    recursive,
)
from privet.privacy.anonymization.tables import Column, Table
from privet.privacy.errors import InputError, PrivacyError

_ROUNDING = 1e-12  # relative; entropies and distances of exact ties are off by a few 1e-16
_SHOWN = 5


class Diversity(Enum):
    """Which l-diversity is asked for."""

    DISTINCT = "distinct"
    ENTROPY = "entropy"
    RECURSIVE = "recursive"


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """The least that every class must reach; a gate, and no promise beyond what it measures.

    Attributes:
        k: Rows, at least 2.
        l: Diversity of the sensitive attribute, if it is asked for.
        diversity: Which kind of it.
        c: Of recursive (c, l)-diversity.
        t: Largest distance from the whole table's distribution, if it is asked for.
        distance: Which distance.
        alpha: Largest share of one sensitive value, if it is asked for.
        max_suppressed: Largest share of rows that may be left out to get there.
    """

    k: int
    l: float | None = None
    diversity: Diversity = Diversity.DISTINCT
    c: float = 1.0
    t: float | None = None
    distance: Distance | Hierarchy = Distance.EQUAL
    alpha: float | None = None
    max_suppressed: float = 0.0

    def __post_init__(self) -> None:
        """Refuse requirements that nothing or everything meets."""
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 2:
            raise InputError(f"Expected k={self.k} to be a whole number from 2.")
        if self.l is not None and not 1 <= self.l < math.inf:
            raise InputError(f"Expected l={self.l} to be finite and at least 1.")
        if not 0 < self.c < math.inf:
            raise InputError(f"Expected c={self.c} to be finite and above 0.")
        if self.t is not None and not 0 <= self.t <= 1:
            raise InputError(f"Expected t={self.t} to be from 0 to 1.")
        if self.alpha is not None and not 0 < self.alpha <= 1:
            raise InputError(f"Expected alpha={self.alpha} to be above 0 and at most 1.")
        if not 0 <= self.max_suppressed < 1:
            raise InputError(f"Expected max_suppressed={self.max_suppressed} from 0 to below 1.")

    @property
    def needs_sensitive(self) -> bool:
        """Whether anything is asked of the sensitive attribute."""
        return not (self.l is None and self.t is None and self.alpha is None)

    def falls_short(self, classes: Classes, sensitive: Column | None) -> NDArray[np.bool_]:
        """For each class, whether it must not be released.

        Distance from the table's distribution is looked at last, when all else holds: rows that
        are left out for another reason do not belong to that distribution.
        """
        short = classes.sizes < self.k
        if sensitive is None:
            return short
        found = profile(classes, sensitive)
        if self.l is not None:
            short |= self._diverse(found) < self.l * (1 - _ROUNDING)
        if self.alpha is not None:
            short |= largest_share(found) > self.alpha * (1 + _ROUNDING)
        if self.t is not None and not short.any():
            short |= distances(classes, sensitive, self.distance) > self.t + _ROUNDING
        return short

    def _diverse(self, found: Profile) -> NDArray[np.float64] | NDArray[np.int64]:
        if self.diversity is Diversity.DISTINCT:
            return distinct(found)
        if self.diversity is Diversity.ENTROPY:
            return effective(found)
        return recursive(found, self.c)

    def sensitive_of(self, table: Table) -> Column | None:
        """The column that the requirement looks at.

        Raises:
            InputError: If it needs a sensitive attribute and the table has none.
        """
        return table.sensitive_column() if self.needs_sensitive else None

    def check(self, table: Table) -> None:
        """Raises unless every class of the table meets the requirement.

        Raises:
            PrivacyError: With numbers of classes and rows, never with a value.
        """
        classes = equivalence_classes(table)
        short = self.falls_short(classes, self.sensitive_of(table))
        if short.any():
            raise PrivacyError(f"{shortfall(classes.sizes, short)} Nothing was released.")


def shortfall(sizes: NDArray[np.int64], short: NDArray[np.bool_]) -> str:
    """Says how many classes fall short and how small they are."""
    found = np.sort(sizes[short])
    shown = ", ".join(str(size) for size in found[:_SHOWN].tolist())
    more = ", ..." if len(found) > _SHOWN else ""
    return (
        f"{len(found)} of {len(sizes)} classes fall short of the requirement, with {shown}{more} "
        f"rows, {int(found.sum())} of {int(sizes.sum())} in all."
    )
