import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset
from privet.simulations.data.load import data_root
from privet.simulations.data.splits_npz import read_splits

FULL: dict[str, list[int]] = {
    "train_user": [1, 1, 2, 3],
    "train_item": [10, 20, 10, 40],
    "valid_user": [2],
    "valid_item": [40],
    "test_user": [1, 3],
    "test_item": [40, 20],
}
HELD_OUT: dict[str, Any] = {
    "user_id": [3, 1, 2],
    "item_id": [20, 40, 30],
    "timestamp": [300, 100, 200],
    "negatives": [[10, 30], [30, 40], [20, 40]],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"{item}::Film {item} (1990)::Drama\n" for item in (10, 20, 30, 40))
    (tmp_path / "movies.dat").write_text(rows)
    (tmp_path / "users.dat").write_text("".join(f"{u}::F::25::1::0\n" for u in (1, 2, 3)))
    _save(tmp_path / "full_ranking.npz", FULL)
    _save(tmp_path / "leave_one_out.npz", HELD_OUT)
    return tmp_path


def _save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, allow_pickle=False, **{name: np.array(v) for name, v in arrays.items()})


def _pairs(part: Any) -> set[tuple[int, int]]:
    return set(zip(part.rows.tolist(), part.items.tolist(), strict=True))


def test_a_full_split_is_taken_as_it_is(folder: Path) -> None:
    dataset = read_splits(folder / "full_ranking.npz")
    split = dataset.split
    assert split is not None and split.valid is not None
    assert _pairs(split.train) == {(0, 0), (0, 1), (1, 0), (2, 3)}
    assert _pairs(split.valid) == {(1, 3)}
    assert _pairs(split.test) == {(0, 3), (2, 1)}
    assert len(dataset.cohort.items) == dataset.rows_read == 7
    assert dataset.catalogue.item_ids == ("10", "20", "30", "40")
    assert dataset.attributes["gender"] == ("F", "F", "F")


def test_leave_one_out_trains_on_all_other_pairs(folder: Path) -> None:
    dataset = read_splits(folder / "leave_one_out.npz")
    split = dataset.split
    assert split is not None and split.valid is None
    assert _pairs(split.test) == {(2, 1), (0, 3), (1, 2)}
    assert _pairs(split.train) == {(0, 0), (0, 1), (1, 0), (1, 3), (2, 3)}
    assert split.test.times.tolist() == [100, 200, 300]
    # One held-out pair is in no part of the full split, so it is an event of its own.
    assert (dataset.rows_read, len(dataset.cohort.items), dataset.duplicates) == (10, 8, 2)


def test_a_negative_that_is_the_positive_is_dropped(folder: Path) -> None:
    split = read_splits(folder / "leave_one_out.npz").split
    assert split is not None and split.negatives is not None
    assert split.negatives.tolist() == [[2, -1], [1, 3], [0, 2]]


def test_without_the_files_beside_it_items_are_inferred_and_not_public(folder: Path) -> None:
    (folder / "movies.dat").unlink()
    (folder / "users.dat").unlink()
    dataset = read_splits(folder / "full_ranking.npz")
    assert dataset.catalogue.item_ids == ("10", "20", "40")
    assert not dataset.catalogue.declared_public


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_item": [40]}, "as many users as items"),
        ({"test_item": [10, 20]}, "disjoint"),
        ({"test_item": [40, 77]}, "not in the catalogue"),
        ({"test_item": [0.5, 2.0]}, "whole numbers"),
    ],
)
def test_a_full_split_that_does_not_fit_is_refused(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    _save(folder / "full_ranking.npz", FULL | change)
    with pytest.raises(InputError, match=message):
        read_splits(folder / "full_ranking.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user_id": [1, 1, 2]}, "one held-out item a user"),
        ({"negatives": [[10, 30]]}, "one row of negatives"),
        ({"negatives": [[10, 30], [30, 77], [20, 40]]}, "negatives .* not in the catalogue"),
        ({"timestamp": [1]}, "as many times"),
    ],
)
def test_held_out_items_that_do_not_fit_are_refused(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    _save(folder / "leave_one_out.npz", HELD_OUT | change)
    with pytest.raises(InputError, match=message):
        read_splits(folder / "leave_one_out.npz")


def test_files_that_are_no_splits_are_refused(folder: Path) -> None:
    _save(folder / "other.npz", {"something": [1]})
    with pytest.raises(InputError, match="train_user"):
        read_splits(folder / "other.npz")
    whole = (folder / "full_ranking.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="truncated"):
        read_splits(folder / "cut.npz")
    with (folder / "array.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(InputError, match="not an archive"):
        read_splits(folder / "array.npz")
    (folder / "full_ranking.npz").unlink()
    with pytest.raises(InputError, match="training data"):
        read_splits(folder / "leave_one_out.npz")


needs_ml_1m = pytest.mark.skipif(
    not (data_root() / "ml-1m").is_dir(), reason="MovieLens 1M is not here"
)


@functools.cache
def _real(name: str) -> Dataset:
    return read_splits(data_root() / "ml-1m" / f"{name}.npz")


@needs_ml_1m
def test_movielens_1m_full_ranking_has_its_published_sizes() -> None:
    dataset = _real("full_ranking")
    split = dataset.split
    assert split is not None and split.valid is not None
    sizes = [len(part.items) for part in (split.train, split.valid, split.test)]
    assert sizes == [720_150, 80_017, 200_042]
    assert (len(dataset.user_ids), len(dataset.catalogue)) == (6040, 3883)
    assert dataset.catalogue.declared_public
    assert (dataset.duplicates, dataset.problems) == (0, ())


@needs_ml_1m
def test_movielens_1m_leave_one_out_has_its_published_sizes() -> None:
    dataset = _real("leave_one_out")
    split = dataset.split
    assert split is not None and split.negatives is not None
    assert split.test.sizes.tolist() == [1] * 6040
    assert len(split.train.items) == 1_000_209 - 6_040 + 2
    assert not _pairs(split.train) & _pairs(split.test)
    missing: NDArray[np.int64] = np.sum(split.negatives < 0, axis=1)
    assert np.count_nonzero(missing) == 156
    assert split.negatives.shape == (6040, 99)


@needs_ml_1m
def test_popularity_on_movielens_1m_scores_the_published_figure() -> None:
    # Ties count for the positive there; the right pairing of users, items and negatives shows.
    split = _real("leave_one_out").split
    assert split is not None and split.negatives is not None
    popularity = np.bincount(split.train.items, minlength=split.train.n_items)
    positive = popularity[split.test.items][:, None]
    rivals = np.where(split.negatives < 0, -1, popularity[split.negatives])
    hits = np.sum(rivals > positive, axis=1) < 10
    assert hits.mean() == pytest.approx(0.4535, abs=0.002)
