"""Importer of MovieLens 1M as implicit feedback, with the splits that the literature uses.

``full_ranking.npz`` has {train,valid,test}_{user,item}; ``leave_one_out.npz`` has one held-out
item a user and sampled negatives, and takes its training data from ``full_ranking.npz`` beside it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Split
from privet.simulations.data.events import Events, Placed, place
from privet.simulations.data.movielens import read_1m_sides
from privet.simulations.data.npz import read_npz
from privet.simulations.data.splits import drop_positives, keep_events, merge
from privet.simulations.data.text import factorise_integers

Arrays = dict[str, NDArray[np.int64]]
FULL = ("train_user", "train_item", "valid_user", "valid_item", "test_user", "test_item")
HELD_OUT = ("user_id", "item_id", "negatives")


def read_splits(path: Path) -> Dataset:
    """Read either file; ``movies.dat`` and ``users.dat`` beside it are the items and users.

    Raises:
        InputError: The file is neither, is damaged, or its parts do not fit together.
    """
    arrays = _read_arrays(path)
    if set(FULL) <= set(arrays):
        return _full_ranking(path, arrays)
    if set(HELD_OUT) <= set(arrays):
        return _leave_one_out(path, arrays)
    raise InputError(
        f"Expected {path} to hold the arrays {', '.join(FULL)}, or {', '.join(HELD_OUT)}."
    )


def _full_ranking(path: Path, arrays: Arrays) -> Dataset:
    """Train, valid and test as they are; together they are the data set."""
    parts = ("train", "valid", "test")
    users, items = _pairs(arrays)
    placed = _placed(path, users, items)
    sizes = [len(arrays[f"{part}_user"]) for part in parts]
    of_part = np.repeat(np.arange(len(parts)), sizes)
    train, valid, test = (_cohort(placed, of_part == k) for k in range(len(parts)))
    everything = _cohort(placed, np.ones(len(users), bool))
    if len(train.items) + len(valid.items) + len(test.items) != len(everything.items):
        raise InputError(f"Expected the parts of {path} to be disjoint; some pairs are in two.")
    split = Split(name="full_ranking", train=train, valid=valid, test=test)
    return _dataset(placed, everything, split)


def _leave_one_out(path: Path, arrays: Arrays) -> Dataset:
    """Held-out pairs against negatives; training data are all other pairs."""
    beside = path.with_name("full_ranking.npz")
    if not beside.is_file():
        raise InputError(f"Expected the training data of {path} at {beside}, found none.")
    all_users, all_items = _pairs(_read_arrays(beside))
    users, items = arrays["user_id"], arrays["item_id"]
    if len(np.unique(users)) != len(users) or len(users) != len(items):
        raise InputError(f"Expected one held-out item a user in {path}.")
    times = arrays.get("timestamp", np.zeros(len(users), np.int64))
    if times.shape != users.shape:
        raise InputError(f"Expected as many times as held-out items in {path}.")
    placed = _placed(path, np.concatenate([all_users, users]), np.concatenate([all_items, items]))
    is_test = np.arange(len(placed.rows)) >= len(all_users)
    test = _cohort(placed, is_test, times=np.concatenate([np.zeros(len(all_users), int), times]))
    known = _cohort(placed, ~is_test)
    held_out = np.isin(_keys(known), _keys(test))
    train = keep_events(known, ~held_out)
    negatives = _negatives(path, placed, placed.rows[is_test], arrays["negatives"])
    split = Split(
        name="leave_one_out",
        train=train,
        test=test,
        negatives=drop_positives(negatives, test),
    )
    return _dataset(placed, merge(train, test), split)


def _negatives(
    path: Path, placed: Placed, rows: NDArray[np.int64], ids: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Identifiers of negatives as item indices, one row a user, -1 where a user has none."""
    if ids.ndim != 2 or len(ids) != len(rows):
        raise InputError(f"Expected one row of negatives a held-out item in {path}.")
    names, codes = factorise_integers(ids.ravel())
    found = [placed.catalogue.index(name) for name in names]
    if None in found:
        raise InputError(f"Some negatives of {path} are not in the catalogue beside it.")
    indices = np.array(found, np.int32)[codes].reshape(ids.shape)
    negatives = np.full((len(placed.people.user_ids), ids.shape[1]), -1, np.int32)
    negatives[rows] = indices
    return negatives


def _placed(path: Path, users: NDArray[np.int64], items: NDArray[np.int64]) -> Placed:
    """Rows and columns of pairs of identifiers."""
    catalogue, people, problems = read_1m_sides(path.parent)
    user_ids, rows = factorise_integers(users)
    item_ids, columns = factorise_integers(items)
    events = Events(
        user_ids=user_ids,
        users=rows,
        item_ids=item_ids,
        items=columns,
        lines=np.arange(1, len(users) + 1),
    )
    placed = place(events, catalogue=catalogue, people=people)
    if problems or placed.problems:
        # A published split with parts left out would no longer be that split.
        found = (*placed.problems, *problems)
        raise InputError(f"{path} does not fit the files beside it: {found[0]}.")
    return placed


def _cohort(
    placed: Placed, of_part: NDArray[np.bool_], *, times: NDArray[np.int64] | None = None
) -> Cohort:
    """The events of one part."""
    return Cohort.from_pairs(
        placed.rows[of_part],
        placed.columns[of_part],
        n_users=len(placed.people.user_ids),
        n_items=len(placed.catalogue),
        times=None if times is None else times[of_part],
    )


def _dataset(placed: Placed, cohort: Cohort, split: Split) -> Dataset:
    return Dataset(
        name="ml-1m",
        catalogue=placed.catalogue,
        user_ids=placed.people.user_ids,
        cohort=cohort,
        problems=placed.people.problems,
        rows_read=len(placed.rows),
        split=split,
        attributes=placed.people.attributes,
    )


def _keys(cohort: Cohort) -> NDArray[np.int64]:
    return cohort.rows * cohort.n_items + cohort.items


def _pairs(arrays: Arrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All users and items of a full split, part after part."""
    users = [arrays[name] for name in FULL if name.endswith("user")]
    items = [arrays[name] for name in FULL if name.endswith("item")]
    if [array.shape for array in users] != [array.shape for array in items]:
        raise InputError("Expected as many users as items in each part of the split.")
    return np.concatenate(users), np.concatenate(items)


def _read_arrays(path: Path) -> Arrays:
    """All arrays of an npz file of whole numbers.

    Raises:
        InputError: It is no npz file, is damaged, or holds anything but whole numbers.
    """
    arrays = read_npz(path)
    if any(array.dtype.kind not in "iu" or not array.ndim for array in arrays.values()):
        raise InputError(f"Expected whole numbers alone in {path}.")
    return {name: array.astype(np.int64) for name, array in arrays.items()}
