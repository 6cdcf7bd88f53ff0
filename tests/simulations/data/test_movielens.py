import time
from pathlib import Path

import numpy as np
import pytest

from privet.privacy.errors import InputError
from privet.simulations.data.dataset import Dataset
from privet.simulations.data.load import data_root
from privet.simulations.data.movielens import GENRES_100K, read_1m, read_100k

MOVIES = "1::Toy Story (1995)::Animation|Comedy\n2::Café (1931)::Drama\n3::No year::\n"
PEOPLE = "1::F::1::10::48067\n2::M::56::16::70072\n9::M::25::15::55117\n"
RATINGS = "1::1::5::978300760\n1::2::3.5::978302109\n2::1::4::978301968\n"


def _events(dataset: Dataset) -> list[tuple[str, str, float, int]]:
    cohort = dataset.cohort
    columns = (cohort.rows, cohort.items, cohort.weights, cohort.times)
    return sorted(
        (dataset.user_ids[row], dataset.catalogue.item_ids[item], weight, when)
        for row, item, weight, when in zip(*(c.tolist() for c in columns), strict=True)
    )


@pytest.fixture
def folder_1m(tmp_path: Path) -> Path:
    (tmp_path / "movies.dat").write_text(MOVIES, encoding="latin-1")
    (tmp_path / "users.dat").write_text(PEOPLE)
    (tmp_path / "ratings.dat").write_text(RATINGS)
    return tmp_path


@pytest.fixture
def folder_100k(tmp_path: Path) -> Path:
    flags = "|".join("1" if name in ("Comedy", "War") else "0" for name in GENRES_100K)
    none = "1|" + "|".join("0" for _ in GENRES_100K)
    (tmp_path / "u.item").write_text(
        f"1|Café (1931)|01-Jan-1995||url|0|{flags}\n2|Bare|02-Feb-1996||url|{none}\n",
        encoding="latin-1",
    )
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")
    (tmp_path / "u.data").write_text("1\t1\t5\t881250949\n1\t2\t3\t891717742\n2\t1\t4\t878887116\n")
    return tmp_path


def test_1m_keeps_every_rating_film_and_user(folder_1m: Path) -> None:
    dataset = read_1m(folder_1m)
    assert _events(dataset) == [
        ("1", "1", 5.0, 978300760),
        ("1", "2", 3.5, 978302109),
        ("2", "1", 4.0, 978301968),
    ]
    assert dataset.catalogue.titles == ("Toy Story", "Café", "No year")
    assert dataset.catalogue.years == (1995, 1931, 0)
    assert dataset.catalogue.categories == (("Animation", "Comedy"), ("Drama",), ())
    assert dataset.catalogue.declared_public
    assert dataset.user_ids == ("1", "2", "9")
    assert dataset.attributes["gender"] == ("F", "M", "M")
    assert (dataset.problems, dataset.duplicates) == ((), 0)


def test_100k_keeps_every_rating_film_and_user(folder_100k: Path) -> None:
    dataset = read_100k(folder_100k / "u.data")
    assert [event[:3] for event in _events(dataset)] == [
        ("1", "1", 5.0),
        ("1", "2", 3.0),
        ("2", "1", 4.0),
    ]
    assert dataset.catalogue.titles == ("Café", "Bare")
    assert dataset.catalogue.years == (1931, 1996)
    assert dataset.catalogue.categories == (("Comedy", "War"), ())
    assert dataset.attributes["age"] == ("24", "53")
    assert dataset.attributes["occupation"] == ("technician", "other")


def test_zip_codes_are_not_read(folder_1m: Path) -> None:
    assert set(read_1m(folder_1m).attributes) == {"gender", "age", "occupation"}


def test_malformed_ratings_are_reported_by_line_and_nothing_is_lost(folder_1m: Path) -> None:
    bad = {
        "1::3::4": "expected 4 fields, found 3",
        "x::3::4::978300760": "the user id is not a whole number",
        "1::3::0::978300760": "the rating is not a number above 0",
        "1::3::4::yesterday": "the time is not in Unix seconds",
        "1::77::4::978300760": "the item is not in the catalogue",
    }
    text = RATINGS + "\n".join(bad) + "\n\n" + "1::1::2::978300761\n"
    (folder_1m / "ratings.dat").write_text(text)
    dataset = read_1m(folder_1m)
    assert [problem.line for problem in dataset.problems] == [4, 5, 6, 7, 8]
    assert [problem.reason for problem in dataset.problems] == list(bad.values())
    assert dataset.duplicates == 1
    assert dataset.rows_read == 9 == len(dataset.cohort.items) + 5 + 1
    assert ("1", "1", 2.0, 978300761) in _events(dataset), "the last in time counts"


