"""Full-domain generalisation: the least loss that meets a requirement, or no release.

Every column is raised to one level of its hierarchy for all rows (LeFevre et al. 2005), classes
that still fall short are left out within a budget, and of all combinations of levels the one that
loses least is taken (loss metric of Iyengar 2002: for each cell the share of the domain
that its value stands for; a row left out loses all).

Formal Guarantees:
    A `Released` checks its own table when it is made, so there is none that does not meet its
    requirement. The search is exhaustive up to a bound that is exact, and deterministic. Rows are
    sorted by what is released, so their order tells nothing of the source's.

    The requirement speaks of someone who knows the quasi-identifiers of one release. The choice of
    levels depends on the data and may tell more than the table (minimality attack, Wong et al.
    2007), and two releases of the same people may be subtracted. No differential privacy, no legal
    anonymity.

Edge Case Handling:
    ==============================  ================================================
    nothing meets the requirement   PrivacyError with counts only
    all rows would be left out      PrivacyError, whatever the budget
    no hierarchies                  levels stay, only the suppression budget is used
    a hierarchy without a column    InputError
    more than 100,000 combinations  InputError
    ==============================  ================================================
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from privet.privacy.anonymization.classes import group
from privet.privacy.anonymization.hierarchies import Hierarchy
from privet.privacy.anonymization.requirements import Requirement, shortfall
from privet.privacy.anonymization.tables import Column, Table
from privet.privacy.errors import InputError, PrivacyError

_MAX_COMBINATIONS = 100_000


@dataclass(frozen=True, kw_only=True)
class Released:
    """A table that meets its requirement.

    Attributes:
        table: Without direct identifiers, its rows sorted.
        requirement: What it meets.
        levels: The level that each quasi-identifier was raised to.
        suppressed: Rows left out.
        loss: From 0, as it was, to 1, nothing left.
    """

    table: Table
    requirement: Requirement
    levels: Mapping[str, int]
    suppressed: int
    loss: float

    def __post_init__(self) -> None:
        """Check the table itself, not what led to it."""
        object.__setattr__(self, "levels", MappingProxyType(dict(self.levels)))
        if self.table.direct_identifiers:
            raise PrivacyError("Direct identifiers are never released.")
        self.requirement.check(self.table)
        if self.suppressed > self.requirement.max_suppressed * (self.table.rows + self.suppressed):
            raise PrivacyError(f"{self.suppressed} rows were left out, above the budget.")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lattice:
    """Each quasi-identifier at each level, and what each level loses in each row."""

    columns: list[tuple[Column, ...]]
    losses: list[list[NDArray[np.float64]]]

    def nodes(self) -> list[tuple[float, tuple[int, ...]]]:
        """All combinations of levels by what they lose if no row is left out."""
        means = [[float(loss.mean()) for loss in column] for column in self.losses]
        combinations = product(*(range(len(column)) for column in self.columns))
        found = [
            (math.fsum(means[i][level] for i, level in enumerate(node)) / len(node), node)
            for node in combinations
        ]
        return sorted(found, key=lambda entry: (round(entry[0], 12), sum(entry[1]), entry[1]))

    def codes(self, node: tuple[int, ...]) -> list[NDArray[np.intp]]:
        return [column[level].codes for column, level in zip(self.columns, node, strict=True)]

    def loss(self, node: tuple[int, ...], kept: NDArray[np.bool_]) -> float:
        chosen = [losses[level] for losses, level in zip(self.losses, node, strict=True)]
        lost = np.mean(chosen, axis=0)
        return float((lost[kept].sum() + np.count_nonzero(~kept)) / len(kept))


def generalise(
    table: Table, hierarchies: Mapping[str, Hierarchy], levels: Mapping[str, int]
) -> Table:
    """The table with columns raised to the levels named; the others stay.

    Raises:
        InputError: If a column, its hierarchy or the level does not exist.
    """
    columns = dict(table.columns)
    for name, level in levels.items():
        if name not in columns or name not in hierarchies:
            raise InputError(f"There is no column {name!r} with a hierarchy.")
        if not 0 <= level <= hierarchies[name].height:
            raise InputError(f"Expected a level from 0 to {hierarchies[name].height} for {name!r}.")
        columns[name] = hierarchies[name].levels(columns[name])[level]
    return replace(table, columns=columns)


def release(
    table: Table,
    requirement: Requirement,
    hierarchies: Mapping[str, Hierarchy] | None = None,
) -> Released:
    """Generalises and suppresses as little as the requirement allows, or releases nothing.

    Args:
        table: The rows, one a person.
        requirement: What every class must reach, and how many rows may be left out.
        hierarchies: How quasi-identifiers can be generalised.

    Raises:
        InputError: If a hierarchy is for no quasi-identifier or cannot read its column.
        PrivacyError: If nothing reaches the requirement; names counts only.
    """
    lattice = _lattice(table, hierarchies or {})
    sensitive = requirement.sensitive_of(table)
    best: tuple[float, tuple[int, ...], NDArray[np.bool_]] | None = None
    for bound, node in lattice.nodes():
        if best is not None and bound > best[0] - 1e-12:
            break  # the bound ignores left-out rows, each of which loses more: none later is better
        kept = kept_rows(lattice.codes(node), sensitive, requirement)
        if not _within_budget(kept, requirement):
            continue
        loss = lattice.loss(node, kept)
        if best is None or loss < best[0] - 1e-12:
            best = (loss, node, kept)
    if best is None:
        raise PrivacyError(_refusal(lattice, sensitive, requirement))
    loss, node, kept = best
    return Released(
        table=_sorted(table, lattice, node, np.flatnonzero(kept)),
        requirement=requirement,
        levels=dict(zip(table.quasi_identifiers, node, strict=True)),
        suppressed=int(np.count_nonzero(~kept)),
        loss=loss,
    )


def kept_rows(
    codes: list[NDArray[np.intp]], sensitive: Column | None, requirement: Requirement
) -> NDArray[np.bool_]:
    """The rows left when classes that fall short are left out until none does."""
    kept = np.ones(len(codes[0]), np.bool_)
    while kept.any():
        rows = np.flatnonzero(kept)
        classes = group([column[rows] for column in codes])
        left = None if sensitive is None else sensitive.take(rows)
        short = requirement.falls_short(classes, left)
        if not short.any():
            break
        kept[rows[short[classes.labels]]] = False
    return kept


def _within_budget(kept: NDArray[np.bool_], requirement: Requirement) -> bool:
    left_out = int(np.count_nonzero(~kept))
    return left_out < len(kept) and left_out <= requirement.max_suppressed * len(kept)


def _lattice(table: Table, hierarchies: Mapping[str, Hierarchy]) -> _Lattice:
    for name in hierarchies:
        if name not in table.quasi_identifiers:
            raise InputError(f"There is no quasi-identifier {name!r} for its hierarchy.")
    columns = [
        hierarchies[name].levels(table.columns[name])
        if name in hierarchies
        else (table.columns[name],)
        for name in table.quasi_identifiers
    ]
    combinations = math.prod(len(column) for column in columns)
    if combinations > _MAX_COMBINATIONS:
        raise InputError(
            f"Expected at most {_MAX_COMBINATIONS} combinations of levels, found {combinations}."
        )
    return _Lattice(columns=columns, losses=[list(_losses(column)) for column in columns])


def _losses(levels: tuple[Column, ...]) -> Iterator[NDArray[np.float64]]:
    """For each level, the share of the domain beside itself that each row's value stands for."""
    domain = len(levels[0].values)
    for level in levels:
        pairs = np.unique(np.stack([levels[0].codes, level.codes]), axis=1)
        leaves = np.bincount(pairs[1], minlength=len(level.values))
        yield ((leaves - 1) / max(domain - 1, 1))[level.codes]


