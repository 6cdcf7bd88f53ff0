"""One door to all importers: ``load`` picks by what it finds."""

import os
from pathlib import Path

from privet.privacy.errors import InputError
from privet.simulations.data import csv, movielens, privet_file, splits_npz
from privet.simulations.data.csv import Columns
from privet.simulations.data.dataset import Dataset

FORMATS = (
    "MovieLens 100K (folder with u.data), MovieLens 1M (folder with ratings.dat or "
    "full_ranking.npz), split arrays (.npz), CSV (.csv, .tsv, .txt), Privet (.privet)"
)
_OF_FOLDER = ("u.data", "ratings.dat", "full_ranking.npz")
_CSV = (".csv", ".tsv", ".txt")


def data_root() -> Path:
    """Where data sets are looked up by name: ``PRIVET_DATA``, or ``../shared/data``."""
    return Path(os.environ.get("PRIVET_DATA") or "../shared/data")


def load(
    path: Path | str, *, columns: Columns | None = None, catalogue: Path | str | None = None
) -> Dataset:
    """Read a data set in any known format.

    Args:
        path: A file or a folder; if there is none, it is also looked up under ``data_root()``.
        columns: Names of a CSV file's columns.
        catalogue: A CSV file of the items of a CSV file, looked up likewise.

    Raises:
        InputError: There is no such path, its format is not known, or it cannot be used.
    """
    found = _find(Path(path))
    if found.suffix.lower() in _CSV and found.is_file():
        items = None if catalogue is None else _find(Path(catalogue))
        return csv.read_csv(found, columns=columns, catalogue=items)
    if columns is not None or catalogue is not None:
        raise InputError(f"columns and catalogue are options of CSV files; {found} is none.")
    return _read(found)


def _read(path: Path) -> Dataset:
    """Whatever is not CSV."""
    if path.is_dir():
        return _read(_main_file(path))
    suffix = path.suffix.lower()
    if suffix == privet_file.SUFFIX or (suffix == ".npz" and privet_file.is_privet_file(path)):
        return privet_file.read(path)
    if suffix == ".npz":
        return splits_npz.read_splits(path)
    if path.name == "u.data":
        return movielens.read_100k(path)
    if path.name == "ratings.dat":
        return movielens.read_1m(path)
    raise InputError(f"The format of {path} is not known. Known formats: {FORMATS}.")


def _main_file(folder: Path) -> Path:
    """The file of interactions in a folder."""
    for name in _OF_FOLDER:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"Expected the folder {folder} to hold one of {', '.join(_OF_FOLDER)}; "
        f"name the file itself otherwise. Known formats: {FORMATS}."
    )


def _find(path: Path) -> Path:
    """The path itself, or the same under the data root."""
    under_root = data_root() / path
    for candidate in (path, under_root):
        if candidate.exists():
            return candidate
    raise InputError(
        f"There is no file or folder {path}, nor {under_root} (set PRIVET_DATA to look "
        f"elsewhere). Known formats: {FORMATS}."
    )
