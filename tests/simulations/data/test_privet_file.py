import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from privet.models.cohort import Cohort
from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset, Problem
from privet.simulations.data.privet_file import VERSION, read, save
from privet.simulations.data.splits import leave_one_out, random_split
from privet.simulations.data.synthetic import SyntheticConfig, synthesize


def _dataset() -> Dataset:
    dataset = synthesize(SyntheticConfig(users=12, items=30), seed=5).dataset
    weights = np.linspace(0.1, 5, len(dataset.cohort.items))
    described = replace(
        dataset.catalogue,
        descriptions=("", "é") * 15,
        durations=tuple(range(30)),
        prices=tuple(range(0, 60, 2)),
    )
    return replace(
        dataset,
        catalogue=described,
        name='naïve "name"',
        user_ids=("a,b", "ü\u2028", *dataset.user_ids[2:]),
        cohort=replace(dataset.cohort, weights=weights),
        problems=(Problem(line=3, reason="short"), Problem(line=1, reason="x", source="users")),
        rows_read=len(weights) + 4,
        attributes={"gender": ("F", "") * 6},
    )


def _same(a: Cohort | None, b: Cohort | None) -> bool:
    if a is None or b is None:
        return a is b
    names = ("devices", "indptr", "items", "weights", "times")
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return a.n_items == b.n_items and all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs
    )


@pytest.mark.parametrize("kind", ["none", "random", "leave-one-out"])
def test_a_data_set_survives_the_round_trip_whole(tmp_path: Path, kind: str) -> None:
    before = _dataset()
    rng = np.random.default_rng(0)
    if kind == "random":
        before = replace(before, split=random_split(before.cohort, rng=rng))
    elif kind == "leave-one-out":
        before = replace(before, split=leave_one_out(before.cohort, rng=rng, n_negatives=7))
    save(before, tmp_path / "d.privet")
    after = read(tmp_path / "d.privet")
    for name in ("name", "catalogue", "user_ids", "problems", "rows_read", "attributes"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.catalogue.hash == before.catalogue.hash
    assert _same(after.cohort, before.cohort)
    assert (after.split is None) == (before.split is None)
    if after.split and before.split:
        assert after.split.name == before.split.name
        for part in ("train", "valid", "test"):
            assert _same(getattr(after.split, part), getattr(before.split, part)), part
        assert np.array_equal(np.asarray(after.split.negatives), np.asarray(before.split.negatives))


def test_the_same_data_set_makes_the_same_bytes(tmp_path: Path) -> None:
    save(_dataset(), tmp_path / "a.privet")
    save(_dataset(), tmp_path / "b.privet")
    assert (tmp_path / "a.privet").read_bytes() == (tmp_path / "b.privet").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.privet", "b.privet"}


def test_saving_needs_the_right_ending_and_a_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.privet"):
        save(_dataset(), tmp_path / "d.npz")
    with pytest.raises(InputError, match="Cannot write"):
        save(_dataset(), tmp_path / "absent" / "d.privet")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "d.privet"
    save(_dataset(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"d\.privet"):
        read(path)


def test_a_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "d.privet"
    save(_dataset(), path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    path.write_bytes(bytes(whole))
    with pytest.raises(InputError, match="damaged"):
        read(path)


def test_other_files_and_later_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.privet"
    with pytest.raises(InputError, match="no file"):
        read(path)
    path.write_text("user_id,item_id\n")
    with pytest.raises(InputError, match="not an archive"):
        read(path)
    _archive(path, {"hello": 1})
    with pytest.raises(InputError, match="no header"):
        read(path)
    _archive(path, {"format": "privet-dataset", "version": VERSION + 1})
    with pytest.raises(InputError, match="another version"):
        read(path)
    _archive(path, {"format": "privet-dataset", "version": VERSION})
    with pytest.raises(InputError, match="do not fit"):
        read(path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "d.privet"
    with path.open("wb") as file:
        np.savez(file, header=np.array([{"format": "privet-dataset"}], object))
    with pytest.raises(InputError):
        read(path)


def _archive(path: Path, header: object) -> None:
    with path.open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8))
