"""Importer of CSV files with any column names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Problem
from privet.simulations.data.events import Events, assemble
from privet.simulations.data.text import (
    LATEST,
    factorise,
    parse_numbers,
    parse_times,
    read_lines,
    split_fields,
)

DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns of a CSV file of interactions.

    Attributes:
        user_id: Any non-empty text.
        item_id: Any non-empty text.
        weight: A number above 0. Without the column every weight is 1.
        datetime: Unix seconds or ISO 8601, UTC unless it has an offset; empty for unknown.
            Without the column all times are unknown.

    A file may lack ``weight`` and ``datetime`` under these default names; a column that was
    named otherwise must be there. None ignores the column.
    """

    user_id: str = "user_id"
    item_id: str = "item_id"
    weight: str | None = "weight"
    datetime: str | None = "datetime"

    def __post_init__(self) -> None:
        """Check that no column is asked for twice."""
        names = [self.user_id, self.item_id, self.weight, self.datetime]
        given = [name for name in names if name is not None]
        if len(set(given)) != len(given):
            raise InputError("Columns must have distinct names.")

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a file must have."""
        named = [
            name
            for name, default in ((self.weight, "weight"), (self.datetime, "datetime"))
            if name is not None and name != default
        ]
        return (self.user_id, self.item_id, *named)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The well-formed rows of a CSV file."""

    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    problems: tuple[Problem, ...]

    def column(self, name: str | None) -> list[str] | None:
        """The values of a column, or None if the file lacks it."""
        if name is None or name not in self.header:
            return None
        position = self.header.index(name)
        return [row[position] for row in self.rows]


def read_csv(
    path: Path, *, columns: Columns | None = None, catalogue: Path | Catalogue | None = None
) -> Dataset:
    """Read interactions from a CSV file in UTF-8 with a header.

    The delimiter (comma, semicolon, tab or bar) is the one that makes the named columns appear
    in the header. Each line is one row; blank lines are no rows.

    Args:
        path: The file.
        columns: Names of its columns, by default those of ``Columns``.
        catalogue: The items, or a CSV file of them; None infers them from the interactions.

    Raises:
        InputError: The file or its columns are missing, or there are too few rows.
    """
    columns = columns or Columns()
    table = read_table(path, required=columns.required, source="interactions")
    events = _events(table, columns)
    if isinstance(catalogue, Path):
        items, problems = read_catalogue(catalogue)
        return assemble(path.stem, events, catalogue=items, problems=problems)
    return assemble(path.stem, events, catalogue=catalogue)


def read_catalogue(path: Path) -> tuple[Catalogue, tuple[Problem, ...]]:
    """Read ``item_id,title,categories,year,description,duration,price``; all but the first optional.

    Categories are separated by ``|``. A year, or a duration in seconds, that is not a whole number
    counts as unknown.

    Returns:
        The catalogue, declared public, and the lines that could not be used.

    Raises:
        InputError: The file or its ``item_id`` column is missing, or there are no items.
    """
    table = read_table(path, required=("item_id",), source="catalogue")
    problems = list(table.problems)
    ids = table.column("item_id") or []
    numbers = {name: table.column(name) for name in _NUMBERS}
    seen: set[str] = set()
    kept = []
    for position, (item, line) in enumerate(zip(ids, table.lines, strict=True)):
        if not item.strip() or item in seen:
            reason = "a repeated item id" if item in seen else "the item id is empty"
            problems.append(Problem(line=line, reason=reason, source="catalogue"))
            continue
        seen.add(item)
        kept.append(position)
        for name, values in numbers.items():
            read, kind = _NUMBERS[name]
            if values is not None and values[position].strip() and not read(values[position]):
                reason = f"the {name} is not a {kind} and counts as unknown"
                problems.append(Problem(line=line, reason=reason, source="catalogue"))

    def kept_of(values: list[str] | None) -> tuple[str, ...]:
        return () if values is None else tuple(values[k] for k in kept)

    found = Catalogue(
        item_ids=kept_of(ids),
        titles=kept_of(table.column("title")),
        categories=tuple(_names(text) for text in kept_of(table.column("categories"))),
        years=tuple(_whole(text) for text in kept_of(numbers["year"])),
        descriptions=kept_of(table.column("description")),
        durations=tuple(_whole(text) for text in kept_of(numbers["duration"])),
        prices=tuple(_hundredths(text) for text in kept_of(numbers["price"])),
    )
    return found, tuple(sorted(problems, key=lambda problem: problem.line))