def _sorted(
    table: Table, lattice: _Lattice, node: tuple[int, ...], rows: NDArray[np.intp]
) -> Table:
    columns = {
        name: levels[level].take(rows)
        for name, levels, level in zip(table.quasi_identifiers, lattice.columns, node, strict=True)
    }
    if table.sensitive is not None:
        columns[table.sensitive] = table.columns[table.sensitive].take(rows)
    order = np.lexsort([column.codes for column in reversed(columns.values())])
    return Table(
        columns={name: column.take(order) for name, column in columns.items()},
        quasi_identifiers=table.quasi_identifiers,
        sensitive=table.sensitive,
    )


def _refusal(lattice: _Lattice, sensitive: Column | None, requirement: Requirement) -> str:
    node = tuple(len(column) - 1 for column in lattice.columns)
    classes = group(lattice.codes(node))
    short = requirement.falls_short(classes, sensitive)
    left_out = int(np.count_nonzero(~kept_rows(lattice.codes(node), sensitive, requirement)))
    budget = math.floor(requirement.max_suppressed * len(classes.labels))
    return (
        f"At the most general level {shortfall(classes.sizes, short)} Meeting it takes leaving out "
        f"{left_out} rows; the budget is {budget}. Nothing was released: raise the budget, add "
        "hierarchies, or ask for less."
    )
