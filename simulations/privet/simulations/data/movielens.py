"""Importers of MovieLens 100K and MovieLens 1M in their original files."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Problem
from privet.simulations.data.events import Events, People, assemble
from privet.simulations.data.text import factorise_integers, read_lines

# The flags of u.item from column 5 on; the first, "unknown", is no genre.
# fmt: off
GENRES_100K = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller",
    "War", "Western",
)
# fmt: on
_ID = "(?:0|[1-9][0-9]{0,14})"  # at most 15 digits: exact in float64
_RATING = r"(?=[0-9.]*[1-9])[0-9]{1,3}(?:\.[0-9]{1,3})?"  # above 0
_TIME = "[0-9]{1,11}"
_FIELDS = (
    (re.compile(_ID), "the user id is not a whole number"),
    (re.compile(_ID), "the item id is not a whole number"),
    (re.compile(_RATING), "the rating is not a number above 0"),
    (re.compile(_TIME), "the time is not in Unix seconds"),
)
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")


@dataclass(frozen=True)
class Item:
    """One line of a file of films."""

    item_id: str
    title: str
    genres: tuple[str, ...]
    year: int


def read_100k(path: Path) -> Dataset:
    """MovieLens 100K: ``u.data``, with ``u.item`` and ``u.user`` beside it.

    Args:
        path: The folder or the file of ratings.

    Raises:
        InputError: No ratings there, or too few.
    """
    ratings = path / "u.data" if path.is_dir() else path
    catalogue, problems = read_catalogue(ratings.with_name("u.item"), _item_100k)
    people = read_people(
        ratings.with_name("u.user"), "|", columns={"age": 1, "gender": 2, "occupation": 3}
    )
    events = _read_ratings(ratings, "\t")
    return assemble("ml-100k", events, catalogue=catalogue, people=people, problems=problems)


def read_1m(path: Path) -> Dataset:
    """MovieLens 1M: ``ratings.dat``, with ``movies.dat`` and ``users.dat`` beside it.

    Args:
        path: The folder or the file of ratings.

    Raises:
        InputError: No ratings there, or too few.
    """
    ratings = path / "ratings.dat" if path.is_dir() else path
    catalogue, people, problems = read_1m_sides(ratings.parent)
    events = _read_ratings(ratings, "::")
    return assemble("ml-1m", events, catalogue=catalogue, people=people, problems=problems)


def read_1m_sides(
    folder: Path,
) -> tuple[Catalogue | None, People | None, tuple[Problem, ...]]:
    """The catalogue and the users of MovieLens 1M, None where missing, and unusable films."""
    catalogue, problems = read_catalogue(folder / "movies.dat", _item_1m)
    people = read_people(
        folder / "users.dat", "::", columns={"gender": 1, "age": 2, "occupation": 3}
    )
    return catalogue, people, problems


def read_catalogue(
    path: Path, parse: Callable[[str], Item | None]
) -> tuple[Catalogue | None, tuple[Problem, ...]]:
    """Read a file of films; None if there is no such file."""
    if not path.is_file():
        return None, ()
    items: dict[str, Item] = {}
    problems = []
    for number, line in enumerate(read_lines(path, encoding="latin-1"), start=1):
        item = parse(line)
        if item is None:
            problems.append(Problem(line=number, reason="not a film", source="catalogue"))
        elif item.item_id in items:
            problems.append(Problem(line=number, reason="a repeated item id", source="catalogue"))
        else:
            items[item.item_id] = item
    catalogue = Catalogue(
        item_ids=tuple(items),
        titles=tuple(item.title for item in items.values()),
        categories=tuple(item.genres for item in items.values()),
        years=tuple(item.year for item in items.values()),
    )
    return catalogue, tuple(problems)


def read_people(path: Path, separator: str, *, columns: dict[str, int]) -> People | None:
    """Read a file of users; None if there is no such file.

    Zip codes are left in the file: nothing here needs where somebody lives.

    Args:
        path: The file: a line a user, the identifier first, five fields.
        separator: Between fields.
        columns: Field of each attribute, from 0.
    """
    if not path.is_file():
        return None
    rows: dict[str, list[str]] = {}
    problems = []
    for number, line in enumerate(read_lines(path, encoding="latin-1"), start=1):
        fields = line.split(separator)
        if len(fields) != 5 or not fields[0]:
            reason = f"expected 5 fields, found {len(fields)}"
            problems.append(Problem(line=number, reason=reason, source="users"))
        elif fields[0] in rows:
            problems.append(Problem(line=number, reason="a repeated user id", source="users"))
        else:
            rows[fields[0]] = fields
    return People(
        user_ids=tuple(rows),
        attributes={
            name: tuple(row[column] for row in rows.values()) for name, column in columns.items()
        },
        problems=tuple(problems),
    )


def _read_ratings(path: Path, separator: str) -> Events:
    """Ratings: user, item, rating, seconds; a pattern picks the lines that numpy may parse."""
    if not path.is_file():
        raise InputError(f"Expected a file of ratings at {path}, found none.")
    lines = read_lines(path, encoding="latin-1")
    matches = re.compile(separator.join(p.pattern for p, _ in _FIELDS)).fullmatch
    good = [number for number, line in enumerate(lines) if matches(line)]
    problems = tuple(
        Problem(line=number + 1, reason=_explain(lines[number], separator))
        for number in sorted(set(range(len(lines))).difference(good))
        if lines[number].strip()
    )
    text = "\n".join(lines[number] for number in good).replace(separator, " ")
    table = np.fromstring(text, np.float64, sep=" ").reshape(-1, len(_FIELDS))
    user_ids, users = factorise_integers(table[:, 0].astype(np.int64))
    item_ids, items = factorise_integers(table[:, 1].astype(np.int64))
    return Events(
        user_ids=user_ids,
        users=users,
        item_ids=item_ids,
        items=items,
        weights=table[:, 2].copy(),
        times=table[:, 3].astype(np.int64),
        lines=np.array(good, np.int64) + 1,
        problems=problems,
    )


def _explain(line: str, separator: str) -> str:
    """Why a line is not a rating."""
    fields = line.split(separator)
    if len(fields) != len(_FIELDS):
        return f"expected {len(_FIELDS)} fields, found {len(fields)}"
    found = zip(fields, _FIELDS, strict=True)
    return next(reason for value, (pattern, reason) in found if not pattern.fullmatch(value))


def _item_100k(line: str) -> Item | None:
    fields = line.split("|")
    if len(fields) != 6 + len(GENRES_100K) or not fields[0]:
        return None
    flags = zip(GENRES_100K, fields[6:], strict=True)
    title, year = _title_and_year(fields[1])
    released = fields[2][-4:]
    return Item(
        item_id=fields[0],
        title=title,
        genres=tuple(genre for genre, flag in flags if flag == "1"),
        year=year or (int(released) if released.isdecimal() else 0),
    )


def _item_1m(line: str) -> Item | None:
    fields = line.split("::")
    if len(fields) != 3 or not fields[0]:
        return None
    title, year = _title_and_year(fields[1])
    genres = tuple(genre for genre in fields[2].split("|") if genre)
    return Item(item_id=fields[0], title=title, genres=genres, year=year)


def _title_and_year(text: str) -> tuple[str, int]:
    """``Toy Story (1995)`` becomes ``Toy Story`` and 1995; 0 where there is no year."""
    found = _YEAR.search(text)
    return (text[: found.start()], int(found[1])) if found else (text.strip(), 0)