def read_table(path: Path, *, required: Sequence[str], source: str) -> Table:
    """Read a CSV file; rows with another number of fields than the header become problems.

    Raises:
        InputError: The file is missing or empty, or its header lacks a required column.
    """
    header_line, *lines = read_lines(path, encoding="utf-8")
    delimiter, header = _sniff(header_line, required, path)
    rows, numbers, problems = [], [], []
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        fields = split_fields(line, delimiter)
        if fields is not None and len(fields) == len(header):
            rows.append(fields)
            numbers.append(number)
            continue
        reason = (
            "quotation marks do not match"
            if fields is None
            else f"expected {len(header)} fields, found {len(fields)}"
        )
        problems.append(Problem(line=number, reason=reason, source=source))
    return Table(header=header, rows=rows, lines=numbers, problems=tuple(problems))


def _sniff(line: str, required: Sequence[str], path: Path) -> tuple[str, tuple[str, ...]]:
    """The delimiter under which the required columns appear, and the header."""
    for delimiter in DELIMITERS:
        header = tuple(name.strip() for name in split_fields(line, delimiter) or ())
        if all(header.count(name) == 1 for name in required):
            return delimiter, header
    # The line is not quoted: in a file without a header it is somebody's history.
    raise InputError(
        f"Expected a header with the columns {', '.join(required)}, once each, in the first line "
        f"of {path}, separated by comma, semicolon, tab or bar. "
        "If yours have other names, say so with columns."
    )


def _events(table: Table, columns: Columns) -> Events:
    """Check the values row by row and keep the usable ones."""
    users = table.column(columns.user_id) or []
    items = table.column(columns.item_id) or []
    weights, times = table.column(columns.weight), table.column(columns.datetime)
    strengths = None if weights is None else parse_numbers(weights)
    seconds = None if times is None else parse_times(times)
    blank = [not (user.strip() and item.strip()) for user, item in zip(users, items, strict=True)]
    reasons = {"the user id or the item id is empty": np.array(blank, bool)}
    if strengths is not None:
        reasons["the weight is not a number above 0"] = ~(np.isfinite(strengths) & (strengths > 0))
    if seconds is not None:
        reasons["the time is neither Unix seconds nor ISO 8601"] = np.isnan(seconds)
        reasons["the time is beyond the year 9999; Unix times are in seconds"] = (
            np.abs(seconds) > LATEST
        )
    bad = np.any(list(reasons.values()), axis=0)
    problems = [
        Problem(line=table.lines[k], reason=next(r for r, mask in reasons.items() if mask[k]))
        for k in np.flatnonzero(bad).tolist()
    ]
    good = np.flatnonzero(~bad)
    user_ids, rows = factorise([users[k] for k in good.tolist()])
    item_ids, cols = factorise([items[k] for k in good.tolist()])
    return Events(
        user_ids=user_ids,
        users=rows,
        item_ids=item_ids,
        items=cols,
        weights=None if strengths is None else strengths[good],
        times=None if seconds is None else seconds[good].astype(np.int64),
        lines=np.array(table.lines, np.int64)[good],
        problems=tuple(sorted([*table.problems, *problems], key=lambda problem: problem.line)),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split("|")) if name)


def _whole(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else 0


def _hundredths(text: str) -> int:
    """A price such as 49, 49.9 or 49.90 in hundredths, without a rounding error; 0 if it is none."""
    whole, _, part = text.strip().partition(".")
    digits = f"{whole}{part.ljust(2, '0')}"
    return _whole(digits) if whole and len(part) <= 2 else 0


_NUMBERS: Mapping[str, tuple[Callable[[str], int], str]] = {
    "year": (_whole, "whole number"),
    "duration": (_whole, "whole number"),
    "price": (_hundredths, "number with at most two decimals"),
}
"""Columns of numbers, how each is read, and what it is."""
