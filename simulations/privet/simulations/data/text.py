"""Lines, fields and numbers of text files, read without losing a row or a line number."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privet.privacy.errors import InputError

# The last second of the year 9999. Whatever lies beyond is most likely milliseconds.
LATEST = 253_402_300_799


def read_lines(path: Path, *, encoding: str) -> list[str]:
    """The lines of a text file, with or without a byte order mark.

    Only CR, LF and CRLF end a line: ``str.splitlines`` would also break identifiers at rarer
    Unicode separators.

    Raises:
        InputError: The file cannot be read, is empty, or is not in this encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"Expected {path} in {encoding}, found another encoding at byte {error.start}."
        ) from None  # the cause would quote the file's bytes
    if not text.strip():
        raise InputError(f"{path} is empty.")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def split_fields(line: str, delimiter: str) -> list[str] | None:
    """The fields of one CSV line, or None if its quotation marks do not match.

    A line is a row: were rows allowed to span lines, one stray quotation mark would swallow
    the rows that follow it.
    """
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def factorise(values: list[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct values in order of appearance, and the position of each value among them."""
    codes: dict[str, int] = {}
    positions = np.fromiter(
        (codes.setdefault(value, len(codes)) for value in values), np.int64, len(values)
    )
    return list(codes), positions


def factorise_integers(values: NDArray[np.integer]) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct numbers, ascending and as strings, and the position of each number among them."""
    distinct, positions = np.unique(values, return_inverse=True)
    return [str(value) for value in distinct.tolist()], positions.astype(np.int64)


def natural_order(ids: Iterable[str]) -> tuple[str, ...]:
    """Identifiers sorted as numbers if all are whole numbers, else as text."""
    ids = list(ids)
    numbers = all(value.isascii() and value.isdecimal() for value in ids)
    return tuple(sorted(ids, key=lambda value: (len(value), value) if numbers else (0, value)))


def parse_numbers(values: list[str]) -> NDArray[np.float64]:
    """Numbers, NaN where a value is not one."""
    try:
        return np.array([float(value) for value in values], np.float64)
    except ValueError:
        return np.array([_number(value) for value in values], np.float64)


def parse_times(values: list[str]) -> NDArray[np.float64]:
    """Unix seconds from numbers or ISO 8601; 0 where empty, NaN where neither.

    Digits alone are seconds. A time without an offset is taken as UTC.
    """
    try:
        seconds = np.array([float(value) for value in values], np.float64)
    except ValueError:
        seconds = np.array([_seconds(value) for value in values], np.float64)
    return np.floor(seconds)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _seconds(value: str) -> float:
    text = value.strip()
    if not text:
        return 0.0
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return float("nan")
