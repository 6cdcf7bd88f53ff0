from pathlib import Path

import pytest

from privet.privacy.errors import InputError
from privet.simulations.data.csv import Columns
from privet.simulations.data.load import data_root, load
from privet.simulations.data.privet_file import save
from privet.simulations.data.synthetic import SyntheticConfig, synthesize

CSV = "user_id,item_id\nu1,i1\nu1,i2\nu2,i1\n"


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVET_DATA", str(tmp_path / "root"))


def test_the_importer_follows_from_what_is_there(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "u.data").write_text("1\t1\t5\t1\n1\t2\t3\t2\n2\t1\t4\t3\n")
    (new / "ratings.dat").write_text("1::1::5::1\n1::2::3::2\n2::1::4::3\n")
    made_up = synthesize(SyntheticConfig(users=5, items=9), seed=1).dataset
    save(made_up, tmp_path / "w.privet")
    (tmp_path / "w.privet").read_bytes()
    (tmp_path / "copy.npz").write_bytes((tmp_path / "w.privet").read_bytes())
    for path, name in [
        (old, "ml-100k"),
        (old / "u.data", "ml-100k"),
        (new, "ml-1m"),
        (new / "ratings.dat", "ml-1m"),
        (tmp_path / "w.privet", made_up.name),
        (tmp_path / "copy.npz", made_up.name),
    ]:
        assert load(path).name == name
    for ending in ("csv", "tsv", "txt", "CSV"):
        path = tmp_path / f"plain.{ending}"
        path.write_text(CSV.replace(",", "\t" if ending == "tsv" else ","))
        assert load(str(path)).rows_read == 3


def test_a_path_is_also_looked_up_under_the_data_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "mine.csv").write_text(CSV)
    (tmp_path / "root" / "items.csv").write_text("item_id\ni1\ni2\ni3\n")
    assert len(load("mine.csv", catalogue="items.csv").catalogue) == 3


def test_the_data_root_defaults_to_the_shared_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIVET_DATA")
    assert data_root() == Path("../shared/data")


def test_a_path_that_is_nowhere_names_both_places_and_the_formats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="PRIVET_DATA") as error:
        load("nowhere.csv")
    for expected in ("nowhere.csv", str(tmp_path / "root"), "u.data", "ratings.dat", ".privet"):
        assert expected in str(error.value)


def test_unknown_formats_and_folders_name_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("")
    with pytest.raises(InputError, match="Known formats"):
        load(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"u\.data, ratings\.dat"):
        load(tmp_path)


def test_options_of_csv_files_are_refused_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t1\t5\t1\n1\t2\t3\t2\n2\t1\t4\t3\n")
    with pytest.raises(InputError, match="options of CSV"):
        load(tmp_path, columns=Columns(user_id="who"))
