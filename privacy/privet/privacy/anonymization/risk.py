"""Risk of re-identification of a table's rows under three attackers.

Sources: prosecutor and journalist, El Emam and Dankar 2008, "Protecting Privacy Using k-Anonymity";
marketer, Dankar and El Emam 2010.

A prosecutor knows that a target is in the table, a journalist knows only that it is in a population
of which the table is a sample, and a marketer links as many rows as possible. All three know
exactly the quasi-identifiers, so the figures bound nobody who knows more; a low risk is no claim of
legal anonymity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.classes import equivalence_classes, group
from privet.privacy.anonymization.tables import Column, Table
from privet.privacy.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Risk:
    """Chances that a row is linked to the right person.

    Attributes:
        highest: Of the row at most risk.
        mean: Over rows.
        unique: Share of rows that are linked for certain.
    """

    highest: float
    mean: float
    unique: float


def prosecutor_risk(table: Table) -> Risk:
    """One over the size of a row's class in the table."""
    sizes = equivalence_classes(table).sizes
    return _risk(sizes, weights=sizes)


def marketer_risk(table: Table) -> float:
    """The share of rows linked rightly by guessing within classes: classes over rows."""
    return len(equivalence_classes(table)) / table.rows


def journalist_risk(sample: Table, population: Table) -> Risk:
    """One over the size of a row's class in the population.

    Args:
        sample: The table to be released, generalised.
        population: Everyone whom a row could be, generalised in the same way, the sample included.

    Raises:
        InputError: If the quasi-identifiers differ, or a class has more rows than in the
            population, of which the sample is then no part.
    """
    if set(sample.quasi_identifiers) != set(population.quasi_identifiers):
        raise InputError("Expected a population with the sample's quasi-identifiers.")
    names = sample.quasi_identifiers
    joint = group([_joined(sample.columns[n], population.columns[n], n) for n in names])
    here = np.bincount(joint.labels[: sample.rows], minlength=len(joint))
    there = joint.sizes - here
    beyond = int(np.count_nonzero(here > there))
    if beyond:
        raise InputError(
            f"{beyond} classes of the sample have more rows than in the population: it is no part "
            "of it, or was generalised in another way."
        )
    present = here > 0
    return _risk(there[present], weights=here[present])


def _joined(first: Column, second: Column, name: str) -> NDArray[np.intp]:
    if isinstance(first.values[0], str) != isinstance(second.values[0], str):
        raise InputError(f"Column {name!r} is text in one table and numbers in the other.")
    index = {value: code for code, value in enumerate({*first.values, *second.values})}
    codes = [np.array([index[v] for v in c.values], np.intp)[c.codes] for c in (first, second)]
    return np.concatenate(codes)


def _risk(sizes: NDArray[np.int64], weights: NDArray[np.int64]) -> Risk:
    rows = int(weights.sum())
    return Risk(
        highest=float(1 / sizes.min()),
        mean=float((weights / sizes).sum() / rows),
        unique=float(weights[sizes == 1].sum() / rows),
    )
