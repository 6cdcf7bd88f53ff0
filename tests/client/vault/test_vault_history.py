"""A store's events as a cohort of one, and as files to take along."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.vault.test_vault import ARRAYS, EVENTS, JSON, TEXTS
from tests.client.vault.world import NOW, fill, made

from privet.client.vault.event import Entry, EntryKind, Event
from privet.client.vault.history import Weighting, history
from privet.client.vault.portable import Contents, export_file, import_file
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError

CATALOGUE = Catalogue(item_ids=tuple("abcdef"))
DAY = 86_400


def of(*events: tuple[str, str, int], **more: Any) -> Any:
    made_of = [Event(kind=kind, item=item, time=at) for kind, item, at in events]
    return history(made_of, CATALOGUE, now=NOW, **more)


def test_unknown_items_are_counted_and_kept_for_a_later_catalogue(tmp_path: Path) -> None:
    with made(tmp_path / "me.db") as vault:
        vault.record(*(Event(kind="like", item=i, time=NOW) for i in ("a", "new", "new", "😀")))
        vault.record(Event(kind="search", context={"query": "funny"}))
        found = history(vault.events(), CATALOGUE, now=NOW)
        assert (found.unknown_items, found.unknown_events) == (2, 3)
        assert found.cohort.items.tolist() == [0]
        later = Catalogue(item_ids=(*"abcdef", "new"))
        assert history(vault.events(), later, now=NOW).cohort.items.tolist() == [0, 6]
        assert len(vault.events()) == 5


def test_weights_follow_the_kind_and_a_dislike_ends_what_was_before() -> None:
    found = of(("view", "b", 1), ("like", "a", 2), ("view", "a", 3), ("like", "c", 4))
    assert found.cohort.items.tolist() == [0, 1, 2]
    assert found.cohort.weights.tolist() == [1.0, 0.5, 1.0]
    assert found.cohort.times.tolist() == [3, 1, 4]
    assert found.order.tolist() == [1, 0, 2]
    assert of(("like", "a", 1), ("dislike", "a", 2)).cohort.items.tolist() == []
    assert of(("like", "a", 1), ("hide", "a", 2), ("view", "a", 3)).cohort.weights.tolist() == [0.5]
    assert of(("impression", "a", 1), ("skip", "b", 1), ("odd", "c", 1)).cohort.sizes.tolist() == [
        0
    ]


def test_strength_halves_with_each_half_life_and_never_grows() -> None:
    rule = Weighting(half_life_seconds=DAY)
    found = of(
        ("like", "a", NOW - 2 * DAY), ("like", "b", NOW), ("like", "c", NOW + DAY), weighting=rule
    )
    np.testing.assert_allclose(found.cohort.weights, [0.25, 1, 1])
    assert of(("like", "a", 0), weighting=rule).cohort.weights.tolist() == [1.0]
    assert of(("like", "a", 1), weighting=Weighting(half_life_seconds=1)).cohort.sizes == [0]
    for wrong in ({"half_life_seconds": 0.0}, {"kinds": {"like": float("nan")}}):
        with pytest.raises(InputError):
            Weighting(**wrong)


@given(st.lists(EVENTS, max_size=8))
def test_any_events_give_a_cohort_that_a_model_reads(events: list[Event]) -> None:
    items = tuple(sorted({e.item for e in events})) or ("a",)
    found = history(sorted(events, key=lambda e: e.time), Catalogue(item_ids=items), now=NOW)
    assert len(found.cohort) == 1 and len(found.order) == found.cohort.indptr[-1]
    assert (np.diff(found.cohort.times[found.order]) >= 0).all()


@given(
    st.lists(EVENTS, max_size=4),
    st.dictionaries(TEXTS, JSON, max_size=3),
    st.dictionaries(TEXTS, ARRAYS, max_size=3),
)
def test_an_export_is_read_back_as_it_was(
    events: list[Event], answers: dict[str, Any], states: dict[str, Any]
) -> None:
    entries = [Entry(kind=EntryKind.PROFILE, name=n, value=v) for n, v in answers.items()]
    entries += [Entry(kind=EntryKind.STATE, name=n, value=v) for n, v in states.items()]
    contents = Contents(events=tuple(events), entries=tuple(entries))
    for found in (
        Contents.from_json(contents.to_json()),
        Contents.from_csv(contents.to_csv()),
    ):
        assert found.events == contents.events
        assert [e.to_bytes() for e in found.entries] == [e.to_bytes() for e in entries]


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_store_is_exported_and_imported_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    with made(tmp_path / "one.db") as one, made(tmp_path / "two.db") as two:
        fill(one)
        one.record(Event(kind="like", item='"=1+1",\r\n' * 20_000, time=5))
        export_file(one, path)
        assert path.stat().st_mode & 0o077 == 0
        with pytest.raises(InputError, match="there already"):
            export_file(one, path)
        import_file(two, path)
        assert two.events() == one.events()
        assert Contents.of(two).to_json() == Contents.of(one).to_json()


def test_what_is_no_export_imports_nothing_and_is_not_quoted(tmp_path: Path) -> None:
    good = Contents(events=(Event(kind="like", item="a"),), entries=())
    for name, data in {
        "a.json": good.to_json()[:-9],
        "b.json": json.dumps({"schema": "canary"}).encode(),
        "c.json": good.to_json().replace(b'"time": 0', b'"time": "canary"'),
        "d.csv": good.to_csv().replace(b"like,a,0", b"like,a"),
        "e.csv": good.to_csv() + b'"canary',
        "f.csv": b"\xff",
        "g.json": b"[" * 100_000,
        "h.json": good.to_json().replace(b'"item"', b'"canary"'),
    }.items():
        (tmp_path / name).write_bytes(data)
        with made(tmp_path / f"{name}.db") as vault:
            with pytest.raises(InputError, match="Nothing was imported") as error:
                import_file(vault, tmp_path / name)
            assert "canary" not in str(error.value)
            assert vault.events() == ()
    with made(tmp_path / "me.db") as vault, pytest.raises(InputError, match="ends in"):
        import_file(vault, tmp_path / "x.xml")
