"""The ``.privet`` file: a whole data set in one npz with a JSON header, and no pickle.

Version 2 holds ``header`` (UTF-8 JSON as bytes) and, for ``cohort`` and for each part of the
split, ``<part>_{indptr,items,weights,times}``; then ``negatives`` if the split has them. The
same data set always makes the same bytes.
"""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from privet.models.catalogue import Catalogue
from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Problem, Split
from privet.simulations.data.npz import read_npz

FORMAT = "privet-dataset"
VERSION = 3
SUFFIX = ".privet"
_PARTS = ("train", "valid", "test")


def save(dataset: Dataset, path: Path | str) -> None:
    """Write a data set. The file has users' histories in the clear; guard it accordingly.

    Args:
        dataset: What to write.
        path: A path that ends in ``.privet``; replaced as a whole if it exists.

    Raises:
        InputError: Another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"Expected a path that ends in {SUFFIX}, found {path}.")
    header = np.frombuffer(json.dumps(_header(dataset)).encode(), np.uint8)
    arrays: dict[str, NDArray[Any]] = {"header": header}
    arrays |= _cohort_arrays("cohort", dataset.cohort)
    for part in _PARTS:
        cohort = getattr(dataset.split, part, None)
        if cohort is not None:
            arrays |= _cohort_arrays(part, cohort)
    if dataset.split is not None and dataset.split.negatives is not None:
        arrays["negatives"] = dataset.split.negatives
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # A handle, because numpy would add ".npz" to a name; renamed, so that a crash or a full
        # disk leaves no half file behind.
        with partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"Cannot write {path}: {error.strerror}.") from error


def read(path: Path | str) -> Dataset:
    """Read a data set that ``save`` wrote.

    Raises:
        InputError: Not such a file, written by a later version, truncated or damaged.
    """
    path = Path(path)
    arrays = read_npz(path)
    header = _parse_header(path, arrays.get("header"))
    try:
        return _dataset(header, arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged: its header and its arrays do not fit.") from error


def is_privet_file(path: Path) -> bool:
    """Whether a file looks like one of these, judging by its content."""
    try:
        with zipfile.ZipFile(path) as file:
            return "header.npy" in file.namelist()
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False


def _header(dataset: Dataset) -> dict[str, Any]:
    """Everything that is not an array."""
    catalogue, split = dataset.catalogue, dataset.split
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.name,
        "catalogue": {
            "item_ids": catalogue.item_ids,
            "titles": catalogue.titles,
            "categories": catalogue.categories,
            "years": catalogue.years,
            "descriptions": catalogue.descriptions,
            "durations": catalogue.durations,
            "prices": catalogue.prices,
            "declared_public": catalogue.declared_public,
        },
        "user_ids": dataset.user_ids,
        "attributes": dict(dataset.attributes),
        "problems": [[p.line, p.reason, p.source] for p in dataset.problems],
        "rows_read": dataset.rows_read,
        "split": None if split is None else split.name,
    }


def _parse_header(path: Path, raw: NDArray[Any] | None) -> dict[str, Any]:
    """The header, if it is one of ours and of a version that can be read."""
    try:
        header = json.loads(b"" if raw is None else raw.tobytes())
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError(f"{path} is not a {SUFFIX} file: it has no header of format {FORMAT!r}.")
    if header.get("version") != VERSION:
        raise InputError(
            f"{path} is of another version of the {SUFFIX} format; this release reads version "
            f"{VERSION}. Update privet, or import the data anew."
        )
    return header


def _dataset(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Dataset:
    """Put a data set together again."""
    items = header["catalogue"]
    catalogue = Catalogue(
        item_ids=tuple(items["item_ids"]),
        titles=tuple(items["titles"]),
        categories=tuple(tuple(names) for names in items["categories"]),
        years=tuple(items["years"]),
        descriptions=tuple(items["descriptions"]),
        durations=tuple(items["durations"]),
        prices=tuple(items["prices"]),
        declared_public=items["declared_public"],
    )
    split = None
    if header["split"] is not None:
        split = Split(
            name=header["split"],
            train=_cohort("train", arrays, catalogue),
            valid=_cohort("valid", arrays, catalogue) if "valid_items" in arrays else None,
            test=_cohort("test", arrays, catalogue),
            negatives=arrays.get("negatives"),
        )
    return Dataset(
        name=header["name"],
        catalogue=catalogue,
        user_ids=tuple(header["user_ids"]),
        cohort=_cohort("cohort", arrays, catalogue),
        problems=tuple(
            Problem(line=line, reason=reason, source=source)
            for line, reason, source in header["problems"]
        ),
        rows_read=header["rows_read"],
        split=split,
        attributes={name: tuple(values) for name, values in header["attributes"].items()},
    )


def _cohort_arrays(part: str, cohort: Cohort) -> dict[str, NDArray[Any]]:
    return {
        f"{part}_indptr": cohort.indptr,
        f"{part}_items": cohort.items,
        f"{part}_weights": cohort.weights,
        f"{part}_times": cohort.times,
    }


def _cohort(part: str, arrays: dict[str, NDArray[Any]], catalogue: Catalogue) -> Cohort:
    indptr = arrays[f"{part}_indptr"].astype(np.int64)
    return Cohort(
        devices=np.arange(len(indptr) - 1, dtype=np.int64),
        indptr=indptr,
        items=arrays[f"{part}_items"].astype(np.int32),
        weights=arrays[f"{part}_weights"].astype(np.float64),
        times=arrays[f"{part}_times"].astype(np.int64),
        n_items=len(catalogue),
    )
