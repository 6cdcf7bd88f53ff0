import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError
from privet.simulations.data.csv import Columns, read_catalogue, read_csv
from privet.simulations.data.dataset import Dataset

PLAIN = "user_id,item_id,weight,datetime\nu1,i1,2.5,100\nu1,i2,1,200\nu2,i1,4,300\n"


def _write(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def _events(dataset: Dataset) -> dict[tuple[str, str], tuple[float, int]]:
    cohort = dataset.cohort
    return {
        (dataset.user_ids[row], dataset.catalogue.item_ids[item]): (weight, when)
        for row, item, weight, when in zip(
            cohort.rows.tolist(),
            cohort.items.tolist(),
            cohort.weights.tolist(),
            cohort.times.tolist(),
            strict=True,
        )
    }


EXPECTED = {("u1", "i1"): (2.5, 100), ("u1", "i2"): (1.0, 200), ("u2", "i1"): (4.0, 300)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_delimiter_line_end_and_byte_order_mark_reads_alike(
    tmp_path: Path, delimiter: str, end: str, mark: str
) -> None:
    text = mark + PLAIN.replace(",", delimiter).replace("\n", end)
    dataset = read_csv(_write(tmp_path, text))
    assert _events(dataset) == EXPECTED
    assert (dataset.problems, dataset.rows_read) == ((), 3)
    assert not dataset.catalogue.declared_public


def test_columns_may_have_any_name_and_order(tmp_path: Path) -> None:
    text = "when,extra,film,score,who\n100,x,i1,2.5,u1\n200,x,i2,1,u1\n300,x,i1,4,u2\n"
    columns = Columns(user_id="who", item_id="film", weight="score", datetime="when")
    assert _events(read_csv(_write(tmp_path, text), columns=columns)) == EXPECTED


def test_weight_and_datetime_may_be_absent(tmp_path: Path) -> None:
    dataset = read_csv(_write(tmp_path, "user_id,item_id\nu1,i1\nu1,i2\nu2,i1\n"))
    assert set(_events(dataset).values()) == {(1.0, 0)}


def test_a_column_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    path = _write(tmp_path, PLAIN)
    with pytest.raises(InputError, match="stars"):
        read_csv(path, columns=Columns(weight="stars"))
    ignored = read_csv(path, columns=Columns(weight=None))
    assert set(ignored.cohort.weights.tolist()) == {1.0}


def test_a_missing_header_is_reported_without_quoting_the_first_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="user_id, item_id") as error:
        read_csv(_write(tmp_path, "alice,diary\nbob,diary\n"))
    assert "alice" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-01-01T00:00:00Z", 1_704_067_200),
        ("2024-01-01 01:00:00+01:00", 1_704_067_200),
        ("2024-01-01", 1_704_067_200),
        ("1704067200", 1_704_067_200),
        ("1704067200.9", 1_704_067_200),
        ("", 0),
    ],
)
def test_times_are_iso_or_unix_seconds_and_utc_by_default(
    tmp_path: Path, text: str, seconds: int
) -> None:
    rows = f"user_id,item_id,datetime\nu1,i1,{text}\nu1,i2,1\nu2,i1,1\n"
    assert _events(read_csv(_write(tmp_path, rows)))["u1", "i1"][1] == seconds


def test_malformed_rows_are_reported_by_line_and_nothing_is_lost(tmp_path: Path) -> None:
    bad = {
        "u1,i3": "expected 4 fields, found 2",
        'u1,"i3,1,5': "quotation marks do not match",
        ",i3,1,5": "the user id or the item id is empty",
        "u1,i3,0,5": "the weight is not a number above 0",
        "u1,i3,nan,5": "the weight is not a number above 0",
        "u1,i3,lots,5": "the weight is not a number above 0",
        "u1,i3,1,tomorrow": "the time is neither Unix seconds nor ISO 8601",
        "u1,i3,1,1704067200000": "the time is beyond the year 9999; Unix times are in seconds",
    }
    text = PLAIN + "\n" + "\n".join(bad) + "\nu1,i1,9,99\n"
    dataset = read_csv(_write(tmp_path, text))
    assert [problem.line for problem in dataset.problems] == list(range(6, 14))
    assert [problem.reason for problem in dataset.problems] == list(bad.values())
    assert dataset.rows_read == 12 == len(dataset.cohort.items) + len(bad) + dataset.duplicates
    assert _events(dataset) == EXPECTED, "an earlier repetition does not count"


def test_a_stray_quotation_mark_does_not_swallow_the_rows_after_it(tmp_path: Path) -> None:
    text = 'user_id,item_id\nu1,"i1\nu1,i2\nu2,i1\nu2,i2"\n'
    dataset = read_csv(_write(tmp_path, text))
    assert ("u2", "i1") in _events(dataset)
    assert [problem.line for problem in dataset.problems] == [2]