def test_problems_of_the_other_files_do_not_count_as_ratings(folder_1m: Path) -> None:
    (folder_1m / "movies.dat").write_text(MOVIES + "4::short\n1::Again::Drama\n", "latin-1")
    (folder_1m / "users.dat").write_text(PEOPLE + "12::F\n")
    dataset = read_1m(folder_1m)
    found = [(problem.source, problem.line) for problem in dataset.problems]
    assert found == [("users", 4), ("catalogue", 4), ("catalogue", 5)]
    assert (dataset.rows_read, dataset.duplicates) == (3, 0)


def test_without_the_film_file_the_catalogue_is_inferred_and_says_so(folder_1m: Path) -> None:
    (folder_1m / "movies.dat").unlink()
    (folder_1m / "users.dat").unlink()
    (folder_1m / "ratings.dat").write_text(RATINGS + "2::10::4::978301968\n")
    dataset = read_1m(folder_1m)
    assert not dataset.catalogue.declared_public
    assert dataset.catalogue.item_ids == ("1", "2", "10"), "in numerical order"
    assert dataset.attributes == {}


def test_users_without_a_line_of_their_own_come_last_with_attributes_unknown(
    folder_1m: Path,
) -> None:
    (folder_1m / "ratings.dat").write_text(RATINGS + "5::1::4::978301968\n")
    dataset = read_1m(folder_1m)
    assert dataset.user_ids == ("1", "2", "9", "5")
    assert dataset.attributes["gender"][-1] == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("not\na rating\n", "2 unusable. First unusable row: line 1"),
        ("1::1::5::978300760\n1::2::5::978300760\n", "found 1 user"),
        ("1::1::5::978300760\n2::1::5::978300760\n", "and 1 item"),
    ],
)
def test_too_little_data_is_refused(folder_1m: Path, text: str, message: str) -> None:
    (folder_1m / "ratings.dat").write_text(text)
    with pytest.raises(InputError, match=message):
        read_1m(folder_1m)


def test_a_missing_file_of_ratings_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ratings\.dat"):
        read_1m(tmp_path)


def test_problems_never_quote_what_a_user_did(folder_1m: Path) -> None:
    (folder_1m / "ratings.dat").write_text(RATINGS + "secret::hidden::private::own\na::b\n")
    text = " ".join(map(str, read_1m(folder_1m).problems))
    assert not any(word in text for word in ("secret", "hidden", "private", "own\n"))


def test_a_large_file_of_ratings_imports_in_seconds(tmp_path: Path) -> None:
    # A fifth of MovieLens 1M's ratings; the bound is five times what a million may take.
    rng = np.random.default_rng(0)
    users, items = rng.integers(1, 6041, 200_000), rng.integers(1, 3953, 200_000)
    rows = zip(users.tolist(), items.tolist(), strict=True)
    text = "\n".join(f"{user}::{item}::3::978300760" for user, item in rows)
    (tmp_path / "ratings.dat").write_text(text + "\nbroken\n")
    begin = time.process_time()
    dataset = read_1m(tmp_path)
    assert time.process_time() - begin < 10 / 5
    assert [problem.line for problem in dataset.problems] == [200_001]
    distinct = len(np.unique(users * 4000 + items))
    assert len(dataset.cohort.items) == distinct
    assert dataset.duplicates == 200_000 - distinct


@pytest.mark.skipif(not (data_root() / "ml-100k").is_dir(), reason="MovieLens 100K is not here")
def test_movielens_100k_has_its_published_size() -> None:
    begin = time.process_time()
    dataset = read_100k(data_root() / "ml-100k")
    assert time.process_time() - begin < 1
    assert (len(dataset.user_ids), len(dataset.catalogue)) == (943, 1682)
    assert (len(dataset.cohort.items), dataset.rows_read, dataset.problems) == (
        100_000,
        100_000,
        (),
    )
    assert dataset.catalogue.titles[0] == "Toy Story"
    assert dataset.catalogue.categories[0] == ("Animation", "Children's", "Comedy")
