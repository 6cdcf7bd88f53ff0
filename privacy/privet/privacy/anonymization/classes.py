"""Equivalence classes: the rows that agree in all quasi-identifiers (Sweeney 2002)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.tables import Column, Table


@dataclass(frozen=True, kw_only=True, eq=False)
class Classes:
    """A partition of a table's rows.

    Attributes:
        labels: For each row, its class.
        sizes: For each class, its number of rows.
    """

    labels: NDArray[np.intp] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        """The number of classes."""
        return len(self.sizes)


def group(codes: Sequence[NDArray[np.intp]]) -> Classes:
    """The partition into rows that agree in all of these code columns."""
    labels = np.zeros(len(codes[0]), np.intp)
    for column in codes:
        # Labels are dense again after each column, so the product stays below rows squared.
        combined = labels * (column.max(initial=0) + 1) + column
        labels = np.unique(combined, return_inverse=True)[1].astype(np.intp)
    return Classes(labels=labels, sizes=np.bincount(labels).astype(np.int64))


def equivalence_classes(table: Table) -> Classes:
    """The partition of a table's rows by its quasi-identifiers."""
    return group([table.columns[name].codes for name in table.quasi_identifiers])


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """How often each sensitive value occurs in each class; entries that are zero are left out.

    Attributes:
        sizes: For each class, its number of rows.
        classes: For each entry, its class; ascending.
        values: For each entry, its value's code; ascending within a class.
        counts: For each entry, its number of rows, at least 1.
        shares: For each value, its share of all rows.
    """

    sizes: NDArray[np.int64] = field(repr=False)
    classes: NDArray[np.intp] = field(repr=False)
    values: NDArray[np.intp] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)
    shares: NDArray[np.float64] = field(repr=False)


def profile(classes: Classes, sensitive: Column) -> Profile:
    """Counts a sensitive column within classes."""
    width = len(sensitive.values)
    entries, counts = np.unique(classes.labels * width + sensitive.codes, return_counts=True)
    shares = np.bincount(sensitive.codes, minlength=width) / len(sensitive)
    return Profile(
        sizes=classes.sizes,
        classes=(entries // width).astype(np.intp),
        values=(entries % width).astype(np.intp),
        counts=counts.astype(np.int64),
        shares=shares,
    )