def test_repeated_pairs_keep_the_last_in_time_else_in_the_file(tmp_path: Path) -> None:
    rows = "u1,i1,1,300\nu1,i1,2,100\nu2,i2,1,100\nu2,i2,2,100\n"
    dataset = read_csv(_write(tmp_path, PLAIN.split("\n")[0] + "\n" + rows))
    assert _events(dataset) == {("u1", "i1"): (1.0, 300), ("u2", "i2"): (2.0, 100)}
    assert dataset.duplicates == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("user_id,item_id\n", "0 row"),
        ("user_id,item_id\nu1,i1\nu1,i2\n", "found 1 user"),
        ("user_id,item_id\nu1,i1\nu2,i1\n", "and 1 item"),
    ],
)
def test_too_little_data_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_csv(_write(tmp_path, text))


def test_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(PLAIN.encode("utf-16"))
    with pytest.raises(InputError, match="utf-8"):
        read_csv(path)
    with pytest.raises(InputError, match="Cannot read"):
        read_csv(tmp_path / "absent.csv")


def test_a_catalogue_beside_the_data_is_public_and_decides_what_is_an_item(tmp_path: Path) -> None:
    items = _write(
        tmp_path,
        'item_id,title,categories,year\ni1,"One, two",a|b,1999\ni2,Two,,\ni9,Nine,c,soon\ni1,x,,\n',
        "items.csv",
    )
    dataset = read_csv(_write(tmp_path, PLAIN + "u2,i5,1,400\n"), catalogue=items)
    assert dataset.catalogue.declared_public
    assert dataset.catalogue.item_ids == ("i1", "i2", "i9")
    assert dataset.catalogue.titles == ("One, two", "Two", "Nine")
    assert dataset.catalogue.categories == (("a", "b"), (), ("c",))
    assert dataset.catalogue.years == (1999, 0, 0)
    found = [(problem.source, problem.line) for problem in dataset.problems]
    assert found == [("interactions", 5), ("catalogue", 4), ("catalogue", 5)]
    assert _events(dataset) == EXPECTED
    assert dataset.duplicates == 0


def test_descriptions_and_durations_are_read_and_are_part_of_the_catalogues_hash(
    tmp_path: Path,
) -> None:
    text = "item_id,description,duration\ni1,A ship,5400\ni2,,soon\n"
    catalogue, problems = read_catalogue(_write(tmp_path, text))
    assert catalogue.descriptions == ("A ship", "")
    assert catalogue.durations == (5400, 0)
    assert [(problem.line, problem.reason) for problem in problems] == [
        (3, "the duration is not a whole number and counts as unknown")
    ]
    for change in ("A boat,5400", "A ship,5401"):
        other, _ = read_catalogue(_write(tmp_path, text.replace("A ship,5400", change)))
        assert other.hash != catalogue.hash
    with pytest.raises(InputError, match="durations of 0 or more"):
        Catalogue(item_ids=("i1",), durations=(-1,))


def test_prices_are_read_to_the_hundredth(tmp_path: Path) -> None:
    said = ["19.99", "20", "0.5", "1e3", "1.999", "-1", ".5", ""]
    lines = "".join(f"i{n},{price}\n" for n, price in enumerate(said))
    catalogue, problems = read_catalogue(_write(tmp_path, f"item_id,price\n{lines}"))
    assert catalogue.prices == (1999, 2000, 50, 0, 0, 0, 0, 0)
    assert [problem.line for problem in problems] == [5, 6, 7, 8]
    assert problems[0].reason == (
        "the price is not a number with at most two decimals and counts as unknown"
    )
    with pytest.raises(InputError, match="prices of 0 or more"):
        Catalogue(item_ids=("i1",), prices=(-1,))


def test_a_catalogue_needs_identifiers_alone(tmp_path: Path) -> None:
    catalogue, problems = read_catalogue(_write(tmp_path, "item_id\n5\n3\n"))
    assert (catalogue.item_ids, catalogue.titles, problems) == (("5", "3"), (), ())


_ID = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=8
).filter(lambda text: bool(text.strip()))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.tuples(_ID, _ID),
        st.tuples(st.floats(0.01, 1e6), st.integers(1, 4_000_000_000)),
        min_size=2,
        max_size=12,
    ).filter(lambda events: min(len(set(ids)) for ids in zip(*events, strict=True)) >= 2),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_any_identifiers_survive_a_round_trip(
    tmp_path: Path, events: dict[tuple[str, str], tuple[float, int]], delimiter: str, quoting: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["user_id", "item_id", "weight", "datetime"])
    writer.writerows([*pair, *values] for pair, values in events.items())
    dataset = read_csv(_write(tmp_path, text.getvalue()))
    assert dataset.problems == ()
    assert _events(dataset) == events


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text('ui12,"\t. ', max_size=12), max_size=12))
def test_whatever_the_rows_none_is_lost(tmp_path: Path, rows: list[str]) -> None:
    dataset = read_csv(_write(tmp_path, PLAIN + "\n".join(rows)))
    filled = sum(bool(row.strip()) for row in rows)
    assert dataset.rows_read == 3 + filled
    assert dataset.duplicates >= 0
    assert np.all(dataset.cohort.weights > 0)


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    header, *rows = PLAIN.strip().split("\n")
    forth = read_csv(_write(tmp_path, PLAIN))
    back = read_csv(_write(tmp_path, "\n".join([header, *rows[::-1]]), "back.csv"))
    assert (forth.user_ids, forth.catalogue) == (back.user_ids, back.catalogue)
    assert _events(forth) == _events(back)
