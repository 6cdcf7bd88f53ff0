"""A small table of columns, each with a role: identifier, quasi-identifier or sensitive.

Every column must have a role: whatever is released counts as something that someone knows.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

Value: TypeAlias = str | int | float | bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """A column as codes into its sorted distinct values.

    Attributes:
        values: The distinct values, in order.
        codes: For each row, which of them it has.
    """

    values: tuple[Value, ...] = field(repr=False)
    codes: NDArray[np.intp] = field(repr=False)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.codes)

    def __post_init__(self) -> None:
        """Make the codes read-only, so that what was checked stays as it was."""
        self.codes.setflags(write=False)

    @classmethod
    def of(cls, cells: Iterable[object], name: str = "column") -> "Column":
        """A column of text, or of numbers, or of booleans.

        Raises:
            InputError: If a cell is missing, NaN, infinite or of another type than the others. The
                message names the column, never a value.
        """
        if isinstance(cells, str | bytes) or not isinstance(cells, Iterable):
            raise InputError(f"Expected column {name!r} to be a sequence of cells.")
        listed = cells.tolist() if isinstance(cells, np.ndarray) else list(cells)
        checked = _uniform([_cell(cell, name) for cell in listed], name)
        values = sorted(set(checked))
        index = {value: code for code, value in enumerate(values)}
        codes = np.fromiter((index[cell] for cell in checked), np.intp, len(checked))
        return cls(values=tuple(values), codes=codes)

    def apply(self, rule: Callable[[Value], Value]) -> "Column":
        """The column with every value replaced by the rule's; equal results are merged."""
        replaced = type(self).of([rule(value) for value in self.values])
        return type(self)(values=replaced.values, codes=replaced.codes[self.codes])

    def take(self, rows: NDArray[np.intp]) -> "Column":
        """Some of the rows; values that none of them has are dropped."""
        kept, codes = np.unique(self.codes[rows], return_inverse=True)
        return type(self)(values=tuple(self.values[code] for code in kept), codes=codes)

    def cells(self) -> list[Value]:
        """The values row by row."""
        return [self.values[code] for code in self.codes.tolist()]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows about people, one a person, and what each column could be used for.

    Attributes:
        columns: The columns by name, all of one length.
        quasi_identifiers: Columns that others may know about a person.
        sensitive: The column that they should not learn, if there is one.
        direct_identifiers: Columns that name a person; they are never released.
    """

    columns: Mapping[str, Column]
    quasi_identifiers: tuple[str, ...]
    sensitive: str | None = None
    direct_identifiers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse tables without rows, unknown columns and columns without a role."""
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))
        if not self.quasi_identifiers:
            raise InputError("Expected at least one quasi-identifier, found none.")
        hidden = () if self.sensitive is None else (self.sensitive,)
        roles = [*self.quasi_identifiers, *hidden, *self.direct_identifiers]
        for name in roles:
            if name not in self.columns:
                raise InputError(f"There is no column {name!r}; there are {sorted(self.columns)}.")
            if roles.count(name) > 1:
                raise InputError(f"Column {name!r} has two roles.")
        for name in self.columns:
            if name not in roles:
                raise InputError(
                    f"Column {name!r} has no role. Name it a quasi-identifier, the sensitive "
                    "attribute or a direct identifier, or leave it out."
                )
        lengths = {len(column) for column in self.columns.values()}
        if len(lengths) > 1:
            raise InputError(f"Expected columns of one length, found {sorted(lengths)} rows.")
        if min(lengths) < 2:
            raise InputError(f"Expected at least 2 rows, found {min(lengths)}.")

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Iterable[object]],
        *,
        quasi_identifiers: Sequence[str],
        sensitive: str | None = None,
        direct_identifiers: Sequence[str] = (),
    ) -> "Table":
        """A table from lists or arrays.

        Example:
            >>> table = Table.of(
            ...     {"age": [23, 25, 25], "likes": ["jazz", "jazz", "folk"]},
            ...     quasi_identifiers=["age"],
            ...     sensitive="likes",
            ... )
            >>> table.rows
            3
        """
        return cls(
            columns={name: Column.of(cells, name) for name, cells in columns.items()},
            quasi_identifiers=tuple(quasi_identifiers),
            sensitive=sensitive,
            direct_identifiers=tuple(direct_identifiers),
        )

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def sensitive_column(self) -> Column:
        """The sensitive attribute.

        Raises:
            InputError: If the table has none.
        """
        if self.sensitive is None:
            raise InputError("Expected a table with a sensitive attribute, found none.")
        return self.columns[self.sensitive]


def _cell(cell: object, name: str) -> Value:
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and not math.isfinite(cell):
        raise InputError(f"Expected column {name!r} to hold finite numbers, found NaN or infinity.")
    if isinstance(cell, str | int | float):
        return cell
    raise InputError(
        f"Expected column {name!r} to hold text or numbers, found a {type(cell).__name__}."
    )


def _uniform(cells: list[Value], name: str) -> list[Value]:
    kinds = {type(cell) for cell in cells}
    if kinds == {int, float}:
        return [float(cell) for cell in cells]
    if len(kinds) > 1:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"Expected column {name!r} to hold one type, found {found}.")
    return cells
